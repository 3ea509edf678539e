"""scripts/install.sh on a stock Debian, as its administrator runs it: in, again, newer, out, with mishaps.

What it promises are functions, most of them of installing.py. Each is also shown a script with one fault, and
must fail.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import pytest

from tests.system import package
from tests.system.debians import ON_EACH, SUITES, on_one
from tests.system.guest import LONG, Guest
from tests.system.image import ROOT, Image
from tests.system.installing import (
    BUILT,
    CHECKOUT,
    CHECKS_OF_BOTH,
    TWINS_OF_BOTH,
    Machine,
    check_goes_back,
    check_left_disabled,
    check_no_start,
    check_purged,
    check_second_run,
    check_upgrade,
    with_checkout,
)
from tests.system.package import Packages

pytestmark = [pytest.mark.system, pytest.mark.build]

SUDO = "sudo scripts/install.sh (or --dry-run, to see what it would do)"
ELSEWHERE = f"{BUILT}/elsewhere"
# Takes the place of build-deb.sh, which is real-build-deb.sh then. Of the same sources one package is enough;
# what a later commit changes is put into that of the first one, which is tagged. When asked to, it takes the
# one of this checkout that was built elsewhere.
REMEMBER = f"""#!/bin/bash
set -e
cd "$(dirname "$0")/.."
built_of() {{ echo {BUILT}/$(git rev-parse "$1:packaging" "$1:qps_service" | sha256sum | cut -c1-16); }}
built=$(built_of HEAD) tree={BUILT}/tree
changed=$(git diff --name-only sound HEAD -- packaging qps_service)
if rm {ELSEWHERE}/next; then
    built={ELSEWHERE}
elif ! ls "$built"/*.deb && [[ -z $changed ]]; then
    scripts/real-build-deb.sh "$built"
elif ! ls "$built"/*.deb; then
    rm -rf "$tree"
    dpkg-deb --raw-extract "$(built_of sound)"/*.deb "$tree"
    for file in $changed; do cp "$file" "$(find "$tree" -name "${{file##*/}}")"; done
    (cd "$tree" && find . -name DEBIAN -prune -o -name etc -prune -o -type f -printf '%P\\n' |
        xargs md5sum >DEBIAN/md5sums)
    mkdir "$built"
    dpkg-deb --root-owner-group --build "$tree" "$built"
fi
mkdir -p dist
cp "$built"/*.deb dist
"""


@dataclass
class First:
    """What the first runs on a stock Debian did: a dry one, two that can't, and one without network."""

    machine: Machine
    files: tuple[set[str], set[str]]  # before and after the runs that must do nothing
    dry: str
    unprivileged: tuple[int, str]
    no_python: tuple[int, str]
    packages: tuple[set[str], set[str]]  # before and after the last one
    failed: tuple[int, str]


@pytest.fixture(scope="module")
def first(image: Image) -> Iterator[First]:
    """A machine that has the packages to build with, and how it came to have them."""
    with Guest(image) as guest:
        machine = with_checkout(guest)
        before = machine.files()
        dry = machine.install("--dry-run")
        unprivileged = machine.attempt(user="nobody")
        no_python = machine.attempt("--venv")
        after = machine.files()
        packages = machine.packages()
        failed = machine.attempt()
        yield First(
            machine,
            files=(before, after),
            dry=dry,
            unprivileged=unprivileged,
            no_python=no_python,
            packages=(packages, machine.packages()),
            failed=failed,
        )


@pytest.fixture(scope="module")
def prepared(first: First, image: Image, request: pytest.FixtureRequest) -> Machine:
    """A machine on which both ways can succeed."""
    machine = first.machine
    # As a machine with network would download it.
    subprocess.run([ROOT / "scripts" / "build-deb.sh", "--fetch"], check=True)
    shutil.copytree(ROOT / ".cache" / "sources", machine.checkout / ".cache" / "sources", dirs_exist_ok=True)
    machine.guest.install("procps", "python3-systemd", "python3-venv")
    if image.suite == package.BUILT_UNDER and package.is_of_the_commit():
        packages: Packages = request.getfixturevalue("packages")
        machine.guest.path(ELSEWHERE).mkdir(parents=True)
        shutil.copy(packages.current.deb, machine.guest.path(ELSEWHERE))
    elif ON_EACH or image.suite == package.BUILT_UNDER:
        machine.guest.run(f"{CHECKOUT}/scripts/build-deb.sh", ELSEWHERE, hang=LONG)
    scripts = machine.checkout / "scripts"
    (scripts / "build-deb.sh").rename(scripts / "real-build-deb.sh")
    (scripts / "build-deb.sh").write_text(REMEMBER)
    (scripts / "build-deb.sh").chmod(0o755)
    machine.commit()
    machine.git("tag", "sound")
    return machine


@pytest.fixture
def machine(prepared: Machine) -> Iterator[Machine]:
    """Such a machine without a trace of the program."""
    yield prepared
    prepared.clean()


def check_only_named(packages: tuple[set[str], set[str]], printed: str) -> None:
    """All packages that are new were named."""
    before, after = packages
    named = re.search("packages to build with, which stay: (.*)", printed)
    assert named is not None
    assert after - before == set(named[1].split())


def check_second_build(machine: Machine) -> None:
    """The package is the same wherever it is built: when a second run builds it again, it changes nothing."""
    machine.guest.write(f"{ELSEWHERE}/next", "")
    check_second_run(machine)


# The tests.


def test_a_stock_debian(first: First) -> None:
    before, after = first.files
    assert before == after
    steps = re.findall(r"^install: \(dry run\) (\w+)", first.dry, re.MULTILINE)
    assert steps == ["apt", "installing", "building", "installing", "enabling", "starting"]
    assert first.unprivileged == (1, f"install: this needs root: {SUDO}\n")
    assert first.no_python[0] == 1
    assert "install: Python 3.11 or newer is needed: install it" in first.no_python[1]


def test_without_network_only_packages_stay_which_were_named(first: First) -> None:
    status, printed = first.failed
    assert status == 1
    assert "install: FAILED: building the package" in printed
    assert "nothing was changed; mend what scripts/build-deb.sh says above; then run this again" in printed
    check_only_named(first.packages, printed)
    with pytest.raises(AssertionError):
        check_only_named(first.packages, printed.replace(" debhelper ", " "))


# Which Debian it is makes a difference for the build alone: they share the others.
_FIRST = (check_second_build, check_purged, check_no_start, check_goes_back, check_upgrade)
CHECKS = {"bookworm": _FIRST, "trixie": tuple(check for check in CHECKS_OF_BOTH if check not in _FIRST)}


@pytest.mark.parametrize(
    ("image", "check"),
    [
        pytest.param(suite, check, id=f"{check.__name__.removeprefix('check_')}-{suite}")
        for suite in SUITES
        for check in (chain(*CHECKS.values()) if ON_EACH else CHECKS[suite])
    ],
    indirect=["image"],
)
def test_it_keeps_its_promise(machine: Machine, check: Callable[..., None]) -> None:
    check(machine)


TWINS = [
    # Of both ways: the cheaper one shows that the checks catch them.
    *TWINS_OF_BOTH * ON_EACH,
    (check_purged, "install", "verb=purge", "verb=remove"),
    (check_no_start, "install-package", "undo=(the_package)", "undo=()"),
    (check_goes_back, "install-package", "the_package() {\n", "the_package() {\n    return 0\n"),
    (check_upgrade, "install-package", "${upgrade:+--reinstall}", ""),
    (check_left_disabled, "install", "-n $upgrade && $was != active", "-z yes"),
    (check_second_build, "install-package", "is_installed() {\n", "is_installed() {\n    return 1\n"),
]


@pytest.mark.twin
@pytest.mark.parametrize(
    ("image", "check", "name", "old", "new"),
    [
        pytest.param(
            SUITES[twin[0] is not check_second_build], *twin, id=twin[0].__name__.removeprefix("check_")
        )
        for twin in TWINS
    ],
    indirect=["image"],
)
def test_a_fault_is_caught(
    machine: Machine, check: Callable[..., None], name: str, old: str, new: str
) -> None:
    with machine.twin(name, old, new), pytest.raises(AssertionError):
        check(machine)


@on_one
def test_the_two_ways_are_not_mixed(machine: Machine) -> None:
    for way, other, says in (
        ((), ("--venv",), "the Debian package is installed: .* apt-get remove qps-reporter first"),
        (("--venv",), (), "made with --venv: .* scripts/install.sh --uninstall first"),
    ):
        machine.install(*way)
        before = machine.files(), machine.invocation()
        status, printed = machine.attempt(*other)
        assert status == 1
        assert re.search(says, printed)
        assert (machine.files(), machine.invocation()) == before
        machine.install("--uninstall")


@on_one
def test_help_and_mistakes(machine: Machine) -> None:
    printed = machine.install("--help")
    for option in ("--venv", "--uninstall", "--purge", "--dry-run"):
        assert f"scripts/install.sh {option}" in printed
    status, printed = machine.attempt("--what")
    assert (status, printed.split(":")[0]) == (2, "usage")
