"""The program at the end of a pipe: `tail -F`, a FIFO over kills."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from qps_service.following.stream import LOST
from tests.fault import broken
from tests.fault.program import GUARD, MakeSite, Process, Site
from tests.promised import MadePromise, promises

pytestmark = pytest.mark.real_time


def ends(process: Process, site: Site) -> None:
    """By itself, in good order, and all that was written is counted."""
    assert process.process.wait(GUARD) == 0, site.stderr
    site.check()
    site.audit()
    assert "possible loss" not in site.stderr


def check_tail_f(make_site: MakeSite) -> None:
    """`tail -F log | qps-reporter run -`: through a rotation, and the end of tail is the end."""
    site = make_site(interval="100ms")
    source = site.log.with_name("source.log")
    source.touch()
    with subprocess.Popen(
        ["tail", "-n", "+1", "-s", "0.1", "-F", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tail:
        try:
            process = site.start("-", stdin=tail.stdout)
            for number in range(3):
                with source.open("ab", buffering=0) as log:
                    for begun in (b"10.0.0.1\tGET ", b"/%d\t200\t10\n" % site.next_number()):
                        log.write(begun)
                    site.expected[f"/{number}"] += 1
                assert process.has_counted(number + 1), site.stderr
                source.rename(f"{source}.{number}")
        finally:
            tail.terminate()
        ends(process, site)


@pytest.fixture
def store() -> Iterator[dict[str, int]]:
    kept: dict[str, int] = {}
    yield kept
    for descriptor in kept.values():
        os.close(descriptor)


def check_a_fifo(make_site: MakeSite, store: dict[str, int]) -> None:
    """Writers come and go, also while nobody runs: none is left without a reader, after a kill neither, and
    that is told once, since nobody knows whether something had been read."""
    site = make_site(interval="100ms")
    os.mkfifo(site.log)
    written = 0
    for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
        process = site.start(store=store)
        process.told("READY=1")
        for _ in range(2):
            writer = site.writer()
            writer.lines(3)
            written += 3
            assert process.has_counted(written), site.stderr
            writer.lines(2)
            written += 2
            assert process.has_counted(written), site.stderr
            writer.close()
        writer = site.writer()
        process.process.send_signal(end)
        process.end()
        writer.lines(4)
        writer.close()
        site.writer().lines(4)
        written += 8
    site.start(store=store).told("READY=1")
    site.check()
    told = [str(what) for what, _ in site.query("SELECT what, id FROM loss")]
    assert told == [str(os.fsencode(LOST))]


test_promise, test_twin = promises(
    MadePromise(check_tail_f, broken.takes_a_pause_for_the_end),
    MadePromise(
        check_a_fifo,
        broken.leaves_no_pipe_with_systemd,
        broken.says_nothing_of_a_kill,
        caught=(BrokenPipeError,),
    ),
)
