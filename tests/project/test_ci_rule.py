"""The rule of tests/conftest.py: where CI=true, a skipped test fails the run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tests.conftest

PASSES = "def test_passes(): pass\n"
SKIPS = PASSES + "import pytest\ndef test_skips(): pytest.skip('no root')\n"
SKIPS_ALL = "import pytest\npytest.skip('no root', allow_module_level=True)\n"
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail\ndef test_fails(): assert 0\n"


def run_pytest(directory: Path, test: str, ci: str, processes: str = "0") -> subprocess.CompletedProcess[str]:
    shutil.copy(tests.conftest.__file__, directory / "conftest.py")
    (directory / "test_it.py").write_text(PASSES)
    (directory / "test_that.py").write_text(test)
    options = ["-p", "no:cacheprovider", "--rootdir", str(directory), "--numprocesses", processes]
    command = [sys.executable, "-m", "pytest", *options]
    return subprocess.run(
        command, cwd=directory, env=os.environ | {"CI": ci}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("test", "processes"), [(SKIPS, "0"), (SKIPS, "2"), (SKIPS_ALL, "0")])
def test_a_skip_fails_the_run_in_ci_and_is_named(tmp_path: Path, test: str, processes: str) -> None:
    done = run_pytest(tmp_path, test, "true", processes)
    assert done.returncode == 1
    assert "skipped, which CI=true forbids" in done.stdout
    assert "test_that.py" in done.stdout.partition("forbids")[2]


@pytest.mark.parametrize("test", [SKIPS, SKIPS_ALL], ids=["a test", "a module"])
def test_a_skip_is_allowed_elsewhere(tmp_path: Path, test: str) -> None:
    assert run_pytest(tmp_path, test, "").returncode == 0


@pytest.mark.parametrize(("test", "processes"), [(PASSES, "2"), (EXPECTED_FAILURE, "0")])
def test_a_run_without_skips_passes_in_ci(tmp_path: Path, test: str, processes: str) -> None:
    done = run_pytest(tmp_path, test, "true", processes)
    assert done.returncode == 0
    assert "forbids" not in done.stdout
