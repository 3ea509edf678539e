"""Promises with their broken twins, as rows of a table: what holds one is written once.

PROMISES = [Promise(each_line_once, [twins.ClosesFirst, twins.Forgets])]

@kept(PROMISES)
def test_it_is_kept(check: Check, make: Make) -> None:
    check(make)

@caught(PROMISES)
def test_a_twin_is_caught(check: Check, twin: type[Follower], make: Make) -> None:
    with pytest.raises(AssertionError):
        check(partial(make, twin))
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pytest

Check = Callable[..., None]
Part = TypeVar("Part")


class Promise(NamedTuple):
    """A check, which raises AssertionError, and what it must not be content with."""

    check: Check
    twins: Sequence[Any] = ()
    name: str = ""  # of the row, where the check's own would not tell it from others
    marks: Sequence[pytest.MarkDecorator] = ()


def _name_of(part: Any) -> str:
    if isinstance(part, tuple):
        return "+".join(map(_name_of, part))
    return str(getattr(part.func if isinstance(part, partial) else part, "__name__", part))


def _rows(promises: Sequence[Promise], *, with_twins: bool) -> Iterator[Any]:
    for promise in promises:
        name = promise.name or _name_of(promise.check)
        if not with_twins:
            yield pytest.param(promise.check, id=name, marks=promise.marks)
            continue
        for twin in promise.twins:
            yield pytest.param(promise.check, twin, id=f"{name}-{_name_of(twin)}", marks=promise.marks)


def kept(promises: Sequence[Promise]) -> pytest.MarkDecorator:
    """A test of each `check`."""
    return pytest.mark.parametrize("check", list(_rows(promises, with_twins=False)))


def caught(promises: Sequence[Promise]) -> Callable[[Check], Check]:
    """A test of each `check` with each `twin` that it must catch."""
    rows = pytest.mark.parametrize(("check", "twin"), list(_rows(promises, with_twins=True)))

    def mark(test: Check) -> Check:
        return pytest.mark.twin(rows(test))

    return mark


def broken(part: type[Part], name: str, **methods: Any) -> type[Part]:
    """A twin of `part` that does something else in one expression."""
    assert all(hasattr(part, method) for method in methods)
    return type(name, (part,), methods)
