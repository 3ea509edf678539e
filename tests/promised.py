"""Promises as rows of a table: a check, the part that keeps it, and broken twins that the check must catch.

    test_promise, test_twin = promises(
        Promise(check_no_drift, Schedule, [GridByGap, GridInFloats]),
        Promise(check_cut, compare, {"no marks": lambda position, read: ...}, offset=50_000, cut=49_990),
        {check_restart: [Patches((kernel, "open", broken))]},  # those that take no part, with their twins
    )

A check is a function that asserts. It is called with the part, with what its row gives by name, and with
fixtures for all other arguments without a default. It may draw examples (hypothesis' @given): then those that
show what is wrong with the twins stand beside it as @example.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import pytest

Part = TypeVar("Part")
Twins = Sequence[Any] | Mapping[str, Any]  # by their own names, or by these


# --- the rows


class Patches:
    """A twin that is the real part, where something that it uses was replaced: (owner, name, value)."""

    def __init__(self, *patches: tuple[object, str, object]) -> None:
        self.patches = patches

    def __str__(self) -> str:
        return " ".join(name.strip("_") for _, name, _ in self.patches)


def patched(owner: object, name: str, *values: Any) -> dict[str, Patches]:
    """Twins that are patches of one name, each called like what is there instead."""
    return {_name(value): Patches((owner, name, value)) for value in values}


def answers(owner: object, name: str, answer: object = None) -> Patches:
    """A twin where `name` of `owner` answers this, whatever it is asked."""
    return Patches((owner, name, lambda *_, **__: answer))


class Promise:
    """What `check` asserts holds for `real`, and for none of `twins` (by name, or with names of their own).

    Where `real` is None the check takes no part: its twins are patches. A twin is caught by an assertion, by
    an expected error that did not come, or by one of `caught`. `label` tells rows of one check apart.
    """

    def __init__(
        self,
        check: Callable[..., object],
        real: Any,
        twins: Twins,
        caught: tuple[type[Exception], ...] = (),
        label: str = "",
        **given: Any,
    ) -> None:
        self._check, self._real, self._given, self._label = check, real, given, label
        self._twins = twins if isinstance(twins, Mapping) else {_name(twin): twin for twin in twins}
        if len(self._twins) < len(twins):
            raise ValueError(f"expected a name for each twin, got {[*map(_name, twins)]}")
        self._caught: tuple[type[BaseException], ...] = (AssertionError, pytest.fail.Exception, *caught)

    def __str__(self) -> str:
        given = [
            _name(value) for value in self._given.values() if isinstance(value, str | int) or callable(value)
        ]
        return "-".join(filter(None, [_name(self._check).removeprefix("check_"), self._label, *given]))

    def twins(self) -> Iterator[tuple[str, Any]]:
        """With their names."""
        yield from self._twins.items()

    def hold(self, request: pytest.FixtureRequest) -> None:
        """The real part keeps it."""
        self._bind(self._real, request)()

    def catch(self, twin: Any, request: pytest.FixtureRequest) -> None:
        """The check notices that the twin does not."""
        part = twin
        if isinstance(twin, Patches):
            part = self._real
            for patch in twin.patches:
                request.getfixturevalue("monkeypatch").setattr(*patch)
        check = self._bind(part, request)  # a fixture that fails is no catch
        try:
            check()
        except BaseException as error:
            if not self._is_caught(error):
                raise
        else:
            pytest.fail(f"{self} does not notice {_name(twin)}")

    def _bind(self, part: Any, request: pytest.FixtureRequest) -> Callable[[], object]:
        parts = () if part is None else (part,)
        wanted = [*inspect.signature(self._check).parameters.values()][len(parts) :]
        fixtures = [
            each.name for each in wanted if each.default is each.empty and each.name not in self._given
        ]
        found = {name: request.getfixturevalue(name) for name in fixtures}
        return partial(self._check, *parts, **self._given, **found)

    def _is_caught(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):  # of several examples
            return all(map(self._is_caught, error.exceptions))
        return isinstance(error, self._caught)


class MadePromise(Promise):
    """What `check` asserts of all that the fixture `by` makes: it gets that function, which makes nothing but
    broken ones for a twin. A twin is caught by an error with `says` in its text."""

    def __init__(
        self,
        check: Any,
        *twins: Any,
        by: str = "make_site",
        caught: tuple[type[Exception], ...] = (),
        says: str = "",
        label: str = "",
        **given: Any,
    ) -> None:
        super().__init__(check, None, twins, caught, label, **given)
        self._by, self._says = by, says

    def hold(self, request: pytest.FixtureRequest) -> None:
        self._bind(request.getfixturevalue(self._by), request)()

    def catch(self, twin: Any, request: pytest.FixtureRequest) -> None:
        super().catch(partial(request.getfixturevalue(self._by), twin), request)

    def _is_caught(self, error: BaseException) -> bool:
        return super()._is_caught(error) and bool(re.search(self._says, str(error)))


def _name(thing: Any) -> str:
    while isinstance(thing, partial):
        thing = thing.func
    return getattr(thing, "__name__", None) or str(thing)


def promises(
    *given: Promise | Mapping[Any, Twins],  # any callable: one whose arguments differ, too
) -> tuple[Callable[..., None], Callable[..., None]]:
    """One test that each promise is kept, and one that each twin is caught."""
    rows: list[Promise] = []
    for each in given:
        if isinstance(each, Promise):
            rows.append(each)
        else:
            rows += (Promise(check, None, twins) for check, twins in each.items())
    twins = [
        pytest.param(promise, twin, id=f"{promise}-{name}")
        for promise in rows
        for name, twin in promise.twins()
    ]

    @pytest.mark.parametrize("promise", rows, ids=str)
    def test_promise(promise: Promise, request: pytest.FixtureRequest) -> None:
        promise.hold(request)

    @pytest.mark.twin
    @pytest.mark.parametrize(("promise", "twin"), twins)
    def test_twin(promise: Promise, twin: Any, request: pytest.FixtureRequest) -> None:
        promise.catch(twin, request)

    return test_promise, test_twin


def cases(
    check: Callable[..., object],
    given: Iterable[Any],
    twins: Callable[[Any], Twins],
    caught: tuple[type[Exception], ...] = (),
) -> list[Promise]:
    """What a check that takes no part asserts of each `case`, by its number, with the twins of that case."""
    numbered = enumerate(given)
    return [Promise(check, None, twins(case), caught, str(number), case=case) for number, case in numbered]


# --- twins of a class, each in a line


def twin(
    base: type[Part],
    name: str,
    method: str,
    *,
    instead: Callable[..., Any] | None = None,
    first: Callable[[Any], object] = lambda self: None,
    then: Callable[[Any], object] = lambda self: None,
) -> type[Part]:
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


def sets(**fields: object) -> Callable[[Any], object]:
    """What a twin does first, or then: it sets these of its fields."""
    return lambda self: vars(self).update(fields)


def nothing(*_arguments: Any, **_keywords: Any) -> None:
    """What a twin does instead."""


def says_each(base: type[Part], method: str, trouble: str = "trouble") -> type[Part]:
    """Each failure is news."""
    return twin(
        base, "says each", method, first=lambda self: vars(vars(self)[trouble]).update(is_failing=False)
    )
