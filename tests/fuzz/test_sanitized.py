"""The tests of the Python type and of spills once more, with sanitizers in the extension.

What is read or written beyond its place, and what C leaves undefined, ends the process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.building import MODULE_VARIABLE, ROOT, build_extension, plant

pytestmark = pytest.mark.build

SANITIZERS = ("-O1", "-fsanitize=address,undefined")
TESTS = (
    "tests/unit/scanning/test_native.py",
    "tests/unit/scanning/test_twins.py::test_nothing_is_lost_in_spills",
)


def run(module: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """These tests with this module in a process of their own."""
    libraries = [
        subprocess.check_output(["gcc", f"-print-file-name=lib{name}.so"], text=True).strip()
        for name in ("asan", "ubsan")
    ]
    environment = os.environ | {
        MODULE_VARIABLE: str(module),
        "LD_PRELOAD": ":".join(libraries),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself keeps much until the process ends
        "FUZZ_EXAMPLES": "300",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_under_sanitizers(tmp_path: Path) -> None:
    result = run(build_extension(tmp_path, *SANITIZERS), *TESTS)
    assert result.returncode == 0, (result.stdout + result.stderr)[-5000:]
    assert " passed" in result.stdout


@pytest.mark.twin
def test_they_see_what_is_read_behind_a_block(tmp_path: Path) -> None:
    sources = plant(tmp_path, "block", "len > SLACK ? len - SLACK", "len > 32 ? len - 32")
    module = build_extension(tmp_path, *SANITIZERS, sources=sources)
    result = run(module, "tests/unit/scanning/test_native.py::test_blocks_of_any_kind")
    assert result.returncode
    assert "ERROR: AddressSanitizer" in result.stdout + result.stderr
