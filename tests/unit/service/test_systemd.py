"""What systemd is told, and when. Datagrams and time are plain values here."""

from collections.abc import Sequence

import pytest

from qps_service.service.systemd import EXTENSION, Supervisor, watchdog_of
from tests.promised import Promise, promises, sets, twin

SECOND = 10**9
TIMEOUT = 20 * SECOND
EXTEND = "EXTEND_TIMEOUT_USEC=30000000"


class Systemd:
    """Hears what it is told, and when."""

    def __init__(self, supervisor: type[Supervisor] = Supervisor, watchdog: int | None = TIMEOUT) -> None:
        self.now = 0
        self.heard: list[tuple[int, str]] = []
        self.supervisor = supervisor(self._hear, watchdog)

    def _hear(self, text: str, _descriptors: Sequence[int]) -> None:
        self.heard.append((self.now, text))

    def alive_at(self, *moments: int) -> None:
        for self.now in moments:
            self.supervisor.alive(self.now)

    def moments(self, text: str) -> list[int]:
        return [moment for moment, said in self.heard if said == text]


# --- the watchdog


def is_fed_at_half_of_the_timeout(supervisor: type[Supervisor]) -> None:
    """However often the loop turns, it is fed at half of the time-out, by `alive` alone."""
    systemd = Systemd(supervisor)
    systemd.supervisor.ready("")
    systemd.alive_at(*range(0, 60 * SECOND, SECOND // 4))
    assert systemd.moments("WATCHDOG=1") == [number * 10 * SECOND for number in range(6)]
    systemd.now = 100 * SECOND  # a loop that hangs may still be asked for anything but `alive`
    systemd.supervisor.feed_due(systemd.now)
    systemd.supervisor.status("x")
    systemd.supervisor.reloading(1)
    systemd.supervisor.ready("x")
    systemd.supervisor.stopping()
    assert systemd.moments("WATCHDOG=1")[-1] == 50 * SECOND


# A datagram for each block that is read.
FeedsEachTime = twin(Supervisor, "FeedsEachTime", "alive", first=sets(_fed_at=None))


# Feeds without progress.
FeedsWithTheStatus = twin(
    Supervisor, "FeedsWithTheStatus", "status", first=lambda self: self._notify("WATCHDOG=1")
)


def may_sleep_until_feeding_is_due(supervisor: type[Supervisor]) -> None:
    """A loop that sleeps until `feed_due` feeds in time, wakes no more than that, and never spins."""
    systemd = Systemd(supervisor)
    assert systemd.supervisor.feed_due(7) == 7
    for _ in range(5):
        due = systemd.supervisor.feed_due(systemd.now)
        assert due is not None
        systemd.alive_at(due)
    assert systemd.moments("WATCHDOG=1") == [number * 10 * SECOND for number in range(5)]


class SleepsTooLong(Supervisor):
    """Due at the time-out."""

    def feed_due(self, now: int) -> int | None:
        due = super().feed_due(now)
        return due and due + TIMEOUT // 2


def test_without_a_watchdog_nothing_is_fed() -> None:
    systemd = Systemd(watchdog=None)
    systemd.alive_at(0, 100 * SECOND)
    assert systemd.moments("WATCHDOG=1") == []
    assert systemd.supervisor.feed_due(0) is None


@pytest.mark.parametrize(
    ("environment", "nanoseconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20 * SECOND),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "42"}, 20 * SECOND),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": ""}, None),
        *(({"WATCHDOG_USEC": text}, None) for text in ("0", "", "-1", "²", "20s")),
    ],
)
def test_the_watchdogs_timeout(environment: dict[str, str], nanoseconds: int | None) -> None:
    assert watchdog_of(environment, 42) == nanoseconds


# --- more time for a long first or last read


def gets_more_time_for_a_long_read(supervisor: type[Supervisor]) -> None:
    """While it starts and while it stops it asks for more time, well before that is over; never between."""
    assert EXTENSION == 30 * SECOND
    systemd = Systemd(supervisor, watchdog=None)
    systemd.alive_at(*range(0, 25 * SECOND, SECOND))
    systemd.supervisor.ready("up")
    systemd.alive_at(*range(25 * SECOND, 60 * SECOND, SECOND))
    systemd.supervisor.reloading(0)
    systemd.alive_at(*range(60 * SECOND, 75 * SECOND, SECOND))
    systemd.supervisor.ready("")
    systemd.alive_at(*range(75 * SECOND, 100 * SECOND, SECOND))
    systemd.supervisor.stopping()
    systemd.alive_at(*range(100 * SECOND, 115 * SECOND, SECOND))
    assert [moment // SECOND for moment in systemd.moments(EXTEND)] == [0, 10, 20, 60, 70, 100, 110]


# A read longer than the extension is killed.
ExtendsOnlyOnce = twin(Supervisor, "ExtendsOnlyOnce", "alive", then=sets(_in_transition=False))


# A service that is up asks for more time to start.
ExtendsForever = twin(Supervisor, "ExtendsForever", "ready", then=sets(_in_transition=True))


# --- the datagrams


def test_the_datagrams() -> None:
    systemd = Systemd(watchdog=None)
    systemd.supervisor.ready("following access.log")
    systemd.supervisor.status("3 requests/s")
    systemd.supervisor.reloading(123_456)
    systemd.supervisor.stopping()
    assert [text for _, text in systemd.heard] == [
        "READY=1\nSTATUS=following access.log",
        "STATUS=3 requests/s",
        "RELOADING=1\nMONOTONIC_USEC=123456",
        "STOPPING=1\nSTATUS=stopping",
    ]


def goes_on_though_nobody_listens(supervisor: type[Supervisor]) -> None:
    def deaf(_text: str, _descriptors: Sequence[int]) -> None:
        raise ConnectionRefusedError

    told = supervisor(deaf, TIMEOUT)
    told.alive(0)
    told.ready("")
    told.status("")
    told.reloading(0)
    told.stopping()
    told.keep(7, "access@0@1-2")
    told.drop("access@0@1-2")


# --- each with its twins

# The last read gets no more time.
ForgetsTheStop = twin(
    Supervisor, "ForgetsTheStop", "stopping", instead=lambda self: self._notify("STOPPING=1")
)
# Who does not listen ends the service.
Insists = twin(
    Supervisor, "Insists", "_notify", instead=lambda self, text, *numbers: self._send(text, numbers)
)

test_promise, test_twin = promises(
    Promise(is_fed_at_half_of_the_timeout, Supervisor, [FeedsEachTime, FeedsWithTheStatus]),
    Promise(may_sleep_until_feeding_is_due, Supervisor, [SleepsTooLong]),
    Promise(gets_more_time_for_a_long_read, Supervisor, [ExtendsOnlyOnce, ExtendsForever, ForgetsTheStop]),
    Promise(goes_on_though_nobody_listens, Supervisor, [Insists], caught=(ConnectionRefusedError,)),
)
