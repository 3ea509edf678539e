"""Builds what fuzzes the native scanner, with every overrun and undefined behaviour an abort, and runs it."""

import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HEADERS = ROOT / "qps_service"
CORPUS = HERE / "corpus"
LONGEST = 2048  # bytes of an input

# The limits are small, so that a few lines fill everything.
_FLAGS = ("-std=c11", "-g", "-DSCAN_SMALL", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all")


def build_fuzzer(program: Path, headers: Path = HEADERS, *, optimise: str = "-O1") -> None:
    """The harness with the scanner of `headers`."""
    sanitizers = "-fsanitize=fuzzer,address,undefined"
    source = HERE / "fuzz_scan.c"
    subprocess.run(
        ["clang", *_FLAGS, optimise, sanitizers, f"-I{headers}", "-o", program, source], check=True
    )


def build_extension(directory: Path, *flags: str, compiler: str = "gcc") -> Path:
    """The extension module with small limits and these flags."""
    module = directory / "_scan.abi3.so"
    include = f"-I{sysconfig.get_path('include')}"
    options = ("-shared", "-fPIC", "-DPy_LIMITED_API=0x030B0000", include, *flags)
    source = HEADERS / "_scan.c"
    subprocess.run([compiler, *_FLAGS[:3], *options, "-o", module, source], check=True)
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
