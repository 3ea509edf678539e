"""What the units deny is denied to the running process, which does all its work there; and how it is rated.

The probes run in the service's own process (faults.probe). Each has a twin: the unit without the setting
that denies it, under which the same probe succeeds.
"""

import json
import re

import pytest

from qps_service.notices.kinds import OUTPUT_FAILED
from tests.system import faults
from tests.system.debians import on_one
from tests.system.guest import Guest
from tests.system.image import GuestError
from tests.system.service import Service, await_requests, configuration, counted, lines, says

pytestmark = pytest.mark.system

PUSH = "/usr/share/doc/qps-reporter/examples/push.conf"
ANYWHERE = {"ProtectSystem": "no", "ReadOnlyPaths": ""}
# What allows each, when the unit is overridden with it.
ALLOWING = {
    "a socket of the network": {"RestrictAddressFamilies": ""},
    "a connection": {"RestrictAddressFamilies": "", "PrivateNetwork": "no"},
    "writing beside the log": ANYWHERE,
    "writing to /etc": ANYWHERE,
    "writing to /run": ANYWHERE,
    "writing to /tmp": ANYWHERE,
    "writing to /var/tmp": ANYWHERE,
    "writing to /dev/shm": ANYWHERE,
    "reading /home": {"ProtectHome": "no"},
    "a shell": {"NoExecPaths": "", "ExecPaths": ""},
    "a shell by way of the loader": {"NoExecPaths": "", "ExecPaths": ""},
    "a shell below /usr/lib": {"InaccessiblePaths": ""},
    "a shell of its own": {"NoExecPaths": "", "ExecPaths": ""},
    "ptrace": {"SystemCallFilter": ""},
    "other processes": {"ProtectProc": "default"},
    "a namespace": {"RestrictNamespaces": "no"},
    "memory to write to and to run": {"MemoryDenyWriteExecute": "no"},
    "a set-user-ID file": {"RestrictSUIDSGID": "no"},
}


@pytest.fixture
def probed(service: Service) -> Service:
    """The service, on a machine that would allow each probe to the service's user."""
    guest = service.guest
    for place in ("/var/log/open", "/etc/open", "/run/open"):
        guest.run("install", "-d", "-m", "777", place)
    guest.run("install", "-d", "/home/somebody", "/usr/lib/klibc/bin")
    guest.run("cp", "/bin/sh", "/usr/lib/klibc/bin/sh")
    guest.write("/home/somebody/secret", "secret\n")
    if guest.run("systemctl", "is-active", "listener.socket", check=False).returncode:
        # systemd accepts the connection; nobody need answer.
        guest.write(
            "/run/systemd/system/listener.socket", "[Socket]\nListenStream=127.0.0.1:8099\nAccept=yes\n"
        )
        guest.write("/run/systemd/system/listener@.service", "[Service]\nExecStart=/bin/true\n")
        guest.systemctl("daemon-reload")
        guest.systemctl("start", "listener.socket")
    return service


def probe(service: Service, **settings: str) -> dict[str, str]:
    """Start the service; what its own process may do, by the name of the probe."""
    service.inject(faults.probe, **settings)
    service.begin()
    found = json.loads(service.guest.path("/var/lib/qps-reporter/probes.json").read_text())
    assert isinstance(found, dict)
    return found


def test_what_is_denied_is_denied_to_the_running_process_and_it_works(probed: Service) -> None:
    results = probe(probed)
    assert results.keys() == ALLOWING.keys()
    assert "allowed" not in results.values(), results
    with probed.follow() as journal:
        probed.append(lines(5))
        await_requests(journal, 5)
        check_native(probed)
        probed.log().rename(probed.log(".1"))
        probed.append(lines(7))
        await_requests(journal, 12)
    probed.guest.systemctl("restart", "qps-reporter")
    assert probed.show("StatusText").endswith("; 12 requests in total")


def check_native(service: Service) -> None:
    """The running process has the native scanner, which is code that it must be allowed to map."""
    maps = service.guest.run("cat", f"/proc/{service.show('MainPID')}/maps").stdout
    assert re.search(
        r" r-xp .* /usr/lib/qps-reporter/qps_service/scanning/_scan\.abi3\.so$", maps, re.MULTILINE
    )


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
@pytest.mark.parametrize(
    "setting", [{"Environment": "QPS_REPORTER_PURE=1"}, {"NoExecPaths": "/usr/lib/qps-reporter/qps_service"}]
)
def test_without_the_native_scanner_it_works_and_that_is_noticed(
    service: Service, setting: dict[str, str]
) -> None:
    service.override(**setting)
    service.begin()
    with pytest.raises(AssertionError):
        check_native(service)
    service.append(lines(5))
    service.stop()
    assert counted(service) == {"/": 5}


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
@pytest.mark.parametrize("name", ALLOWING)
def test_without_its_setting_it_would_be_allowed(probed: Service, name: str) -> None:
    assert probe(probed, **ALLOWING[name])[name] == "allowed"


# --- and what the administrator may need nevertheless


@on_one
@pytest.mark.parametrize(
    ("path", "says", "settings"),
    [
        ("/home/somebody/access.log", "cannot read", {"ProtectHome": "read-only"}),
        ("/tmp/access.log", "waiting for", {"PrivateTmp": "no"}),
    ],
)
def test_a_log_that_is_hidden_is_followed_with_the_drop_in_of_the_documentation(
    probed: Service, path: str, says: str, settings: dict[str, str]
) -> None:
    log = probed.guest.path(path)
    log.write_text(lines(5))
    probed.configure(configuration(path=path))
    probed.start()
    assert f"{says} {path}" in probed.show("StatusText")
    told = probed.guest.run("qps-reporter", "check").stdout
    assert f"is hidden from the service by {next(iter(settings))}=" in told
    probed.override(**settings)
    probed.guest.systemctl("restart", "qps-reporter")
    with log.open("a") as file:
        file.write(lines(3))
    probed.stop()
    assert counted(probed) == {"/": 8}
    log.unlink()


# --- how the units are rated


def exposure(guest: Guest, unit: str) -> float:
    """systemd's overall rating, from 0 to 10."""
    printed = guest.run("systemd-analyze", "security", "--no-pager", unit).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", printed)
    assert found, printed
    return float(found[1])


def check_exposure(guest: Guest, unit: str, most: float) -> None:
    assert exposure(guest, unit) <= most


@pytest.mark.parametrize("unit", ["qps-reporter.service", "qps-reporter@shop.service"])
def test_the_exposure_of_each_unit(service: Service, unit: str) -> None:
    check_exposure(service.guest, unit, 0.4)


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_a_unit_that_is_more_exposed_is_noticed(service: Service) -> None:
    service.override(PrivateNetwork="no", ProtectHome="no")
    with pytest.raises(AssertionError):
        check_exposure(service.guest, "qps-reporter.service", 0.4)


def test_the_drop_in_for_sending_opens_no_more_than_that(probed: Service) -> None:
    text = probed.guest.path(PUSH).read_text()
    probed.guest.write("/run/systemd/system/qps-reporter.service.d/push.conf", text)
    results = probe(probed)
    opened = {name for name, result in results.items() if result == "allowed"}
    assert opened == {"a socket of the network", "a connection"}
    check_exposure(probed.guest, "qps-reporter.service", 1.1)


@on_one
def test_metrics_leave_with_the_drop_in_and_without_it_that_is_said(service: Service) -> None:
    """With it, names are looked up inside the sandbox too."""
    guest = service.guest
    heard = (
        "import socket\nreceiver = socket.socket(type=socket.SOCK_DGRAM)\n"
        "receiver.bind(('127.0.0.1', 8125))\n"
        "while True: print(receiver.recv(9999).decode(), flush=True)\n"
    )
    guest.write("/run/heard.py", heard)
    guest.write(
        "/run/systemd/system/heard.service",
        "[Service]\nType=exec\nExecStart=/usr/bin/python3 /run/heard.py\nStandardOutput=file:/run/heard\n",
    )
    guest.systemctl("daemon-reload")
    guest.systemctl("start", "heard.service")
    service.configure(configuration() + "[output.statsd]\n")
    service.append(lines(5))
    with service.follow() as journal:
        service.start()
        failed = journal.until(says(OUTPUT_FAILED))
    assert failed["MESSAGE"] == "cannot send to 127.0.0.1:8125: Address family not supported by protocol"
    service.stop()
    assert guest.path("/run/heard").read_text() == ""
    guest.write("/run/systemd/system/qps-reporter.service.d/push.conf", guest.path(PUSH).read_text())
    guest.systemctl("daemon-reload")
    guest.write("/etc/hosts", "127.0.0.1 metrics.example\n")
    service.configure(configuration() + '[output.statsd]\nhost = "metrics.example"\n')
    service.start()
    service.append(lines(7))
    guest.run("sh", "-c", "until grep -q ^qps.access.requests:7 /run/heard; do sleep 0.1; done")
    service.stop()
    guest.systemctl("stop", "heard.service")
    assert len(service.said(OUTPUT_FAILED)) == 1
    assert counted(service) == {"/": 12}


# --- what systemd thinks of their text


def check_units(guest: Guest) -> None:
    """systemd knows all that the units say, and finds the man pages. Else it only warns."""
    units = ("qps-reporter.service", "qps-reporter.socket", "qps-reporter@shop.service")
    guest.install("man-db")
    done = guest.run("systemd-analyze", "verify", *units)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_units_say_what_this_systemd_knows(service: Service) -> None:
    check_units(service.guest)


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
@pytest.mark.parametrize(
    "setting",
    [
        {"Sandbox": "yes"},
        {"Type": "unheard-of"},
        {"Environment": "'"},
        {"FileDescriptorStorePreserve": "yes"},  # of a later systemd
    ],
)
def test_what_systemd_does_not_know_is_noticed(service: Service, setting: dict[str, str]) -> None:
    service.override(**setting)
    with pytest.raises((AssertionError, GuestError)):
        check_units(service.guest)
