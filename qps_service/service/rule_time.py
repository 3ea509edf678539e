"""How long route rules may take: of one target, and of all that come.

`re` has no bound of its own, and whoever sends requests chooses what it works on. Promises: the rules of one
target end after LIMIT of CPU time; what the targets of all logs take stays below a fifth of the time; and as
long as no report is due, since the service starts and reads what it finds, rules that take no more than is
ordinary are never without time, however much there is: that is not charged for then.

A target on which rules were ended is OTHER, and remembered as that. A target that came while there was no
time is OTHER that once: it has its route when it comes again. Both are said. Paths are slow by their length,
so a quarter of the time is for those that are less than half as long as the shortest slow one: otherwise a
few slow requests a second would take the names of all new targets.
"""

import signal
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from types import FrameType
from typing import Protocol, TypeVar

from qps_service.counting.rules import Rule, apply_all
from qps_service.notices import kinds
from qps_service.notices.kinds import Notice, Notify
from qps_service.text.escape import show
from qps_service.text.units import MILLISECOND, SECOND
from qps_service.values.counts import OTHER

# Of one target, for all rules of its log: thousands of times what rules for a site take, and short enough
# that nobody notices one.
LIMIT = 50 * MILLISECOND  # nanoseconds of CPU time
# What the rules of one target may take at no charge while no report is due: ten times of what rules for a
# site take on a slow machine.
ORDINARY = 100_000  # nanoseconds of CPU time,
ORDINARY_RULE = 5_000  # and so many for each rule
# What is charged in a period may come to a fifth of it. In shorter ones there would be no time for what is
# merely uneven, in longer ones new targets would be OTHER for longer, and whoever waits for a look, too.
PERIOD = 2 * SECOND  # nanoseconds
BUDGET = PERIOD // 5  # nanoseconds of CPU time,
RESERVE = BUDGET // 4  # so much of it for short targets alone
# What makes a target a slow one: more than the kernel takes from us by chance.
SLOW = MILLISECOND  # nanoseconds of CPU time
# How much CPU time may pass until the loop shows that it lives: rules run where rows are counted, and there
# are up to 32,768 of them at once.
SIGN_AFTER = SECOND  # nanoseconds
# What was said is said again only if there was no reason to for so long.
QUIET_AFTER = 600 * SECOND  # nanoseconds

ENDLESS = 1 << 62  # bytes

SHOWN = 100  # bytes of a target in a notice

Made = TypeVar("Made")


class TookTooLong(BaseException):
    """Raised within work that has come to its limit, and caught where the limit was set."""


class Limit(Protocol):
    """Does work, and measures it."""

    def __call__(self, work: Callable[..., Made], *given: object) -> tuple[Made | None, int]:
        """What it made, None if it took too long; and the nanoseconds of CPU time that it took."""


class CpuLimit:
    """Ends work after LIMIT of CPU time: by SIGVTALRM, whose handler raises. `re` calls handlers every few
    thousand steps, whatever it is doing, and ends by what they raise.

    This is the one handler in the service that raises, and it does so only between two lines of `__call__`: a
    signal that comes late finds `_is_working` false. One that was meant for earlier work, and comes when the
    next has begun, finds that this had no time to come to its limit; the timer goes on, and sends another.
    Work that takes less than the kernel's tick, some milliseconds, costs two system calls for the timer and
    two for the time: 2 us. Only the main thread can do work here, since Python has handlers run in no other.
    """

    def __init__(self) -> None:
        self._is_working = False
        self._begun = 0  # nanoseconds of CPU time

    def install(self) -> None:
        """Take over SIGVTALRM of the process; without that, the first one would end it."""
        signal.signal(signal.SIGVTALRM, self._end)

    def __call__(self, work: Callable[..., Made], *given: object) -> tuple[Made | None, int]:
        """What it made, None if it took too long; and the nanoseconds of CPU time that it took."""
        made = None
        self._begun = time.thread_time_ns()
        try:
            self._is_working = True
            signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT / SECOND, LIMIT / SECOND)
            made = work(*given)
            self._is_working = False
        except TookTooLong:
            made = None
        finally:
            self._is_working = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return made, time.thread_time_ns() - self._begun

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        # Half of it, because the kernel counts in ticks.
        if self._is_working and time.thread_time_ns() - self._begun >= LIMIT // 2:
            self._is_working = False
            raise TookTooLong


def nobody_waits() -> None:
    """What is to be done again and again, where nobody waits for a sign of life."""


class RuleTime:
    """Applies the rules of all logs within their time: what `Limited` wants."""

    def __init__(self, limit: Limit, clock: Callable[[], int], notify: Notify) -> None:
        """`clock` tells nanoseconds that pass."""
        self.working = nobody_waits  # called again and again while rules are applied
        self.is_reporting: Callable[[], bool] = lambda: True  # whether a report may be due
        self._limit = limit
        self._clock = clock
        self._notify = notify
        self._period = clock()  # when it began
        self._left = BUDGET
        self._unsigned = 0  # nanoseconds of CPU time since the last sign of life
        self._shortest = ENDLESS  # bytes of a route that was slow in this period
        self._worst: tuple[int, Sequence[Rule], bytes] = (0, (), b"")  # of the period: time, rules and route
        self._ended, self._spent = _News(), _News()

    def __call__(self, rules: Sequence[Rule], route: bytes, max_route: int) -> bytes | None:
        """The route; OTHER where that took too long; None where no time is left."""
        is_long = 2 * len(route) > self._shortest
        is_spent = self._left <= (RESERVE if is_long else 0)
        if is_spent and not self._begin_anew(now := self._clock()):
            if self._spent.is_news(now):
                self._say_spent(is_long=is_long)
            return None
        made, took = self._limit(apply_all, rules, route, max_route)
        self._unsigned += took
        self._left -= took if self.is_reporting() else max(0, took - ORDINARY - ORDINARY_RULE * len(rules))
        if took > self._worst[0] or took >= SLOW:
            self._note(took, rules, route, is_ended=made is None)
        if self._unsigned >= SIGN_AFTER:
            self._unsigned = 0
            self.working()
        return OTHER if made is None else made

    def _begin_anew(self, now: int) -> bool:
        if now - self._period < PERIOD:
            return False
        self._period, self._left = now, BUDGET
        self._shortest, self._worst = ENDLESS, (0, (), b"")
        return True

    def _note(self, took: int, rules: Sequence[Rule], route: bytes, *, is_ended: bool) -> None:
        """A target that was slow, or slower than those before; say that it was ended, if it was."""
        if took >= SLOW:
            self._shortest = min(self._shortest, len(route))
        self._worst = max(self._worst, (took, rules, route), key=itemgetter(0))
        if is_ended and self._ended.is_news(self._clock()):
            self._say(f"{self._slowest(rules, route)} and was ended; that target is counted under other")

    def _say_spent(self, *, is_long: bool) -> None:
        targets = "long targets" if is_long else "targets"
        given = f"{(BUDGET - RESERVE if is_long else BUDGET) / SECOND:g} s of {PERIOD // SECOND} s"
        left = f"for the rest of them, {targets} that are not known yet are counted under other"
        self._say(f"rules took {given}: {left}; {self._slowest(*self._worst[1:])}")

    def _slowest(self, rules: Sequence[Rule], route: bytes) -> str:
        """Which rule takes most of the time of a target that is known to be slow."""
        slowest, longest, target = rules[0], -1, route
        for rule in rules:
            made, took = self._limit(rule.apply, route)
            if took > longest:
                slowest, longest = rule, took
            if made is None:
                break
            route = made
        start = f"{show(target[:SHOWN])}…" if len(target) > SHOWN else show(target)
        return f"the rule '{slowest.match}' took {longest / MILLISECOND:.1f} ms on '{start}'"

    def _say(self, text: str) -> None:
        self._notify(Notice(kinds.SLOW_RULE, text))


class _News:
    """Whether something that happens again and again is news: when it did not happen for a while."""

    def __init__(self) -> None:
        self._last: int | None = None  # nanoseconds, when it happened

    def is_news(self, now: int) -> bool:
        """It happens `now`, in nanoseconds."""
        before, self._last = self._last, now
        return before is None or now - before >= QUIET_AFTER
