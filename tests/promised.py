"""Promises with their broken twins, as rows of a table: what holds one is written once.

    PROMISES = [Promise(each_line_once, [twins.ClosesFirst, twins.Forgets])]

    test_it_is_kept, test_a_twin_is_caught = as_tests(PROMISES, by="make")

Each check gets what the fixture `make` gives, and for its twins the same with the twin as its first argument.
Where that does not fit, `kept` and `caught` make a test of each row out of a function.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest

Check = Callable[..., None]
Errors = type[Exception] | tuple[type[Exception], ...]


class Promise(NamedTuple):
    """A check, which raises AssertionError, and what it must not be content with."""

    check: Check
    twins: Sequence[Any] = ()
    name: str = ""  # of the row, where the check's own would not tell it from others
    marks: Sequence[pytest.MarkDecorator] = ()


def as_tests(
    promises: Sequence[Promise], by: str = "make_site", errors: Errors = AssertionError, match: str | None = None
) -> tuple[Check, Check]:
    """The test that each is kept, and the test that each twin is caught, by an error that says so."""

    @kept(promises)
    def test_kept(check: Check, request: pytest.FixtureRequest) -> None:
        check(request.getfixturevalue(by))

    @caught(promises)
    def test_caught(check: Check, twin: Any, request: pytest.FixtureRequest) -> None:
        with pytest.raises(errors, match=match):
            check(partial(request.getfixturevalue(by), twin))

    return test_kept, test_caught


def kept(promises: Sequence[Promise]) -> pytest.MarkDecorator:
    """A test of each `check`."""
    return pytest.mark.parametrize("check", list(_rows(promises, with_twins=False)))


def caught(promises: Sequence[Promise]) -> Callable[[Check], Check]:
    """A test of each `check` with each `twin` that it must catch."""
    rows = pytest.mark.parametrize(("check", "twin"), list(_rows(promises, with_twins=True)))
    return lambda test: pytest.mark.twin(rows(test))


def noticed(check: Check, text: str, right: str, wrong: str, *errors: type[Exception]) -> None:
    """The check is not content with a text in which something right is wrong."""
    assert right in text
    with pytest.raises((AssertionError, *errors)):
        check(text.replace(right, wrong))


def _rows(promises: Sequence[Promise], *, with_twins: bool) -> Iterator[Any]:
    for promise in promises:
        name = promise.name or _name_of(promise.check)
        if not with_twins:
            yield pytest.param(promise.check, id=name, marks=promise.marks)
            continue
        for twin in promise.twins:
            yield pytest.param(promise.check, twin, id=f"{name}-{_name_of(twin)}", marks=promise.marks)


def _name_of(part: Any) -> str:
    if isinstance(part, tuple):
        return "+".join(map(_name_of, part))
    return str(getattr(part.func if isinstance(part, partial) else part, "__name__", part))
