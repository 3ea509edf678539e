"""The native scanner: built where it can be, once for every Python, and used where it was built."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from qps_service.scanning import _scan
from qps_service.scanning.built import PURE_VARIABLE, describe

ROOT = Path(__file__).parents[2]
SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "qps_service", "setup.py")
PURE = "pure scanner, the native one was not built"
TELLS = "import os, sys; sys.version_info < (3, 11) or print(os.path.realpath(sys.executable))"
SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"

# --- which one is used


@pytest.mark.parametrize("value", ["", "0", None])
def test_the_native_one_is_used(value: str | None) -> None:
    environment = {} if value is None else {PURE_VARIABLE: value}
    assert describe(environment) == f"native scanner, {_scan.LEVELS[0]}"


@pytest.mark.parametrize("value", ["1", "yes"])
def test_the_pure_one_can_be_asked_for(value: str) -> None:
    assert describe({PURE_VARIABLE: value}) == "pure scanner, QPS_REPORTER_PURE is set"


def test_the_pure_one_is_used_where_nothing_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qps_service.scanning._scan", None)
    assert describe({}) == PURE


def test_the_pure_one_is_used_where_the_native_one_cannot_be_loaded(source: Path) -> None:
    """As below a directory from which nothing may be executed: the reason is the loader's."""
    module = source / "qps_service" / "scanning" / "_scan.abi3.so"
    module.write_text("no library, though long enough for one" * 99)
    reason = f"{module}: invalid ELF header"
    said = python(sys.executable, source, DESCRIBES)
    assert said == f"pure scanner, the native one can't be loaded: {reason}\n"


DESCRIBES = "from qps_service.scanning.built import describe; print(describe({}))"
SCANS = """
from qps_service.formats.presets import compile_format
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner
scanner = make_scanner(ScanOptions(compile_format("default"), 99), print)
scanner.scan(b"1.2.3.4\\tGET /\\t200\\t9\\n")
[row] = scanner.take().rows
print(scanner.name, sum("_scan.abi3.so" in line for line in open("/proc/self/maps")) > 0)
"""


@pytest.mark.parametrize(("value", "says"), [("0", "c True\n"), ("1", "py False\n")])
def test_what_is_not_used_is_not_loaded(value: str, says: str) -> None:
    assert python(sys.executable, ROOT, SCANS, **{PURE_VARIABLE: value}) == says


# --- pip


def copy_sources(directory: Path) -> Path:
    """What the program is made of, without what was built of it."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(ROOT / name, directory / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, directory)
    return directory


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return copy_sources(tmp_path / "source")


def pip(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Without network, and with the setuptools that is there."""
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    return subprocess.run(
        [sys.executable, "-m", "pip", "--isolated", *arguments, *offline],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def python(program: str | Path, packages: Path, code: str, **variables: str) -> str:
    """What a Python prints that knows the program from `packages` alone, and writes nothing there."""
    return subprocess.run(
        [program, "-S", "-c", code],
        cwd="/",
        env={"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"} | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def interpreters() -> list[Path]:
    """Each Python of this machine that the program supports."""
    places = map(Path, os.environ["PATH"].split(os.pathsep))
    names: set[str] = {sys.executable, *(str(path) for place in places for path in place.glob("python3.??"))}
    found = set()
    for name in names:
        done = subprocess.run([name, "-c", TELLS], capture_output=True, text=True, check=False)
        found |= set(done.stdout.split())  # nothing from one that is too old, or a mere placeholder
    return sorted(map(Path, found))


def make_wheel(source: Path, directory: Path) -> Path:
    """A wheel made of a source distribution that was made of `source`."""
    directory.mkdir()
    command = [sys.executable, "-c", SDIST, str(directory)]
    subprocess.run(command, cwd=source, capture_output=True, check=True)
    [sdist] = directory.glob("*.tar.gz")
    done = pip("wheel", f"--wheel-dir={directory}", sdist)
    assert done.returncode == 0, done.stderr
    [wheel] = directory.glob("*.whl")
    return wheel


def check_wheel(wheel: Path) -> None:
    """It has what was built and not of what, and is for every Python from 3.11 on."""
    assert re.fullmatch(r"qps_reporter-[\d.]+-cp311-abi3-linux_\w+\.whl", wheel.name)
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "qps_service/scanning/pure.py" in names
    assert "qps_service/scanning/_scan.abi3.so" in names
    assert not [name for name in names if name.endswith((".c", ".h"))]


@pytest.mark.build
def test_the_wheel_is_for_every_python(source: Path, tmp_path: Path) -> None:
    wheel, unpacked = make_wheel(source, tmp_path / "built"), tmp_path / "unpacked"
    check_wheel(wheel)
    zipfile.ZipFile(wheel).extractall(unpacked)
    pythons = interpreters()
    assert Path(sys.executable).resolve() in pythons
    for program in pythons:
        assert python(program, unpacked, SCANS) == "c True\n"


@pytest.mark.build
@pytest.mark.twin
def test_a_source_distribution_that_lacks_a_file_is_noticed(source: Path, tmp_path: Path) -> None:
    (source / "MANIFEST.in").write_text("global-exclude core_cache.h\n")
    with pytest.raises(AssertionError):
        check_wheel(make_wheel(source, tmp_path / "built"))


def check_without_compiler(source: Path, target: Path) -> None:
    """It can be installed all the same, and works."""
    done = pip("install", f"--target={target}", source, CC="/bin/false")
    assert done.returncode == 0, done.stderr
    assert python(sys.executable, target, DESCRIBES) == f"{PURE}\n"
    assert python(sys.executable, target, SCANS) == "py False\n"


@pytest.mark.build
def test_without_a_compiler_it_is_pure(source: Path, tmp_path: Path) -> None:
    check_without_compiler(source, tmp_path / "target")


@pytest.mark.build
@pytest.mark.twin
def test_that_it_wants_a_compiler_is_noticed(source: Path, tmp_path: Path) -> None:
    setup = source / "setup.py"
    text = setup.read_text()
    assert "optional=True" in text
    setup.write_text(text.replace("optional=True", "optional=False"))
    with pytest.raises(AssertionError, match="/bin/false"):
        check_without_compiler(source, tmp_path / "target")
