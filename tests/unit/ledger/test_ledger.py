"""The ledger's promises: whole entries, exact sums, sound times, views that stay."""

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qps_service.ledger import ledger as ledger_module
from qps_service.ledger import rows as rows_module
from qps_service.ledger.database import LedgerError
from qps_service.ledger.ledger import Ledger
from qps_service.ledger.rows import LARGEST
from qps_service.values.counts import NOTHING_BESIDE, Beside, Counts, Key
from qps_service.values.entries import LOSSES_LIMIT, Entry, Loss
from qps_service.values.positions import IgnoredFile, Position
from tests.ledgers import BOOT, EPOCH, SECOND, MakeLedger, entry, key, known, opened, position, rows
from tests.limits import Doubled
from tests.promised import Patches, Promise, patched, promises

# --- what is committed is there


@st.composite
def histories(draw: st.DrawFn) -> list[list[Entry]]:
    """Commits of one log, whose generations are read, let go and forgotten."""
    read: dict[int, tuple[int, int, int]] = {1: (0, 0, 0)}  # generation -> lines, rejected, directives
    forgotten: set[int] = set()
    commits = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            read[max(read) + 1] = 0, 0, 0
        numbers = draw(st.lists(st.integers(0, 5), max_size=5))
        rejected, directives = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        into = draw(st.sampled_from(sorted(read.keys() - forgotten)))
        lines = len(numbers) + rejected + directives
        read[into] = read[into][0] + lines, read[into][1] + rejected, read[into][2] + directives
        known = {number: position(number, *read[number]) for number in sorted(read.keys() - forgotten)}
        closed = draw(st.sets(st.sampled_from(sorted(known)))) - {max(read)}
        gone = draw(st.sets(st.sampled_from(sorted(closed)))) if closed else set()
        forgotten |= gone
        told = entry(
            numbers,
            sequence=draw(st.integers(0, 1)),
            rejected=rejected,
            held=tuple(each for number, each in known.items() if number not in closed),
            retired=tuple(each for number, each in known.items() if number in closed),
            forgotten=tuple(gone),
            beside=Beside(draw(st.integers(0, len(numbers))), directives),
        )
        commits.append([told])
    return commits


FIRST = entry([1, 1, 2], rejected=1, held=(position(1, 6, 1, 2),), beside=Beside(1, 2))
SECOND_ONE = entry([3], held=(position(2, 1),), retired=(position(1, 6, 1, 2),), forgotten=(1,))


@settings(max_examples=min(40, settings().max_examples))
@given(commits=histories(), ends=st.lists(st.booleans(), min_size=6, max_size=6))
@example(commits=[[FIRST], [SECOND_ONE]], ends=[False, False])
def check_sums(make: MakeLedger, commits: list[list[Entry]], ends: list[bool]) -> None:
    """After any commits, and opening again after each: totals are the sum of all entries, the window is that
    of the entries since the last report, and audit's sum over generations comes out."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        path = Path(directory, "ledger.db")
        totals: Counter[Key] = Counter()
        window: Counter[Key] = Counter()
        rejected = window_rejected = 0
        beside = window_beside = NOTHING_BESIDE
        sequence = 0
        lines: dict[int, int] = {}
        held: dict[int, bool] = {}
        for entries, is_end in zip(commits, ends, strict=False):
            ledger = opened(path, make)
            told = [each._replace(sequence=each.sequence and sequence + 1) for each in entries]
            for each in told:
                counts = Counter({key: counts.requests for key, counts in each.counts.items()})
                totals += counts
                rejected += sum(each.rejects.values())
                beside = beside.plus(each.beside)
                if each.sequence:
                    window += counts
                    window_rejected += sum(each.rejects.values())
                    window_beside = window_beside.plus(each.beside)
            ledger.commit(told, sequence=sequence + 1 if is_end else None)
            if is_end:
                sequence += 1
                window, window_rejected, window_beside = Counter(), 0, NOTHING_BESIDE
            restored = known(ledger, now=10**6 * SECOND, at=EPOCH + 10**6 * SECOND)
            assert ledger.sequence == sequence
            assert {key: counts.requests for key, counts in restored.totals.items()} == totals
            assert all(counts.bytes == 7 * counts.requests for counts in restored.totals.values())
            assert restored.rejects == ({"fields": rejected} if rejected else {})
            assert {key: counts.requests for key, counts in restored.window.items()} == window
            assert restored.window_rejects == ({"fields": window_rejected} if window_rejected else {})
            assert (restored.beside, restored.window_beside) == (beside, window_beside)
            for each in told:
                lines |= {position.number: position.lines for position in (*each.held, *each.retired)}
                held |= {position.number: True for position in each.held}
                held |= {position.number: False for position in each.retired}
                held = {number: state for number, state in held.items() if number not in each.forgotten}
            kept = ledger.generations("access")
            assert {position.number: is_held for position, is_held in kept} == held
            assert restored.next_number == max(lines, default=0) + 1
            gone, gone_rejected, gone_directives = ledger.forgotten("access")
            read = sum(position.lines for position, _ in kept) + gone
            assert read == sum(lines.values()) == sum(totals.values()) + rejected + beside.directives
            assert sum(position.rejected for position, _ in kept) + gone_rejected == rejected
            assert sum(position.directives for position, _ in kept) + gone_directives == beside.directives
            ledger.close()


def test_a_position_comes_back_as_it_was(path: Path) -> None:
    """Whatever its name and its numbers: both are 64 bits and bytes to the kernel."""
    odd = position(3, 5)._replace(
        identity=position(3, 5).identity._replace(device=2**64 - 1, inode=2**64 - 1, version=2**32 - 1),
        name="/\udcff\n",
        prefix=bytes(range(256)),
        marker=b"",
        marks=b"\0" * 8,
        oversize=True,
        begun=7,
        modified=-1,
        unended=-1,
        tail=bytes(range(255, -1, -1)),
        owner=2**32 - 1,
        directives=9,
        directive=b"\0\xff",
    )
    unknown, none = position(1, 1)._replace(directive=None), position(2, 2)._replace(directive=b"")
    ignored = (
        IgnoredFile(2**64 - 1, 2**64 - 1, None, 5),
        IgnoredFile(1, 2, 3, 2**62, size=0, modified=-1, digest=bytes(range(16))),
    )
    losses = (Loss(5, "what \udcff", "/\udcff", None), Loss(6, "", "/b", 0))
    ledger = opened(path)
    first = entry([1], held=(odd,), retired=(unknown, none))
    ledger.commit([first._replace(path="/\udcfe", ignored=ignored, losses=losses)], sequence=None)
    ledger.commit([entry([1], held=(odd,))._replace(path="/\udcfe")], sequence=None)
    restored = known(ledger)
    assert restored.path == "/\udcfe"
    assert restored.held == (odd,)
    assert restored.retired == (unknown, none)
    assert restored.ignored == ignored
    assert restored.losses == losses == tuple(ledger.losses("access"))
    assert ledger.logs() == ["access"]
    assert ledger.restore("other", now=0, at=0) is None
    assert ledger.generations("other") == []
    assert ledger.forgotten("other") == (0, 0, 0)
    ledger.commit([entry([], held=(odd,))._replace(ignored=())], sequence=None)
    again = known(ledger)
    assert again.ignored == ()
    ledger.close()


def test_the_format_that_was_chosen(ledger: Ledger) -> None:
    """It is that of the last commit, also where that chose none."""
    for chosen in (None, "w3c", "combined", None):
        ledger.commit([entry([1])._replace(format=chosen)], sequence=None)
        assert known(ledger).format == chosen


def check_newest_losses_stay(ledger: Ledger) -> None:
    for start in range(0, 3000, 300):
        losses = tuple(Loss(at, "w", "/n", at) for at in range(start, start + 300))
        ledger.commit([entry([])._replace(losses=losses), entry([], log="other")], sequence=None)
    assert [loss.at for loss in ledger.losses("access")] == list(range(3000 - LOSSES_LIMIT, 3000))
    assert ledger.losses("other") == []


def check_large_sums(ledger: Ledger) -> None:
    huge = entry([])._replace(counts={key(1): Counts(3, 2**62)})
    for total in (2**62, LARGEST, LARGEST):
        ledger.commit([huge], sequence=None)
        restored = known(ledger)
        assert restored.totals[key(1)].bytes == restored.window[key(1)].bytes == total
    ledger.commit([huge._replace(counts={key(2): Counts(1, 2**64)})], sequence=None)
    restored = known(ledger)
    assert restored.totals == {key(1): Counts(9, LARGEST), key(2): Counts(1, LARGEST)}


# --- what the views show
def check_views(make: MakeLedger, path: Path) -> None:
    """Reported windows only; the length of a window is exact whatever the clock was set to."""
    ledger = opened(path, make)
    hostile = Key(b"GET", b"/\xff\x1b", 99)
    first = entry([1, 1])._replace(counts={key(1): Counts(2, 14), hostile: Counts(1, 2)})
    first = first._replace(rejects={"fields": 2, "not_http": 1})  # for which an earlier version rejected
    ledger.commit([first, entry([1], log="other")], sequence=1)
    ledger.commit([entry([1], sequence=2, started=10 * SECOND, ended=12 * SECOND)], sequence=None)
    start, end = EPOCH / 1e9, EPOCH / 1e9 + 10
    assert rows(ledger.database, "totals") == [
        ("access", "GET", "/1", 200, 3, 21),
        ("access", "GET", r"/\xff\x1b", 99, 1, 2),
        ("other", "GET", "/1", 200, 1, 7),
    ]
    assert rows(ledger.database, "windows") == [
        (1, "access", start, end, "GET", "/1", 200, 2, 14),
        (1, "access", start, end, "GET", r"/\xff\x1b", 99, 1, 2),
        (1, "other", start, end, "GET", "/1", 200, 1, 7),
    ]
    assert rows(ledger.database, "rejects") == [("access", "fields", 2), ("access", "not_http", 1)]
    # Two seconds by CLOCK_BOOTTIME, though the clock was set back by a year.
    late = entry([1], sequence=2, started=10 * SECOND, ended=14 * SECOND)
    ledger.commit([late._replace(at=late.at - 365 * 86400 * SECOND)], sequence=2)
    (row,) = [row for row in rows(ledger.database, "windows") if row[0] == 2]
    assert row[3] - row[2] == 4.0
    assert row[7:] == (2, 14)
    ledger.close()


class ReportsAtOnce(Ledger):  # shows a window that is still open
    def commit(self, entries: object, *, sequence: int | None, number: int | None = None) -> None:
        later = max((each.sequence for each in entries), default=0)  # type: ignore[attr-defined]
        super().commit(entries, sequence=sequence or later, number=number)  # type: ignore[arg-type]


# --- when the unfinished window began
MINUTE, HOUR, YEAR = 60, 3600, 365 * 86400
# The last commit was at 1000 s of CLOCK_BOOTTIME, and its window was 10 s long by then.
# (boot, CLOCK_BOOTTIME now, seconds on the wall since the commit) -> seconds that passed
PASSED = {
    "the same boot": (BOOT, 1100, 100, 100),
    "the same boot, at once": (BOOT, 1000, 0, 0),
    "the same boot, set back": (BOOT, 1100, -HOUR, 100),
    "the same boot, set ahead": (BOOT, 1100, YEAR, 100),
    "another time namespace": (BOOT, 50, 100, 100),
    "another time namespace, set back": (BOOT, 50, -HOUR, 0),
    "a reboot": ("next", 20, MINUTE, MINUTE),
    "a reboot, the machine was up for longer before it": ("next", 900, HOUR, HOUR),
    "a reboot, the machine was up for less before it": ("next", 5000, 2 * HOUR, 2 * HOUR),
    "a reboot, as long ago as possible": ("next", 20, 20, 20),
    "a reboot, set back": ("next", 20, -YEAR, 20),
    "a reboot, set back to the moment": ("next", 20, 0, 20),
    "a container": ("next", 1100, 100, 100),
    "a container, at once": ("next", 1001, 1, 1),
    "a container, slewed": ("next", 1100, 101, 101),
    "a container, set back": ("next", 1100, -HOUR, 100),
    "a container, set back to the moment": ("next", 1100, 0, 100),
    "a container, set back at once": ("next", 1000, -1, 0),
    "moved to a machine that is up for longer": ("next", YEAR, MINUTE, MINUTE),
    "moved to a machine that is up for less": ("next", 900, MINUTE, MINUTE),
    "moved to a machine whose clock looks like ours": ("next", 1005, 10 * MINUTE, 10 * MINUTE),
}


def check_started(make: MakeLedger, tmp_path: Path) -> None:
    """A window goes on that was not reported yet, another begins where the last one ended."""
    last = entry([1], started=990 * SECOND, ended=1000 * SECOND)
    for is_end in (False, True):
        path = tmp_path / f"{is_end}"
        ledger = opened(path, make)
        ledger.commit([last], sequence=1 if is_end else None)
        ledger.close()
        for case, (boot, now, wall, passed) in PASSED.items():
            ledger = opened(path, make, boot)
            restored = ledger.restore("access", now=now * SECOND, at=last.at + wall * SECOND)
            ledger.close()
            assert restored is not None
            length = now * SECOND - restored.started
            assert length == (passed + (0 if is_end else 10)) * SECOND, case
            assert restored.rebooted is (boot != BOOT)
            assert restored.at == last.at
            assert sum(each.requests for each in restored.window.values()) == (0 if is_end else 1)


def waits_for_the_machine(_by_boottime: int, by_date: int, now: int, *, rebooted: bool) -> int:
    """Takes a container's boot id for a machine's that was started since."""
    return max(by_date, now) if rebooted else PASSED_SINCE(_by_boottime, by_date, now, rebooted=rebooted)


def trusts_the_date(_by_boottime: int, by_date: int, _now: int, *, rebooted: bool) -> int:
    """A clock that was set back makes the window end before it began."""
    return by_date


def trusts_boottime(by_boottime: int, _by_date: int, _now: int, *, rebooted: bool) -> int:
    """Whatever machine's it is."""
    return max(by_boottime, 0)


PASSED_SINCE = ledger_module._passed


def test_a_log_that_was_not_followed_in_this_boot_keeps_its_own(path: Path) -> None:
    ledger = opened(path)
    ledger.commit([entry([1]), entry([1], log="other")], sequence=1)
    ledger.close()
    ledger = opened(path, boot="next")
    ledger.commit([entry([1], sequence=2)], sequence=2)
    answers = {log: ledger.restore(log, now=30 * SECOND, at=EPOCH + 90 * SECOND) for log in ledger.logs()}
    rebooted = {log: answer is not None and answer.rebooted for log, answer in answers.items()}
    assert rebooted == {"access": False, "other": True}
    ledger.close()


# --- all or nothing
def check_all_or_nothing(ledger: Ledger) -> None:
    ledger.commit([entry([1], held=(position(1, 1),))], sequence=1)
    before = ledger.restore("access", now=0, at=0)
    bad = entry([2], log="other")._replace(rejects={"fields": None})  # type: ignore[dict-item]
    with pytest.raises(LedgerError):
        ledger.commit([entry([2], held=(position(1, 2),)), bad], sequence=2)
    assert ledger.restore("access", now=0, at=0) == before
    assert (ledger.sequence, ledger.number) == (1, 1)
    ledger.commit([entry([3], sequence=2)], sequence=2)


def check_files_at_rest_cost_nothing(ledger: Ledger, path: Path, logs: int = 50) -> None:
    """A commit writes no position again that is as before; one that has moved, if by a byte, it does."""
    held = {number: position(1, 5)._replace(tail=bytes(8192)) for number in range(logs)}

    def commit() -> int:
        """Bytes that went to the disk."""
        before = path.with_name("ledger.db-wal").stat().st_size
        entries = [entry([], log=f"log {number}", held=(each,)) for number, each in held.items()]
        ledger.commit(entries, sequence=None)
        return path.with_name("ledger.db-wal").stat().st_size - before

    ledger.database.connection.execute("PRAGMA wal_autocheckpoint = 0")
    first = commit()
    assert first > logs * 8192
    assert commit() < first / 8
    here = held[7]
    for held[7] in (
        here._replace(offset=51),
        here._replace(owner=0),
        here._replace(directive=b"#Fields: b"),
        here._replace(directive=None),
        here._replace(tail=bytes(8191) + b"\1"),
        here._replace(identity=here.identity._replace(version=1)),
        here,
    ):
        commit()
        assert ledger.generations("log 7") == [(held[7], True)]
    ledger.commit([entry([], log="log 7", retired=(held[7],))], sequence=None)
    assert ledger.generations("log 7") == [(held[7], False)]


def replaces_all(
    writing: sqlite3.Connection, log: int, held: Sequence[Position], retired: Sequence[Position]
) -> None:
    forget = [(log, each.number) for each in (*held, *retired)]
    writing.executemany("DELETE FROM position WHERE log = ? AND number = ?", forget)
    rows_module.put_positions(writing, log, held, retired)


def leaves_what_is_there(
    writing: sqlite3.Connection, log: int, held: Sequence[Position], retired: Sequence[Position]
) -> None:
    there = {number for (number,) in writing.execute("SELECT number FROM position WHERE log = ?", (log,))}
    new = [[each for each in which if each.number not in there] for which in (held, retired)]
    rows_module.put_positions(writing, log, *new)


ADD = ledger_module._add_totals


def writes_at_once(writing: sqlite3.Connection, log: int, each: Entry) -> None:
    ADD(writing, log, each)
    writing.execute("COMMIT")
    writing.execute("BEGIN IMMEDIATE")


LOSING = ("_add_totals", "_add_window", "forget_positions", "put_positions", "add_rejects", "add_beside")
# SQLite goes on in floating point.
PLAIN = "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, bytes = bytes + excluded.bytes"

test_promise, test_twin = promises(
    Promise(check_sums, Ledger, [Patches((ledger_module, name, lambda *_: None)) for name in LOSING]),
    Promise(check_large_sums, None, [Patches((rows_module, "ADD_COUNTS", PLAIN))]),
    Promise(check_newest_losses_stay, None, [Doubled("ledger.rows:LOSSES_LIMIT")]),
    Promise(check_views, Ledger, [ReportsAtOnce]),
    Promise(
        check_started,
        Ledger,
        patched(ledger_module, "_passed", waits_for_the_machine, trusts_the_date, trusts_boottime),
    ),
    Promise(
        check_files_at_rest_cost_nothing,
        None,
        patched(ledger_module, "put_positions", replaces_all, leaves_what_is_there),
    ),
    Promise(check_all_or_nothing, None, {"at once": Patches((ledger_module, "_add_totals", writes_at_once))}),
)
