"""Registered methods always have a place, invented ones a few."""

from qps_service.counting.methods import INVENTED_LIMIT, REGISTERED, Methods
from qps_service.values.counts import OTHER
from tests.limits import Doubled
from tests.promised import Promise, promises, twin

INVENTED = [b"M%d" % number for number in range(INVENTED_LIMIT + 5)]


def check_registered_ones_have_places(make: type[Methods]) -> None:
    """Whatever was asked for before, in this process or, without any bound, in an earlier one."""
    for known in ((), INVENTED):
        methods = make(known)
        named = [methods.of(method) for method in (*INVENTED, *reversed(INVENTED))]
        assert {name for name in named if name != OTHER} == set(known or INVENTED[:8])
        assert {methods.of(method) for method in REGISTERED} == REGISTERED


def check_names_are_for_good(make: type[Methods]) -> None:
    """Who had a name keeps it, and takes the place of a new one."""
    methods = make([b"PURGE", b"GET", OTHER, *INVENTED[:7]])
    assert [methods.of(method) for method in (b"PURGE", b"BAN", b"GET", OTHER)] == [
        *(b"PURGE", OTHER),
        *(b"GET", OTHER),
    ]


def check_a_long_name_has_no_place() -> None:
    assert [Methods().of(b"M" * length) for length in (32, 33)] == [b"M" * 32, OTHER]


def test_what_is_registered() -> None:
    """By the registry of June 2026; `-` is what servers log for what they could not read."""
    assert len(REGISTERED) == 40 + 1
    assert {b"GET", b"BASELINE-CONTROL", b"QUERY", b"VERSION-CONTROL", b"-"} <= REGISTERED


class FirstCome(Methods):  # the first ones have places, whoever they are
    def of(self, method: bytes) -> bytes:
        self._names.pop(method, None) if method in REGISTERED else None
        return super().of(method)


Unbounded = twin(
    Methods, "Unbounded", "of", instead=lambda self, method: self._names.setdefault(method, method)
)

test_promise, test_twin = promises(
    Promise(check_a_long_name_has_no_place, None, [Doubled("counting.methods:INVENTED_LENGTH")]),
    Promise(
        check_registered_ones_have_places,
        Methods,
        [
            FirstCome,
            Unbounded,
            Doubled("counting.methods:INVENTED_LIMIT"),
            twin(Methods, "forgets", "__init__", then=lambda self: vars(self).update(_names={})),
        ],
    ),
    Promise(check_names_are_for_good, Methods, [Unbounded]),
)
