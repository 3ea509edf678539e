"""How long rules may take: the true timer on patterns without end, and shares of time on told clocks."""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from qps_service.counting.routes import Routes
from qps_service.counting.rules import Rule, compile_match, make_rule
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice
from qps_service.service import rule_time as module
from qps_service.service.rule_time import BUDGET, LIMIT, ORDINARY, PERIOD, CpuLimit, RuleTime, TookTooLong
from qps_service.text.units import MILLISECOND, SECOND
from qps_service.values.counts import OTHER
from tests.limits import Doubled
from tests.promised import Patches, Promise, answers, promises, sets, twin

QUIET_AFTER = module.QUIET_AFTER


def rule(match: str, name: str = "/x") -> Rule:
    return make_rule(compile_match(match), name)


# --- one match

A = b"a" * 200
WITHOUT_END = {  # each would take hours
    r"(.*)/(.*)/(.*)/(.*)/(.*)\.php$": b"/" * 1020,
    r"^/(\w+/?)+$": b"/" + A + b"!",
    r"^(?:a+?)+?$": A + b"!",
    r"(?i)^(?:[A-Z]|q|.)*$": A + b"\n\n",
    r"^(?=(?:a+)+b)": A,
    r"^(?!(?:a+)+b)c": A,
    r"^(?>(?:a+)+b)": A,
    r"^(?:(?:a+)+b)++": A,
    r"^(a+)+\1+b$": A,
    r"(?:.*foo){9}x": b"foo" * 340,  # long scans for a literal
    r"(?:a*(?<=aaaaaaaaaa))+b": A,
    r"^((a)?(?(2)a+|b))+$": A + b"!",
}


@pytest.fixture(autouse=True)
def handler() -> Any:
    """As it was."""
    before = signal.getsignal(signal.SIGVTALRM)
    yield
    signal.signal(signal.SIGVTALRM, before)


def installed(make: type[CpuLimit] = CpuLimit) -> CpuLimit:
    limit = make()
    limit.install()
    return limit


@pytest.mark.parametrize("match", WITHOUT_END)
def test_whatever_the_pattern_does_it_ends(match: str) -> None:
    """That this returns at all is what is asserted."""
    made, took = installed()(rule(match).apply, WITHOUT_END[match])
    assert made is None
    assert took >= LIMIT // 2


TIMES = 8


def check_a_match_ends(make: type[CpuLimit]) -> None:
    """Some eight limits long, so that twins end, too."""
    slow = rule(r"(.*)/(.*)/(.*)\.php$")
    limit, began = installed(make), time.thread_time_ns()
    for _ in range(TIMES):
        assert limit(slow.apply, b"/" * 300)[0] is None
    # Of the thread's CPU, whatever else the machine does; several, because the timer counts in ticks.
    assert time.thread_time_ns() - began < 1.5 * TIMES * LIMIT
    made, took = limit(rule("a+").apply, b"/a")
    assert made == b"/x"
    assert took < LIMIT


def check_late_signals_do_nothing(make: type[CpuLimit]) -> None:
    """Neither where nothing is limited, nor to work that has just begun."""
    limit = installed(make)
    try:
        signal.raise_signal(signal.SIGVTALRM)
        assert limit(interrupted, signal.SIGVTALRM)[0] == b"done"
        with pytest.raises(ZeroDivisionError):
            limit(lambda: 1 // 0)
        signal.raise_signal(signal.SIGVTALRM)
    except TookTooLong:
        pytest.fail("it was raised where nobody expects it")
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


def interrupted(number: int) -> bytes:
    signal.raise_signal(number)
    return b"done"


def raises_when_working(self: CpuLimit, *_: object) -> None:
    if self._is_working:
        raise TookTooLong


def never_disarmed(which: int, seconds: float, interval: float = 0.0) -> None:
    if seconds:
        REAL_TIMER(which, 1000)


REAL_TIMER = signal.setitimer


def test_another_signal_does_not_end_a_match() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        made, _ = installed()(interrupted, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (made, heard) == (b"done", [signal.SIGUSR1])


# --- all of them

SLOW, QUICK = rule("slow"), rule("quick")


class Told:
    """CPU time and clock as told: a target takes 1 ms for each `-` behind its `=`, and half for each `.`."""

    def __init__(self, make: type[RuleTime] = RuleTime) -> None:
        self.now = 0
        self.spent = 0  # nanoseconds of CPU time
        self.signs = 0
        self.is_reporting = True
        self.notices: list[Notice] = []
        self.rule_time = make(self, lambda: self.now, self.notices.append)
        self.rule_time.working = self.sign
        self.rule_time.is_reporting = lambda: self.is_reporting

    def sign(self) -> None:
        self.signs += 1

    def __call__(self, work: Callable[..., Any], *given: Any) -> tuple[Any, int]:
        route = next(each for each in given if isinstance(each, bytes))
        is_quick = getattr(work, "__self__", None) is QUICK
        _, _, told = route.partition(b"=")
        took = 0 if is_quick else told.count(b"-") * MILLISECOND + told.count(b".") * MILLISECOND // 2
        took = min(took, LIMIT) or ORDINARY
        self.spent += took
        return (None if took == LIMIT else work(*given)), took

    def of(self, route: bytes, rules: tuple[Rule, ...] = (QUICK, SLOW)) -> bytes | None:
        return self.rule_time(rules, route, 1024)


NEW = b"/" + b"n" * 99


def targets(milliseconds: int, count: int, first: int = 0) -> list[bytes]:
    return [b"/%d=" % number + b"-" * milliseconds for number in range(first, first + count)]


def check_share(make: type[RuleTime]) -> None:
    """A fifth of the time, for all logs, whatever each target takes; then nothing until the next period."""
    for took in (0, 1, 10, 50):
        told = Told(make)
        for period in range(3):
            told.now, told.spent = period * 2 * PERIOD, 0
            count = 1000 if took else BUDGET // ORDINARY
            for one, two in zip(targets(took, count), targets(took, count), strict=True):
                told.now += PERIOD // 5 // count
                told.of(one)
                told.of(two, (SLOW,))
            assert 0.7 * BUDGET < told.spent < 1.2 * BUDGET
            assert told.of(NEW) is None
        told.now += PERIOD
        assert told.of(NEW) == NEW
    assert BUDGET * 5 == PERIOD


def check_the_ordinary_is_free(make: type[RuleTime]) -> None:
    """However many there are at once while no report is due: a start may read gigabytes."""
    told = Told(make)
    told.is_reporting = False
    for target in targets(0, 12_000):
        assert told.of(target) is not None
    assert told.spent > BUDGET
    assert told.notices == []


def check_short_ones_have_time(make: type[RuleTime]) -> None:
    """Those less than half as long as any that is slow; what they have is within the share."""
    told = Told(make)
    for target in targets(1000, 100, first=100):
        told.of(target)
    spent = told.spent
    assert told.of(b"/user/1234") == b"/user/1234"
    assert told.of(NEW * 6) is None
    assert told.spent == spent + ORDINARY
    for number in range(2000):
        told.of(b"/%d=." % number)
    assert spent < told.spent < spent + 1.2 * BUDGET / 4


def check_rare_ones_never_add_up(make: type[RuleTime]) -> None:
    told = Told(make)
    for number, target in enumerate(targets(40, 500)):
        told.now = number * PERIOD // 5
        assert told.of(target) == target
    assert told.notices == []


def check_what_is_remembered(make: type[Routes]) -> None:
    """A target that is too slow is OTHER, and not tried again; one without time is, when there is some."""
    told = Told()
    routes = make((QUICK, SLOW), limited=told.rule_time)
    slow, *more = targets(50, 40)
    assert [routes.of(slow), routes.of(slow)] == [OTHER, OTHER]
    assert told.spent < 5 * LIMIT  # and what it takes to name the rule
    for target in more:
        routes.of(target)
    assert routes.of(NEW) == OTHER
    told.now += PERIOD
    assert routes.of(NEW) == NEW
    told.spent = 0
    assert routes.of(slow) == OTHER
    assert told.spent == 0


class ForgetsTheSlow(Routes):
    def _derive(self, target: bytes) -> bytes | None:
        route = super()._derive(target)
        return None if route == OTHER else route


ENDED = f"took 50.0 ms on '/0={'-' * 50}' and was ended; that target is counted under other"
SPENT = (
    "rules took 0.3 s of 2 s: for the rest of them, long targets that are not known yet "
    "are counted under other; "
)


def check_notices(make: type[RuleTime]) -> None:
    """Each once, with the rule; again when there was no reason for long."""
    told = Told(make)

    def flood() -> list[str]:
        told.notices.clear()
        for _ in range(4):
            for target in targets(50, 30):
                told.of(target)
            told.now += PERIOD
        assert {notice.kind for notice in told.notices} <= {kinds.SLOW_RULE}
        return [notice.text for notice in told.notices]

    ended, spent = flood()
    assert ended == f"the rule 'slow' {ENDED}"
    assert spent.startswith(f"{SPENT}the rule 'slow' took 50.0 ms on '/")
    assert flood() == []
    told.now += QUIET_AFTER - 2 * PERIOD
    assert flood() == []
    told.now += QUIET_AFTER
    assert len(flood()) == 2


def check_signs(make: type[RuleTime]) -> None:
    """For each second of CPU, be it free or not: tens of thousands of rows are counted at once."""
    told = Told(make)
    told.is_reporting = False
    for target in targets(0, 30_000):
        told.of(target)
    assert told.signs == told.spent // SECOND == 3


def test_a_long_target_is_shown_by_its_start() -> None:
    told = Told()
    told.of(b"/\x1b" + b"y" * 5000 + b"=" + b"-" * 60)
    (notice,) = told.notices
    assert len(notice.text) < 250
    assert "\x1b" not in notice.text


def test_the_limit_and_the_share_together() -> None:
    """The true ones: what takes hours each is OTHER, and what a site has is not."""
    notices: list[Notice] = []
    now = [0]
    made = RuleTime(installed(), lambda: now[0], notices.append)
    routes = Routes([rule(r"(.*)/(.*)/(.*)\.php$", "/php"), rule("^/user/[0-9]+", "/user")], limited=made)
    assert routes.of(b"/" * 1020) == OTHER
    assert routes.of(b"/user/1") == b"/user"
    assert ["'(.*)/(.*)/(.*)\\.php$'" in notice.text for notice in notices] == [True]


NEVER_AGAIN = twin(RuleTime, "never again", "_begin_anew", instead=lambda *_: False)
NOTHING_IS_CHARGED = twin(RuleTime, "nothing is charged", "__call__", first=sets(_left=BUDGET))
THE_ORDINARY_IS_FREE = twin(
    RuleTime, "the ordinary is free", "__call__", first=sets(is_reporting=lambda: False)
)


NoSign = twin(RuleTime, "NoSign", "__call__", first=sets(_unsigned=0))


test_promise, test_twin = promises(
    Promise(check_a_match_ends, CpuLimit, [Doubled("service.rule_time:LIMIT")]),
    Promise(
        check_late_signals_do_nothing,
        CpuLimit,
        {
            "raises when working": twin(CpuLimit, "raises when working", "_end", instead=raises_when_working),
            "is never disarmed": Patches((signal, "setitimer", never_disarmed)),
        },
    ),
    Promise(
        check_share,
        RuleTime,
        {
            "never again": NEVER_AGAIN,
            "nothing is charged": NOTHING_IS_CHARGED,
            "the ordinary is free": THE_ORDINARY_IS_FREE,
            "twice as much": Doubled("service.rule_time:BUDGET"),
        },
        caught=(IndexError,),
    ),
    Promise(
        check_the_ordinary_is_free,
        RuleTime,
        {"all is charged": Patches((module, "ORDINARY", 0), (module, "ORDINARY_RULE", 0))},
    ),
    Promise(
        check_short_ones_have_time,
        RuleTime,
        {
            "none has": Patches((module, "ENDLESS", 0)),
            "all have": Patches((module, "SLOW", 2 * LIMIT)),
            "more than there is": Patches(
                (module, "BUDGET", 2 * BUDGET), (module, "RESERVE", 5 * BUDGET // 4)
            ),
        },
    ),
    Promise(check_rare_ones_never_add_up, RuleTime, [NEVER_AGAIN]),
    Promise(check_what_is_remembered, Routes, [ForgetsTheSlow]),
    Promise(
        check_notices,
        RuleTime,
        {
            "each time": answers(module._News, "is_news", True),
            "never again": Patches((module, "QUIET_AFTER", 10 * QUIET_AFTER)),
            "any rule": Patches(
                (RuleTime, "_slowest", lambda self, rules, _: f"the rule '{rules[0].match}'")
            ),
        },
        caught=(ValueError,),
    ),
    Promise(check_signs, RuleTime, [NoSign]),
)
