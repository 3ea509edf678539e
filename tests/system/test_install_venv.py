"""scripts/install.sh --venv, as other distributions have it, with the later Python and systemd.

The way without a package is the same everywhere. What it promises are functions, most of them of
installing.py. Each is also shown a script with one fault, and must fail.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.system.guest import Guest
from tests.system.image import Image
from tests.system.installing import (
    CHECKS_OF_BOTH,
    TWINS_OF_BOTH,
    Machine,
    check_failure,
    check_goes_back,
    check_no_start,
    check_purged,
    check_second_run,
    check_upgrade,
    with_checkout,
)

pytestmark = [
    *(pytest.mark.system, pytest.mark.build),
    pytest.mark.parametrize("image", ["trixie"], indirect=True),
]

VENV = "--venv"
# Added to Debian's sitecustomize.py: pip, which each new environment gets first, is the same each time, and
# half the work. It is taken from one that was made as they all are.
REMEMBERED = "/srv/pip"
REMEMBER = f"""
import glob, os, shutil, sys
if "ensurepip" in sys.orig_argv and sys.prefix != "{REMEMBERED}":
    shutil.copytree("{REMEMBERED}/lib", f"{{sys.prefix}}/lib", dirs_exist_ok=True)
    for script in glob.glob("{REMEMBERED}/bin/pip*"):
        copy = shutil.copy(script, f"{{sys.prefix}}/bin")
        with open(copy, "r+") as file:
            text = file.read().replace("{REMEMBERED}", sys.prefix)
            file.seek(0)
            file.write(text)
            file.truncate()
    os._exit(0)
"""


@pytest.fixture(scope="module")
def prepared(image: Image) -> Iterator[Machine]:
    """A machine that has what this way wants, and a compiler."""
    with Guest(image) as guest:
        guest.install("gcc", "libc6-dev", "procps", "python3-dev", "python3-systemd", "python3-venv")
        guest.run("python3", "-m", "venv", REMEMBERED)
        (customize,) = guest.path("/etc").glob("python3.*/sitecustomize.py")
        customize.write_text(customize.read_text() + REMEMBER)
        yield with_checkout(guest)


@pytest.fixture
def machine(prepared: Machine) -> Iterator[Machine]:
    """Such a machine without a trace of the program."""
    yield prepared
    prepared.clean()


def check_no_adm(machine: Machine, way: str) -> None:
    """It runs where there is no group adm, and doesn't make one."""
    machine.guest.run("groupdel", "adm")
    machine.install(way)
    assert machine.invocation()
    assert machine.guest.run("getent", "group", "adm", check=False).returncode


def check_no_wheels(machine: Machine, way: str) -> None:
    """Where pip fails, no virtual environment is left."""
    check_failure(machine, way, wheels="/nowhere", says="mend what pip says above")


def check_no_compiler(machine: Machine, way: str) -> None:
    """Without a compiler it is pure, runs and says so; with one, a second run makes it native."""
    printed = machine.install(way)
    assert "install: it has the pure scanner, the native one was not built\n" in printed
    assert "python3-dev" in printed
    assert machine.invocation()
    assert not machine.is_native()
    printed = machine.install(way, compiler="gcc")
    assert "install: it has the native scanner, " in printed
    assert "python3-dev" not in printed
    assert machine.is_native()


CHECKS = (*CHECKS_OF_BOTH, check_no_adm, check_no_compiler, check_no_wheels)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_it_keeps_its_promise(machine: Machine, check: Callable[..., None]) -> None:
    check(machine, VENV)


TWINS = [
    *TWINS_OF_BOTH,
    (check_second_run, "install-venv", "is_current() {\n", "is_current() {\n    return 1\n"),
    (check_purged, "install-venv", '[[ ! -d $release/root ]] || remove_outside "$release"', ":"),
    (check_purged, "install-venv", '"$unit" qps-reporter@.service', '"$unit"'),
    (check_no_start, "install-venv", "undo+=(the_units_and_the_program)", ":"),
    (check_goes_back, "install-venv", "the_program() {\n", "the_program() {\n    return 0\n"),
    (check_upgrade, "install-venv", '"${previous:+re}start"', ""),
    (check_no_adm, "install-venv", "getent group adm >/dev/null ||", "true ||"),
    (check_no_compiler, "install-venv", '"$python" scripts/compiler.py', ":"),
    (
        check_no_compiler,
        "install-venv",
        "pyproject.toml setup.py MANIFEST.in README.md",
        "pyproject.toml README.md",
    ),
    (check_no_wheels, "install-venv", "undo=(the_new_directory)", "undo=()"),
]


@pytest.mark.twin
@pytest.mark.parametrize(
    ("check", "name", "old", "new"),
    [pytest.param(*twin, id=twin[0].__name__.removeprefix("check_")) for twin in TWINS],
)
def test_a_fault_is_caught(
    machine: Machine, check: Callable[..., None], name: str, old: str, new: str
) -> None:
    with machine.twin(name, old, new), pytest.raises(AssertionError):
        check(machine, VENV)
