"""The Debian package: reproducible, and silent under lintian; offline.

Each check has a package beside it that is spoilt in the way that the check is for.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import package
from tests.system.debians import on_one
from tests.system.guest import LONG, Guest
from tests.system.image import GuestError, Image
from tests.system.package import BUILD_DEPENDS, Package, Packages

pytestmark = [pytest.mark.system, pytest.mark.build]

CHECK = "/elsewhere/checkout/scripts/check-package.sh"
GOOD = "/good"
# As unlike the other build's as can be: its directory, zone, umask and locale.
ELSEWHERE = {
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "C",
    "LANG": "C",
    "HOME": "/nowhere",
    "TMPDIR": "/elsewhere/tmp",
}


@pytest.fixture(scope="module")
def builder(image: Image) -> Iterator[Guest]:
    """A guest with the tools, a copy of the checkout, and the package that was built from it in /good, in
    other surroundings than anybody else's."""
    with Guest(image) as guest:
        guest.install(*BUILD_DEPENDS, "lintian")
        guest.run("mkdir", "-p", "/elsewhere/tmp")
        package.checkout(guest, "/elsewhere/checkout")
        package.build(guest, "/elsewhere/checkout", GOOD, ELSEWHERE, umask="077")
        yield guest


def sums(directory: Path) -> dict[str, str]:
    """The hashes of what must be the same: not of .buildinfo and .changes, which tell of the machine."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Package(directory).files()
        if path.suffix not in (".buildinfo", ".changes")
    }


@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_a_build_on_another_machine_in_other_surroundings_is_the_same(
    builder: Guest, packages: Packages
) -> None:
    assert sums(packages.current.directory) == sums(builder.path(GOOD))


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_a_build_with_a_date_in_it_is_noticed(builder: Guest) -> None:
    package.repack(builder, GOOD, "/dated", "date +%N >usr/lib/qps-reporter/date")
    first, second = (sums(builder.path(place)) for place in (GOOD, "/dated"))
    (differs,) = (name for name in first if first[name] != second[name])
    assert differs.endswith(".deb")


def check_depends(depends: str) -> None:
    """Debian 12's Python and libraries will do, and so will all later ones."""
    assert "python3 (>= 3.11~)" in depends.split(", ")
    assert "<<" not in depends
    assert not re.search(r"python3\.\d", depends)
    least = re.search(r"\blibc6 \(>= 2\.(\d+)\)", depends)
    assert least
    assert int(least[1]) <= 36


def depends(builder: Guest) -> str:
    return builder.run("sh", "-c", f"dpkg-deb --field {GOOD}/*.deb Depends").stdout


@on_one
def test_it_can_be_installed_on_each_later_debian(builder: Guest) -> None:
    check_depends(depends(builder))


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("python3:any", "python3 (<< 3.12)"),  # what dh_python3 says of an extension
        ("python3:any", "python3.11"),
        ("python3 (>= 3.11~)", "python3"),
        ("libc6 (>= 2.", "libc6 (>= 2.9"),
    ],
)
def test_a_dependency_on_one_debian_is_noticed(builder: Guest, right: str, wrong: str) -> None:
    found = depends(builder)
    assert right in found
    with pytest.raises(AssertionError):
        check_depends(found.replace(right, wrong))


@on_one
def test_lintian_is_silent(builder: Guest) -> None:
    assert builder.run("bash", CHECK, "lintian", GOOD, hang=LONG).stdout == ""


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_what_lintian_is_for_is_noticed(builder: Guest) -> None:
    """A file that all may write, and a source without our overrides."""
    package.checkout(builder, "/faulty")
    debian = builder.path("/faulty/packaging/debian")
    writable = "\nexecute_after_dh_fixperms:\n\tchmod 666 debian/qps-reporter/etc/qps-reporter/*\n"
    (debian / "rules").write_text((debian / "rules").read_text() + writable)
    (debian / "source/lintian-overrides").unlink()
    package.commit(builder, "/faulty")
    package.build(builder, "/faulty", "/faulty/built")
    with pytest.raises(GuestError, match=r"non-standard-file-perm[^\0]*no-homepage-field"):
        builder.run("bash", CHECK, "lintian", "/faulty/built", hang=LONG)
