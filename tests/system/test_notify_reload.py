"""systemd's own judgement of a reload, for which it must be told its beginning and its end.

With Type=notify-reload (systemd 253 and later) `systemctl reload` sends SIGHUP, waits for RELOADING=1
with a MONOTONIC_USEC not older than the signal, then for READY=1, and fails where either stays away.
"""

import pytest

from qps_service.notices.kinds import RELOADED
from tests.system import faults
from tests.system.image import GuestError
from tests.system.service import NEVER, Service, configuration

pytestmark = [pytest.mark.system, pytest.mark.parametrize("image", ["trixie"], indirect=True)]


def test_the_unit_is_of_this_type(service: Service) -> None:
    assert service.show("Type") == "notify-reload"


def test_reload_ends_when_the_service_has_reloaded(service: Service) -> None:
    service.begin(NEVER)
    for done in range(1, 3):
        service.reload()
        assert len(service.said(RELOADED)) == done
    assert service.show("ActiveState") == "active"


def test_a_refused_reload_fails_and_ends(service: Service) -> None:
    service.begin(NEVER)
    service.configure("nonsense\n")
    with pytest.raises(GuestError, match="Reload failed"):
        service.reload()
    assert service.show("ActiveState") == "active"
    service.configure(configuration(interval=NEVER))
    service.reload()


def test_a_reload_that_only_the_service_refuses_ends_too(service: Service) -> None:
    service.override(ExecReload="")
    service.begin(NEVER)
    service.configure("nonsense\n")
    service.reload()
    assert service.show("ActiveState") == "active"


@pytest.mark.twin
def test_a_service_that_does_not_tell_of_its_reload_is_noticed(service: Service) -> None:
    service.inject(faults.reload_untold, ExecReload="", TimeoutStartSec="2s")
    service.begin(NEVER)
    with pytest.raises(GuestError):
        service.reload()
