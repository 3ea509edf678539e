"""Broken twins of a class, each in a line."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def twin(
    base: type[T],
    name: str,
    method: str,
    *,
    instead: Callable[..., Any] | None = None,
    first: Callable[[Any], object] = lambda self: None,
    then: Callable[[Any], object] = lambda self: None,
) -> type[T]:
    """`base` with one method broken: with another one `instead`, or with something done `first`, or `then`.
    `name` tells how."""
    real = getattr(base, method)

    def broken(self: Any, *arguments: Any, **keywords: Any) -> Any:
        first(self)
        result = real(self, *arguments, **keywords)
        then(self)
        return result

    made: Any = type(name, (base,), {method: instead or broken})
    return made  # type: ignore[no-any-return]


def spoil(patch: pytest.MonkeyPatch, base: type, method: str, **how: Callable[[Any], object]) -> None:
    """Make `base` itself such a twin."""
    patch.setattr(base, method, getattr(twin(base, base.__name__, method, **how), method))


def says_each(base: type[T], method: str, trouble: str = "trouble") -> type[T]:
    """Each failure is news."""
    return twin(
        base, "says each", method, first=lambda self: vars(vars(self)[trouble]).update(_is_failing=False)
    )


def nothing(*_arguments: Any, **_keywords: Any) -> None:
    """What a twin does instead."""
