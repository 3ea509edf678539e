"""systemd's own judgement of a reload, for which it must be told its beginning and its end.

With Type=notify-reload (systemd 253 and later) `systemctl reload` sends SIGHUP, waits for RELOADING=1
with a MONOTONIC_USEC not older than the signal, then for READY=1, and fails where either stays away.
"""

import pytest

from tests.system import faults
from tests.system.image import GuestError
from tests.system.service import NEVER, Service, configuration

pytestmark = [pytest.mark.system, pytest.mark.parametrize("image", ["trixie"], indirect=True)]

NOTIFY_RELOAD = {"Type": "notify-reload", "ExecReload": "", "TimeoutStartSec": "2s"}


def test_reload_ends_when_the_service_has_reloaded(service: Service) -> None:
    service.override(**NOTIFY_RELOAD)
    service.configure(configuration(interval=NEVER))
    service.append("")
    service.start()
    for _ in range(2):
        service.reload()
    assert service.show("ActiveState") == "active"


def test_a_refused_reload_ends_too(service: Service) -> None:
    service.override(**NOTIFY_RELOAD)
    service.configure(configuration(interval=NEVER))
    service.append("")
    service.start()
    service.configure("nonsense\n")
    service.reload()
    assert service.show("ActiveState") == "active"


def test_a_service_that_does_not_tell_of_its_reload_is_noticed(service: Service) -> None:
    service.inject(faults.RELOADING_UNTOLD, **NOTIFY_RELOAD)
    service.configure(configuration(interval=NEVER))
    service.append("")
    service.start()
    with pytest.raises(GuestError):
        service.reload()
