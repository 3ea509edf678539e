"""systemd's descriptor store: a file that nobody else holds any longer is read to its end, and counted once.

Each line asks for a route of its own, so that one that is lost or counted twice is seen. But where a
test says otherwise, no window ends by itself: what was read since the last stop dies with the process.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from qps_service.notices.kinds import POSSIBLE_LOSS
from tests.system import faults
from tests.system.checks import check_conservation
from tests.system.debians import on_one
from tests.system.image import GuestError
from tests.system.service import (
    LOG,
    NEVER,
    UNIT,
    Numbered,
    Service,
    configuration,
    counted,
)

pytestmark = pytest.mark.system

NO_STORE = {"FileDescriptorStoreMax": "0"}


def check_counted(service: Service, written: int) -> None:
    """Ledger and reports have each of the first `written` lines once, and nothing else."""
    assert not service.said(POSSIBLE_LOSS)
    assert counted(service) == Counter(f"/{number}" for number in range(written))
    row = {"method": "GET", "status": 200, "requests": 1, "bytes": 100}
    rows = [{**row, "route": f"/{number}"} for number in range(written)]
    check_conservation(service.entries(), {"lines": written, "rows": rows})


def held(service: Service) -> int:
    """How many generations of the log the service has open."""
    script = 'readlink /proc/"$0"/fd/*'
    links = service.guest.run("sh", "-c", script, service.show("MainPID"), check=False).stdout
    return sum(link.startswith(LOG) for link in links.splitlines())


def stored(service: Service) -> int:
    """How many descriptors systemd keeps for the service."""
    return int(service.show("NFileDescriptorStore"))


@pytest.fixture
def enabled(service: Service) -> Iterator[Service]:
    """The service, as it is on a real machine: systemd forgets units that are stopped and not enabled."""
    service.guest.systemctl("enable", UNIT)
    yield service
    service.guest.systemctl("disable", UNIT)


# --- killed


@contextlib.contextmanager
def down(service: Service, **settings: str) -> Iterator[None]:
    """From its SIGKILL to the end of the block nothing of the service runs; then it is ready again."""
    guest = service.guest
    guest.run("rm", "-f", "/run/down", "/run/up")
    guest.run("mkfifo", "/run/down", "/run/up")
    gate = "+/bin/sh -c 'read word </run/down; read word </run/up'"
    service.override(ExecStartPre=gate, RestartSec="0", **settings)
    guest.systemctl("kill", "--signal=KILL", UNIT)
    guest.run("sh", "-c", "echo >/run/down")
    yield
    guest.run("sh", "-c", "echo >/run/up")
    service.start()


def deleted(service: Service, numbered: Numbered) -> None:
    """The log is renamed, still written to, and deleted."""
    with service.log().open("a") as writer:
        service.log().rename(service.log(".1"))
        writer.write(numbered.lines(10))
    service.log(".1").unlink()


def compressed(service: Service, numbered: Numbered) -> None:
    """The log is renamed and compressed; the web server goes on writing to what gzip has deleted."""
    with service.log().open("a") as writer:
        service.log().rename(service.log(".1"))
        service.guest.run("gzip", f"{LOG}.1")
        writer.write(numbered.lines(10))


Fate = Callable[[Service, Numbered], None]


def outage(service: Service, fate: Fate, **settings: str) -> int:
    """Ten lines in the ledger, ten that may have been read, a kill, `fate`, ten in a new log; all of them."""
    numbered = Numbered()
    service.begin(NEVER)
    service.append(numbered.lines(10))
    service.guest.systemctl("restart", UNIT)
    service.append(numbered.lines(10))
    with down(service, **settings):
        fate(service, numbered)
        service.append(numbered.lines(10))
    service.stop()
    return numbered.written


@pytest.mark.parametrize("fate", [deleted, compressed])
def test_what_was_deleted_while_the_service_was_down_is_counted_once(service: Service, fate: Fate) -> None:
    check_counted(service, outage(service, fate))


@pytest.mark.twin
@on_one
@pytest.mark.parametrize(("fate", "lost"), [(deleted, range(10, 30)), (compressed, range(20, 30))])
def test_without_the_store_it_is_lost_and_that_is_said(service: Service, fate: Fate, lost: range) -> None:
    written = outage(service, fate, **NO_STORE)
    assert counted(service) == Counter(f"/{n}" for n in range(written) if n not in lost)
    assert (
        service.said(POSSIBLE_LOSS) or fate is compressed
    )  # of an archive nobody knows that more was written
    with pytest.raises(AssertionError):
        check_counted(service, written)


# --- restarted, or stopped and started


def handed_over(service: Service, commands: Sequence[str]) -> None:
    """A log is deleted while it is followed; after `commands` it is still written to."""
    numbered = Numbered()
    service.begin(NEVER)
    service.append(numbered.lines(10))
    with service.log().open("a") as writer:
        service.log().unlink()
        service.append(numbered.lines(10))
        for command in commands:
            service.guest.systemctl(command, UNIT)
        writer.write(numbered.lines(10))
    in_store, in_hand = stored(service), held(service)
    service.stop()
    check_counted(service, numbered.written)
    assert in_store == in_hand == 2


@pytest.mark.parametrize(
    ("image", "commands"),
    [("bookworm", ["restart"]), ("trixie", ["restart"]), ("trixie", ["stop", "start"])],
    indirect=["image"],
)
def test_the_next_process_holds_what_the_one_before_held(enabled: Service, commands: list[str]) -> None:
    handed_over(enabled, commands)


@pytest.mark.twin
@pytest.mark.parametrize(
    ("image", "commands", "settings"),
    [
        ("bookworm", ["restart"], NO_STORE),
        ("trixie", ["restart"], NO_STORE),
        ("trixie", ["stop", "start"], {"FileDescriptorStorePreserve": "restart"}),
        # systemd 252 keeps nothing for a service that is stopped.
        ("bookworm", ["stop", "start"], {}),
    ],
    indirect=["image"],
)
def test_what_is_not_handed_over_is_missed(
    enabled: Service, commands: list[str], settings: dict[str, str]
) -> None:
    enabled.override(**settings)
    with pytest.raises(AssertionError):
        handed_over(enabled, commands)


# --- a FIFO


@contextlib.contextmanager
def writing(service: Service) -> Iterator[Callable[[str], object]]:
    """A writer to the FIFO, that must have a reader from the beginning to the end."""
    descriptor = os.open(service.log(), os.O_WRONLY | os.O_NONBLOCK)
    try:
        yield lambda text: os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def fed(service: Service, **settings: str) -> None:
    """Writers come and go over a restart and a SIGKILL; one has the FIFO open while the service restarts, one
    comes while nothing of it runs."""
    numbered = Numbered()
    service.override(**settings)
    service.configure(configuration(NEVER))
    service.guest.run("mkfifo", "--mode=644", LOG)
    service.start()
    with writing(service) as write:
        write(numbered.lines(10))
        service.guest.systemctl("restart", UNIT)
        write(numbered.lines(10))
    service.guest.systemctl("restart", UNIT)
    with down(service, **settings):
        kept = stored(service)  # though nobody writes
        with writing(service) as write:
            write(numbered.lines(10))
    service.stop()
    assert kept == 1
    assert counted(service) == Counter(f"/{number}" for number in range(numbered.written))
    assert len(service.said(POSSIBLE_LOSS)) == 1  # nobody knows whether it had read more when it was killed


def test_a_fifo_has_a_reader_while_the_service_is_away(service: Service) -> None:
    fed(service)


@pytest.mark.twin
@on_one
def test_a_fifo_without_a_reader_is_noticed(service: Service) -> None:
    with pytest.raises(OSError, match="No such device or address"):
        fed(service, **NO_STORE)


@pytest.mark.twin
@on_one
def test_a_fifo_that_leaves_the_store_with_its_writer_is_noticed(service: Service) -> None:
    service.inject(faults.let_systemd_poll)
    with pytest.raises(AssertionError):
        fed(service, Environment="PYTHONPATH=/run/faults", ReadWritePaths="/run/faults")


# --- what is in the store


def fill(service: Service, **settings: str) -> None:
    """As many descriptors as the store takes, and a restart."""
    service.inject(faults.fill_the_store, **settings)
    service.trigger()
    service.begin(NEVER)
    assert stored(service) == 1024
    service.guest.systemctl("restart", UNIT)


def test_a_full_store_does_not_hinder_the_next_start(service: Service) -> None:
    fill(service)
    assert stored(service) == held(service) == 1


@pytest.mark.twin
@on_one
@pytest.mark.parametrize(
    ("name", "limit", "caught"),
    [("LimitNOFILE", "1024", GuestError), ("FileDescriptorStoreMax", "2048", AssertionError)],
)
def test_a_limit_too_low_for_a_full_store_and_a_larger_store_are_noticed(
    service: Service, name: str, limit: str, caught: type[Exception]
) -> None:
    with pytest.raises(caught):
        fill(service, **{name: limit})
