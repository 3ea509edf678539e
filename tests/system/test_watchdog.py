"""A service that hangs is restarted by systemd, and each line is counted once all the same.

Each line asks for a route of its own, so that one that is lost or counted twice is seen.
"""

import contextlib
from collections.abc import Iterator

import pytest

from qps_service.notices import kinds
from tests.system.image import GuestError
from tests.system.service import (
    UNIT,
    Numbered,
    Service,
    await_requests,
    configuration,
    counted,
    ended_by,
    is_report,
    says,
)

pytestmark = pytest.mark.system

# The real ones are 30 s, 5 s and 30 s.
IMPATIENT = {"WatchdogSec": "2s", "TimeoutAbortSec": "1s", "TimeoutStopSec": "1s"}
LOST = {"ExecStartPre": "+/bin/sh -c 'rm -f /var/lib/qps-reporter/ledger.db*'"}


def check_counted(service: Service, numbered: Numbered) -> None:
    """The ledger has each line once."""
    service.stop()
    assert counted(service) == {f"/{number}": 1 for number in range(numbered.written)}


# --- a file system that hangs


class Hanging:
    """A FUSE file system whose server can be stopped: whoever asks it something waits then."""

    LOG = "/mnt/hanging/access.log"
    BEHIND = "/srv/behind"

    def __init__(self, service: Service) -> None:
        self._service = service

    def mount(self) -> None:
        guest = self._service.guest
        guest.install("bindfs", "procps")
        guest.run("mkdir", "-p", self.BEHIND, "/mnt/hanging")
        guest.run("bindfs", "-o", "allow_other", self.BEHIND, "/mnt/hanging")

    def signal(self, name: str) -> None:
        self._service.guest.run("pkill", f"--signal={name}", "--exact", "bindfs")

    def append(self, text: str) -> None:
        """Write to the log from behind: whoever looks through the mount sees it, once it answers."""
        path = self._service.guest.path(f"{self.BEHIND}/access.log")
        with path.open("a") as log:
            log.write(text)
        path.chmod(0o644)


@pytest.fixture
def hanging(service: Service) -> Iterator[Hanging]:
    hanging = Hanging(service)
    hanging.mount()
    yield hanging
    with contextlib.suppress(GuestError):
        hanging.signal("CONT")
    service.stop()
    service.guest.run("umount", "/mnt/hanging")
    service.guest.run("rm", "-r", hanging.BEHIND)


def hung(service: Service, hanging: Hanging, **settings: str) -> Numbered:
    """The file system of the log hangs until the watchdog has struck, while lines are written."""
    numbered = Numbered()
    service.override(**IMPATIENT, **settings)
    service.configure(configuration(path=hanging.LOG, start="end"))
    hanging.append("")
    service.start()
    with service.follow() as journal:
        hanging.append(numbered.lines(10))
        await_requests(journal, 10)
        # What systemd hands back is open from now on.
        service.guest.systemctl("restart", UNIT)
        hanging.signal("STOP")
        hanging.append(numbered.lines(10))
        journal.until(ended_by("watchdog"))
        hanging.signal("CONT")
        journal.until(says(kinds.FOLLOWING))
        hanging.append(numbered.lines(10))
        journal.until(is_report)
    return numbered


def test_a_service_whose_file_system_hangs_is_restarted_and_counts_on(
    service: Service, hanging: Hanging
) -> None:
    numbered = hung(service, hanging)
    assert service.show("ActiveState") == "active"
    # The process that could not die did not keep the ledger from its successor.
    assert not [entry for entry in service.entries() if "is held by" in entry["MESSAGE"]]
    check_counted(service, numbered)


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_a_service_whose_file_system_hangs_and_that_forgets_is_noticed(
    service: Service, hanging: Hanging
) -> None:
    numbered = hung(service, hanging, **LOST)
    with pytest.raises(AssertionError):
        check_counted(service, numbered)
