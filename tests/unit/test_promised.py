"""The tables of promises: a twin that is not caught, and a check that fails of itself, are failures."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.promised import Patches, Promise, promises, twin


def check_doubled(double: Callable[[int], int], number: int) -> None:
    assert double(number) == 2 * number


@given(number=st.integers())
@example(number=3)
@example(number=4)
def check_any_doubled(double: Callable[[int], int], number: int) -> None:
    check_doubled(double, number)


def check_refused(parse: Callable[[str], int], tmp_path: object) -> None:
    assert tmp_path
    with pytest.raises(ValueError, match="invalid"):
        parse("x")


class Unit:
    size = 1

    def sized(self) -> int:
        return self.size


def check_unit(unit: type[Unit]) -> None:
    assert unit().sized() == 1


Double = Callable[[int], int]
DOUBLE: Double = lambda number: 2 * number  # noqa: E731
SQUARE: Double = lambda number: number * number  # noqa: E731
BROKEN = twin(Unit, "no size", "sized", instead=lambda self: 0)

test_promise, test_twin = promises(
    Promise(check_doubled, DOUBLE, {"square": SQUARE}, number=3),
    Promise(check_any_doubled, DOUBLE, {"square": SQUARE, "one more": lambda number: 2 * number + 1}),
    Promise(check_refused, int, {"all": lambda text: 0}),
    Promise(check_unit, Unit, [BROKEN, Patches((Unit, "size", 2))]),
    Promise(check_unit, Unit, {"no such": object}, (AttributeError,)),
)


def test_a_twin_that_is_not_caught_is_a_failure(request: pytest.FixtureRequest) -> None:
    promise = Promise(check_doubled, DOUBLE, {"square": SQUARE}, number=2)
    with pytest.raises(pytest.fail.Exception, match="doubled-2 does not notice"):
        promise.catch(SQUARE, request)


def test_other_errors_are_not_taken_for_a_catch(request: pytest.FixtureRequest) -> None:
    promise = Promise(check_doubled, DOUBLE, {}, number=2)
    with pytest.raises(TypeError):
        promise.catch(pow, request)


def test_a_promise_that_is_not_kept_is_a_failure(request: pytest.FixtureRequest) -> None:
    with pytest.raises(AssertionError):
        Promise(check_doubled, SQUARE, {}, number=3).hold(request)


def test_no_twin_hides_behind_the_name_of_another() -> None:
    with pytest.raises(ValueError, match="expected a name for each twin"):
        Promise(check_unit, Unit, [BROKEN, BROKEN])


def check_nothing(_part: object, failing: object) -> None:
    """What fails is the fixture."""


@pytest.fixture
def failing() -> None:
    raise AssertionError("no room")


def test_a_fixture_that_fails_is_no_catch(request: pytest.FixtureRequest) -> None:
    promise = Promise(check_nothing, Unit, [BROKEN])
    with pytest.raises(AssertionError, match="no room"):
        promise.catch(BROKEN, request)


def test_a_twin_has_a_method_that_is_broken() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        twin(Unit, "no such", "no_such", instead=lambda self: 0)


def test_a_twin_does_something_before_or_after() -> None:
    done: list[str] = []
    both = twin(
        Unit, "both", "sized", first=lambda self: done.append("first"), then=lambda self: done.append("then")
    )
    assert both().sized() == 1
    assert done == ["first", "then"]
