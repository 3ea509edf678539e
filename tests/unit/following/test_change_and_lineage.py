"""Decisions about what happened to a log, from values alone."""

import pytest

from qps_service.files.rotated_names import is_sibling, plain_name
from qps_service.following.change import Change, Look, decide
from qps_service.following.hints import Appeared, Gone, Hint, Lost, Moved
from qps_service.following.lineage import Lineage
from qps_service.values.positions import Identity, Position

HELD = Position(Identity(1, 2, 3), "/log", 100, b"prefix", b"marker", False)


@pytest.mark.parametrize(
    ("look", "change"),
    [
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
def test_decide(look: Look, change: Change) -> None:
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
    "access.log.1.gz",
    "access.log-20261123.xz",
    "access-20261123.log.zst",
)
OTHERS = (
    "access.log",
    "access.log.gz",
    "access.log.1.zip",
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


def test_what_a_compressed_file_was_called() -> None:
    assert plain_name("/a/access.log.1.gz") == "/a/access.log.1"
    assert plain_name("/a/access.log.1") == "/a/access.log.1"


def after(*hints: Hint) -> Lineage:
    lineage = Lineage()
    lineage.complete = True
    lineage.settle_log("/log")
    for hint in hints:
        lineage.note(hint, {"/log"})
    assert lineage.complete is not any(isinstance(hint, Lost) for hint in hints)
    return lineage


APPEARED = Appeared("/log")
ROTATED = (Moved("/log", "/log.1"), APPEARED)


@pytest.mark.parametrize(
    ("hints", "names"),
    [
        # What is at the log's path was looked at; whatever comes after it was not.
        (ROTATED, {"/log"}),
        ((*ROTATED, Moved("/log", "/log.2")), {"/log.2"}),
        ((*ROTATED, Moved("/log", "/log.2"), Moved("/log.2", "/log.3")), {"/log.3"}),
        ((*ROTATED, Moved("/log", "/log.2"), APPEARED, Moved("/log", "/log.3")), {"/log.2", "/log.3"}),
        ((Moved("/log", "/a"), Moved("/b", "/log"), Moved("/log", "/log.1")), {"/log.1"}),
        ((Moved("/other", "/log.1"),), set()),
        ((Appeared("/log.1"),), set()),
        ((*ROTATED, Moved("/log", "/log.2"), Gone("/log.2")), set()),
        ((*ROTATED, Moved("/log", "/log.2"), Moved("/other", "/log.2")), set()),
        ((*ROTATED, Moved("/log", "/log.2"), Lost()), {"/log.2"}),
        # Compressed: the new file descends from the plain one, which goes.
        (
            (*ROTATED, Moved("/log", "/log.2"), Appeared("/log.2.gz"), Gone("/log.2")),
            {"/log.2.gz"},
        ),
        ((Moved("/log", "/log.1"), Appeared("/log.1.gz"), Gone("/log.1")), set()),
    ],
)
def test_a_lineage_follows_renames_from_the_log_on(hints: tuple[Hint, ...], names: set[str]) -> None:
    assert after(*hints).names() == names


@pytest.mark.parametrize(
    ("hints", "unseen"),
    [
        (ROTATED, []),
        ((*ROTATED, Gone("/log.1")), []),
        ((*ROTATED, Moved("/log", "/log.2"), Gone("/log.2")), ["/log.2"]),
        ((*ROTATED, Moved("/log", "/log.2"), Moved("/other", "/log.2")), ["/log.2"]),
        ((*ROTATED, Gone("/log"), APPEARED), ["/log"]),
        ((*ROTATED, Moved("/log", "/log.2"), Appeared("/log.2.gz"), Gone("/log.2")), []),
        (
            (*ROTATED, Moved("/log", "/log.2"), Appeared("/log.2.gz"), Gone("/log.2"), Gone("/log.2.gz")),
            ["/log.2.gz"],
        ),
    ],
)
def test_a_lineage_tells_of_what_nobody_saw(hints: tuple[Hint, ...], unseen: list[str]) -> None:
    lineage = after(*hints)
    assert lineage.take_unseen() == unseen
    assert lineage.take_unseen() == []


def test_what_was_looked_at_is_forgotten_under_all_its_names() -> None:
    lineage = after(*ROTATED, Moved("/log", "/log.2"), Appeared("/log.2.gz"))
    assert lineage.names() == {"/log.2", "/log.2.gz"}
    lineage.settle("/log.2")
    assert lineage.names() == set()
    lineage.tidy({"/log"})
    lineage.note(Gone("/log.2.gz"), {"/log"})
    assert lineage.take_unseen() == []
