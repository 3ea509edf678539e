"""Decisions about what happened to a log, from values alone."""

import pytest

from qps_service.model import Identity, Position
from qps_service.rotation import Change, Lineage, Look, Lost, Moved, Touched, decide, is_sibling

HELD = Position(Identity(1, 2, 3), "/log", 100, b"prefix", b"marker", False)


@pytest.mark.parametrize(
    ("look", "change"),
    [
        (None, Change.GONE),
        (Look(1, 2, 100, b"marker"), Change.SAME),
        (Look(1, 2, 101, b"marker"), Change.GREW),
        (Look(1, 2, 99, b"marker"), Change.TRUNCATED),
        (Look(1, 2, 0, b""), Change.TRUNCATED),
        (Look(1, 2, 500, b"others"), Change.TRUNCATED),
        (Look(1, 2, 500, b"\0\0\0\0\0\0"), Change.TRUNCATED),
        (Look(1, 9, 100, b"marker"), Change.REPLACED),
        (Look(9, 2, 100, b"marker"), Change.REPLACED),
    ],
)
def test_decide(look: Look | None, change: Change) -> None:
    assert decide(HELD, look) is change


SIBLINGS = (
    "access.log.1",
    "access.log.12",
    "access.log-20261123",
    "access.log.1726000000",
    "access.log.1726000000.2",
    "access.log.2026-11-23T10:00:00Z",
    "access.log_1",
    "access.log.old",
    "access-20261123.log",
    "access.1.log",
)
OTHERS = (
    "access.log",
    "access.log.1.gz",
    "access.log-20261123.xz",
    "access.log.lock",
    "access.log-errors",
    "access.log2",
    "access2.log",
    "access-api.log",
    "access-api.log.1",
    "other.log.1",
    "xaccess.log.1",
    "access.log.1~",
    ".access.log.1.swp",
)


@pytest.mark.parametrize("name", SIBLINGS)
def test_what_rotations_make_of_a_name(name: str) -> None:
    assert is_sibling("access.log", name)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_another_log(name: str) -> None:
    assert not is_sibling("access.log", name)


def test_a_log_without_extension_has_siblings_too() -> None:
    assert is_sibling("access", "access.1")
    assert not is_sibling("access", "access1")
    assert is_sibling("a+b.log", "a+b.log.1")
    assert not is_sibling("a.b", "axb.1")


def names_after(*hints: Moved | Touched | Lost) -> set[str]:
    lineage = Lineage()
    lineage.complete = True
    for hint in hints:
        lineage.note(hint, {"/log"})
    assert lineage.complete is not any(isinstance(hint, Lost) for hint in hints)
    return lineage.names


def test_a_lineage_follows_renames_from_the_log_on() -> None:
    assert names_after(Moved("/log", "/log.1")) == {"/log.1"}
    assert names_after(Moved("/log", "/log.1"), Moved("/log.1", "/log.2")) == {"/log.2"}
    assert names_after(Moved("/log", "/new"), Moved("/log", "/log.1")) == {"/new", "/log.1"}
    assert names_after(Moved("/other", "/log.1")) == set()
    assert names_after(Touched("/log.1")) == set()
    assert names_after(Moved("/log", "/log.1"), Touched("/log.1")) == set()
    assert names_after(Moved("/log", "/log.1"), Moved("/other", "/log.1")) == set()
    assert names_after(Moved("/log", "/log.1"), Lost()) == {"/log.1"}
