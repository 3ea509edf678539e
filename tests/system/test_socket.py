"""qps-reporter.socket: systemd listens, and the service answers from its sandbox, which has no network."""

import re
from collections.abc import Iterator

import pytest

from qps_service.notices import kinds
from tests.system.debians import on_one
from tests.system.image import GuestError
from tests.system.service import SOCKET, UNIT, Service, await_requests, configuration, lines, says

pytestmark = pytest.mark.system

LIBRARY = "python3-prometheus-client"
PATIENCE = "60"  # seconds
OUTPUT = "[output.prometheus]\n"
# As docs/how-to/prometheus.md has it.
WITHOUT_THE_SOCKET = {
    "PrivateNetwork": "no",
    "RestrictAddressFamilies": "AF_UNIX AF_INET",
    "SocketBindAllow": "ipv4:tcp:9145",
    "IPAddressAllow": "localhost",
}


@pytest.fixture
def scraped(service: Service) -> Iterator[Service]:
    """The service, with what it needs for Prometheus."""
    service.guest.install(LIBRARY, "curl")
    service.configure(configuration() + OUTPUT)
    service.append("")
    yield service
    service.guest.run("systemctl", "disable", "--now", SOCKET)


def get(service: Service, path: str) -> str:
    return service.guest.run("curl", "-sS", "--max-time", PATIENCE, f"127.0.0.1:9145{path}").stdout


def requests(service: Service) -> int:
    """What a scrape tells of the route `/`."""
    series = r'^qps_reporter_http_requests_total\{.*route="/",.*\} (\S+)$'
    found = re.findall(series, get(service, "/metrics"), re.MULTILINE)
    return int(float(found[0])) if found else 0


def check_scraped(service: Service) -> None:
    """What is written is told at once, and goes on over a crash, in which no scrape fails."""
    service.start()
    service.append(lines(5))
    assert requests(service) == 5
    assert get(service, "/healthz") == "ok\n"
    service.guest.systemctl("kill", "--signal=KILL", UNIT)
    service.append(lines(7))
    assert requests(service) == 12
    assert (service.show("NRestarts"), service.show("ActiveState")) == ("1", "active")
    assert service.said(kinds.OUTPUT_FAILED) == []


def test_the_socket_is_served_from_the_sandbox(scraped: Service) -> None:
    assert scraped.guest.run("systemctl", "is-enabled", SOCKET, check=False).stdout == "disabled\n"
    scraped.guest.systemctl("enable", "--now", SOCKET)
    check_scraped(scraped)
    assert scraped.show("PrivateNetwork") == "yes"
    process = scraped.show("MainPID")
    scraped.reload()
    scraped.append(lines(1))
    assert requests(scraped) == 13
    assert scraped.show("MainPID") == process


@on_one
def test_a_scrape_starts_a_service_that_was_stopped(scraped: Service) -> None:
    scraped.guest.systemctl("start", SOCKET)
    scraped.append(lines(3))
    assert requests(scraped) == 3
    assert scraped.show("ActiveState") == "active"


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_a_socket_of_another_name_is_noticed(scraped: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.system.test_socket.PATIENCE", "3")  # nobody will ever answer
    scraped.guest.write(f"/run/systemd/system/{SOCKET}.d/test.conf", "[Socket]\nFileDescriptorName=other\n")
    scraped.guest.systemctl("daemon-reload")
    scraped.guest.systemctl("start", SOCKET)
    with pytest.raises((AssertionError, GuestError)):
        check_scraped(scraped)


@on_one
def test_a_reload_brings_the_output_to_the_socket(scraped: Service) -> None:
    scraped.configure(configuration())
    scraped.guest.systemctl("start", SOCKET)
    scraped.start()
    scraped.append(lines(3))
    with scraped.follow() as journal:
        await_requests(journal, 3)
        scraped.configure(configuration() + OUTPUT)
        scraped.reload()
        journal.until(says(kinds.RELOADED))
    assert requests(scraped) == 3


@on_one
def test_without_the_socket_the_sandbox_says_no_and_reports_go_on(scraped: Service) -> None:
    scraped.start()
    scraped.append(lines(3))
    with scraped.follow() as journal:
        await_requests(journal, 3)
    assert scraped.said(kinds.OUTPUT_FAILED) == [
        "cannot listen on 127.0.0.1:9145: Address family not supported by protocol"
    ]


@on_one
def test_without_the_socket_the_drop_in_of_the_documentation_lets_it_listen(scraped: Service) -> None:
    scraped.override(**WITHOUT_THE_SOCKET)
    scraped.start()
    scraped.append(lines(3))
    assert requests(scraped) == 3


@on_one
def test_without_the_library_the_configuration_is_refused(scraped: Service) -> None:
    needs = f"output.prometheus: needs prometheus_client, .* \\(Debian: {LIBRARY}\\)"
    scraped.configure(configuration())
    scraped.start()
    scraped.guest.run("dpkg", "--remove", LIBRARY)
    scraped.configure(configuration() + OUTPUT)
    for command in (("check",), ("check", "--config-only")):
        done = scraped.guest.run("qps-reporter", *command, check=False)
        assert done.returncode == 1
        assert re.search(needs, done.stdout + done.stderr)
    with pytest.raises(GuestError, match=needs):
        scraped.reload()
    with scraped.follow() as journal:
        scraped.guest.systemctl("kill", "--signal=HUP", UNIT)
        refused = journal.until(says(kinds.RELOAD_REFUSED))
        assert re.search(needs, refused["MESSAGE"])
        scraped.append(lines(3))
        await_requests(journal, 3)
    scraped.stop()
    with pytest.raises(GuestError, match=needs):
        scraped.start()


@on_one
def test_a_file_for_node_exporter_wants_the_drop_in_of_the_documentation(scraped: Service) -> None:
    place = "/var/lib/prometheus/node-exporter"
    path = f"{place}/qps-reporter.prom"
    scraped.guest.run("install", "-d", "-o", "_qps-reporter", place)
    scraped.configure(configuration() + f'[output.textfile]\npath = "{path}"\n')
    scraped.start()
    scraped.append(lines(3))
    with scraped.follow() as journal:
        await_requests(journal, 3)
        scraped.override(ReadWritePaths=place)
        scraped.guest.systemctl("restart", UNIT)
        scraped.append(lines(4))
        await_requests(journal, 7)
    scraped.stop()
    assert scraped.said(kinds.OUTPUT_FAILED) == [f"cannot write {path}: Read-only file system"]
    written = scraped.guest.path(path)
    assert 'route="/",status="200"} 7.0\n' in written.read_text()
    assert written.stat().st_mode & 0o777 == 0o644
