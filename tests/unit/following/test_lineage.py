"""Which names carry a file that was the log, told by hints that are plain values."""

import pytest

from qps_service.following.hints import Appeared, Gone, Hint, Lost, Moved
from qps_service.following.lineage import Lineage


def after(*hints: Hint) -> Lineage:
    lineage = Lineage()
    lineage.take_completeness()
    lineage.settle_log("/log")
    for hint in hints:
        lineage.note(hint, {"/log"})
    assert lineage.take_completeness() is not any(isinstance(hint, Lost) for hint in hints)
    return lineage


APPEARED = Appeared("/log")
ROTATED = (Moved("/log", "/log.1"), APPEARED)
AGAIN = (*ROTATED, Moved("/log", "/log.2"))


@pytest.mark.parametrize(
    ("hints", "names"),
    [
        # What is at the log's path was looked at; whatever comes after it was not.
        (ROTATED, {"/log"}),
        (AGAIN, {"/log.2"}),
        ((*AGAIN, Moved("/log.2", "/log.3")), {"/log.3"}),
        ((*AGAIN, APPEARED, Moved("/log", "/log.3")), {"/log.2", "/log.3"}),
        ((Moved("/log", "/a"), Moved("/b", "/log"), Moved("/log", "/log.1")), {"/log.1"}),
        ((Moved("/other", "/log.1"),), set()),
        ((Appeared("/log.1"),), set()),
        ((*AGAIN, Gone("/log.2")), set()),
        ((*AGAIN, Moved("/other", "/log.2")), set()),
        ((*AGAIN, Lost()), {"/log.2"}),
        # Compressed: the new file descends from the plain one, which goes.
        ((*AGAIN, Appeared("/log.2.gz"), Gone("/log.2")), {"/log.2.gz"}),
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
        ((*AGAIN, Gone("/log.2")), ["/log.2"]),
        ((*AGAIN, Moved("/other", "/log.2")), ["/log.2"]),
        ((*ROTATED, Gone("/log"), APPEARED), ["/log"]),
        ((*AGAIN, Appeared("/log.2.gz"), Gone("/log.2")), []),
        ((*AGAIN, Appeared("/log.2.gz"), Gone("/log.2"), Gone("/log.2.gz")), ["/log.2.gz"]),
    ],
)
def test_a_lineage_tells_of_what_nobody_saw(hints: tuple[Hint, ...], unseen: list[str]) -> None:
    lineage = after(*hints)
    assert lineage.take_unseen() == unseen
    assert lineage.take_unseen() == []


@pytest.mark.parametrize(("where", "arrival"), [("/elsewhere", ("/log", False)), ("/", None), ("", None)])
def test_how_the_log_came_is_forgotten_with_what_happened_there(where: str, arrival: object) -> None:
    assert after(Moved("/copy", "/log"), Lost(where)).take_arrival() == arrival


@pytest.mark.parametrize(
    ("hints", "made"),
    [
        ((Appeared("/log.1"), Appeared("/log.2")), {"/log.1", "/log.2"}),
        ((Appeared("/log.1"), Moved("/log.1", "/log.2")), {"/log.2"}),
        ((Appeared("/log.1"), Appeared("/log.1.gz"), Gone("/log.1")), {"/log.1.gz"}),
        # Of these, nothing tells what they were before, or what they are made of.
        ((Appeared("/log.1", created=False), Moved("/other", "/log.2"), Appeared("/log.3.gz")), set()),
        # These are or were the log, or are gone.
        ((*AGAIN, Appeared("/log.2.gz")), set()),
        ((Appeared("/log.1"), Moved("/log", "/log.1")), set()),
        ((Appeared("/log.1"), Moved("/other", "/log.1")), set()),
        ((Appeared("/log.1"), Gone("/log.1")), set()),
        ((Appeared("/log.1"), Lost()), set()),
        ((Appeared("/log.1"), Lost("/")), set()),
        ((Appeared("/log.1"), Lost("/elsewhere")), {"/log.1"}),
    ],
)
def test_what_was_created_under_another_name_was_not_the_log(hints: tuple[Hint, ...], made: set[str]) -> None:
    lineage = after(*hints)
    assert lineage.take_made() == made
    assert lineage.take_made() == set()


def test_what_was_looked_at_is_forgotten_under_all_its_names() -> None:
    lineage = after(*AGAIN, Appeared("/log.2.gz"))
    assert lineage.names() == {"/log.2", "/log.2.gz"}
    lineage.settle("/log.2")
    assert lineage.names() == set()
    lineage.tidy({"/log"})
    lineage.note(Gone("/log.2.gz"), {"/log"})
    assert lineage.take_unseen() == []
