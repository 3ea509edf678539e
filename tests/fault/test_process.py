"""The program as a process: signals, pipes, systemd's socket. Nothing here waits but for what must come."""

import gzip
import os
import signal
import socket
import subprocess
import zlib

import pytest

from tests.fault import broken
from tests.fault.program import GUARD, MakeSite, Site, run_program, until
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time

RULE = "=" * 29 + "\n"


def test_the_end_of_tail_is_the_end(make_site: MakeSite) -> None:
    """`tail -F log | qps-reporter run -`, through rotations."""
    site = make_site(interval="100ms")
    source = site.log.with_name("source.log")
    source.touch()
    command = ["tail", "-n", "+1", "-s", "0.1", "-F", str(source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        try:
            process = site.start("-", stdin=tail.stdout)
            for number in range(3):
                with source.open("ab", buffering=0) as log:
                    for begun in (b"10.0.0.1\tGET ", b"/%d\t200\t10\n" % number):
                        log.write(begun)
                site.expected[f"/{number}"] += 1
                assert process.has_counted(number + 1), site.stderr
                source.rename(f"{source}.{number}")
        finally:
            tail.terminate()
        assert process.process.wait(GUARD) == 0, site.stderr
    site.check()
    site.audit()
    assert "possible loss" not in site.stderr


def counts_on_without_journald(make_site: MakeSite) -> None:
    """Its stdout is a socket to journald, which ends: it says so once, and ends when it is told to."""
    site = make_site(interval="100ms", flags=("--json",))
    far, near = socket.socketpair()
    with far, near:
        status = os.fstat(near.fileno())
        journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        process = site.start(stdout=near.fileno(), extra=journal)
        process.told("READY=1")
    site.writer().lines(7)
    assert process.has_counted(7)
    process.stop()
    site.check()
    assert site.stderr.count("cannot write to stdout: Broken pipe\n") == 1


test_a_socket_without_a_reader, test_a_socket_that_is_a_pipe_is_caught = promises(
    MadePromise(counts_on_without_journald, broken.knows_no_supervisor)
)


def calls_of(site: Site) -> str:
    """All that were signalled, to the last."""
    calls = site.root / "calls"
    until(lambda: "\nexit_group(0)" in calls.read_text(), "strace's last line")
    return calls.read_text()


def an_orderly_end_has_status_0(make_site: MakeSite, *, once: bool, number: signal.Signals) -> None:
    """Whatever signal comes with any system call after the last commit, to the end of the interpreter."""
    site = make_site(broken.is_signalled_to_its_end)
    (site.root / "signal").write_text(number.name)
    site.writer().lines(7)
    process = site.start(once=once)
    if not once:
        assert "requests/s" in process.told("READY=1")
        process.process.send_signal(signal.SIGTERM)
        process.told("STOPPING=1")
        process.end()
        assert site.stderr == (
            f"qps-reporter: following {site.log}\n"
            f"qps-reporter: {site.log} is read in the format default: 7 of 7 lines fit default\n"
            "qps-reporter: stopped; 7 requests counted and 0 lines rejected in total\n"
        )
    assert process.process.wait(GUARD) == 0
    assert "\nwrite(1, " in calls_of(site)  # the report
    assert RULE in site.stdout
    site.check()


def a_command_that_ends_has_status_0(make_site: MakeSite) -> None:
    """Likewise one that the unit runs before the service."""
    site = make_site()
    site.root.joinpath("signal").write_text("SIGTERM")
    twins = [*site.twins, broken.is_signalled_to_its_end]
    done = run_program(
        *("check", "--config-only", "--config", site.config),
        twins=twins,
        env={**os.environ, "SITE": str(site.root)},
    )
    assert done.returncode == 0
    assert calls_of(site)


test_the_last_moment, test_a_last_moment_with_signals_is_caught = promises(
    *(
        MadePromise(an_orderly_end_has_status_0, *twins, once=once, number=number)
        for once, number, twins in (
            (False, signal.SIGTERM, [broken.hears_signals_to_its_end]),
            (True, signal.SIGUSR1, [broken.hears_signals_to_its_end]),
            (True, signal.SIGHUP, []),
        )
    ),
    MadePromise(a_command_that_ends_has_status_0, broken.hears_signals_to_its_end),
)


def outputs_stay_out_of_its_own_files(make_site: MakeSite) -> None:
    """At the start the program ends; a reload changes nothing. What an output would write is not made."""
    site = make_site()
    site.writer().lines(7)
    process = site.ready()
    own = site.state / "ledger.db-journal"
    site.configure(f'[output.json]\npath = "{own}"\n')
    process.process.send_signal(signal.SIGHUP)
    process.told("RELOADING=1")
    process.told("READY=1")
    said = f"{site.config}: output.json.path: expected another file, got the ledger's: {own}\n"
    assert site.stderr.endswith(f"reload refused, going on as before: {said}")
    process.stop()
    assert not own.exists()
    site.once(status=1)
    assert site.stderr.endswith(f"qps-reporter: {said}")
    assert not own.exists()
    site.reconfigure(str(own), f"{site.root}/reports.jsonl")
    with site.log.open("a") as log:
        process = site.start(once=True, stdout=log.fileno())
    assert process.process.wait(GUARD) == 1
    assert "stdout: expected another file, got a log: " in site.stderr
    site.check()


test_outputs_into_its_own_files, test_outputs_that_are_not_looked_at_are_caught = promises(
    MadePromise(outputs_stay_out_of_its_own_files, broken.writes_where_it_is_told)
)


def ten_logs_take_one_inotify_instance(make_site: MakeSite) -> None:
    site = make_site()
    site.configure("".join(f'[log.site{number}]\npath = "{site.root}/{number}.log"\n' for number in range(9)))
    process = site.ready()
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{process.process.pid}/fd")]
    assert sum("inotify" in link for link in links) == 1


test_many_logs, test_an_instance_for_each_log_is_noticed = promises(
    MadePromise(ten_logs_take_one_inotify_instance, broken.watches_each_log_alone)
)


# Lines that hardly compress; 4 MiB of them.
LINES = b"".join(
    b"10.0.0.1\tGET /%08d/%08x/%08x\t200\t10\n" % (number, zlib.crc32(b"%d" % number), number)
    for number in range(80_000)
)


@pytest.fixture
def make_watched_site(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> MakeSite:
    """Each sign of life is sent."""
    monkeypatch.setenv("WATCHDOG_USEC", "2")
    return make_site


def lives_while_it_decompresses(make_site: MakeSite) -> None:
    """A stop comes when a text that was read begins to be decompressed: that is said, and after that there is
    a sign for each MiB at least, however long it takes."""
    site = make_site()
    site.log.write_bytes(LINES)
    site.once()
    site.log.with_name("access.log.1.gz").write_bytes(gzip.compress(LINES, 1))
    site.log.unlink()
    site.writer().lines(1)
    site.twins.append(broken.is_stopped_when_it_decompresses)
    process = site.start(once=True)
    process.told("STOPPING=1")
    signs = 0
    while process.next_told("WATCHDOG=1"):
        signs += 1
    assert signs >= len(LINES) >> 20, f"only {signs} signs"
    process.end()
    assert process.process.returncode == 0


test_a_stop_meanwhile, test_a_stop_meanwhile_catches_its_twin = promises(
    MadePromise(
        lives_while_it_decompresses,
        broken.shows_no_sign_of_life,
        broken.heeds_no_signal_while_alive,
        by="make_watched_site",
    )
)
