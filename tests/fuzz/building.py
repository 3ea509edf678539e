"""Builds what fuzzes the native scanner, with every overrun and undefined behaviour an abort, and runs it."""

import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCES = ROOT / "qps_service" / "scanning" / "c"
CORPUS = HERE / "corpus"
LONGEST = 3072  # bytes of an input
MODULE_VARIABLE = "FUZZ_MODULE"  # where the extension is that tests are to use instead of building one

# The limits are small, so that a few lines fill everything.
_FLAGS = (
    "-std=c11",
    "-D_DEFAULT_SOURCE",
    "-g",
    "-DSCAN_SMALL",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-sanitize-recover=all",
)


def plant(directory: Path, part: str, sound: str, faulty: str) -> Path:
    """A copy of the scanner's sources in which one text of a header is another."""
    sources = directory / "faulty"
    shutil.copytree(SOURCES, sources)
    header = sources / f"{part}.h"
    text = header.read_text()
    if text.count(sound) != 1:
        raise ValueError(f"expected {sound!r} once in {header.name}, found it {text.count(sound)} times")
    header.write_text(text.replace(sound, faulty))
    return sources


def build_fuzzer(program: Path, sources: Path = SOURCES, *flags: str) -> None:
    """The harness with the scanner of these sources."""
    sanitizers = "-fsanitize=fuzzer,address,undefined"
    source = HERE / "fuzz_scan.c"
    subprocess.run(
        ["clang", *_FLAGS, *(flags or ("-O1",)), sanitizers, f"-I{sources}", "-o", program, source],
        check=True,
    )


def build_extension(directory: Path, *flags: str, sources: Path = SOURCES) -> Path:
    """The extension with small limits, allocations that can be made to fail (failing.h), and these flags."""
    module = directory / "_scan.abi3.so"
    include = f"-I{sysconfig.get_path('include')}"
    options = ("-shared", "-fPIC", "-DPy_LIMITED_API=0x030B0000", "-include", HERE / "failing.h", include)
    subprocess.run(["gcc", *_FLAGS, *options, *flags, "-o", module, sources / "module.c"], check=True)
    return module


def fuzz(
    program: Path, inputs: Sequence[Path], runs: int, found: Path, seed: int = 1
) -> subprocess.CompletedProcess[str]:
    """Go through these inputs and so many variations. What is new goes to `found`, as does what is wrong."""
    found.mkdir(parents=True, exist_ok=True)
    options = (f"-runs={runs}", f"-seed={seed}", f"-max_len={LONGEST}", "-print_final_stats=1")
    return subprocess.run(
        [program, *options, f"-artifact_prefix={found}/", found, *inputs],
        capture_output=True,
        text=True,
        check=False,
    )
