"""The package's life on a stock server without network: install, upgrade, downgrade, remove, purge.

Each test begins with nothing of it on the machine. That every module is packaged, and that what is disabled
stays so, is for packaging/debian/tests, which test_package_tools.py runs.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Set
from functools import partial

import pytest

from qps_service.ledger.schema import VERSION as SCHEMA
from qps_service.notices.kinds import RELOADED
from tests.system import sites
from tests.system.debians import on_one
from tests.system.guest import INSTALL, Guest
from tests.system.image import ROOT
from tests.system.package import NEXT, OLDER, VERSION, Package, Packages
from tests.system.service import (
    CONFIGURATION,
    LOG,
    SOCKET,
    UNIT,
    Service,
    is_report,
    lines,
    requests,
    says,
    totals,
)

pytestmark = pytest.mark.system

PRIVATE = "/usr/lib/qps-reporter"
STATE = "/var/lib/qps-reporter"
# What a package's installation leaves beside its files: compiled modules, systemd's and dpkg's own books.
OF_THE_SYSTEM = (
    *("/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow"),
    *("/etc/.pwd.lock", "/etc/subgid", "/etc/subuid"),
)
TREES_OF_THE_SYSTEM = (
    *("/var/lib/dpkg/", "/var/lib/apt/", "/var/cache/", "/var/log/", "/var/lib/systemd/", "/srv/"),
    *("/usr/share/python3/", "/usr/lib/python3", "/var/tmp/systemd-private-"),
)


# What unattended upgrades tell dpkg of an edited configuration whose package has another one now.
KEEP = "--option=Dpkg::Options::=--force-confold"


class Server(Service):
    """One with the package's versions at hand."""

    def __init__(self, guest: Guest, packages: Packages) -> None:
        super().__init__(guest)
        self._debs = {VERSION: guest.bring(packages.current.deb), NEXT: guest.bring(packages.next.deb)}

    def bring(self, version: str, package: Package) -> None:
        """Have another version's package at hand."""
        self._debs[version] = self.guest.bring(package.deb)

    def install(self, version: str = VERSION, *options: str) -> None:
        self.guest.run(*INSTALL, *options, self._debs[version])

    def remove(self, how: str = "remove", *packages: str) -> None:
        environment = ("env", "DEBIAN_FRONTEND=noninteractive")
        self.guest.run(*environment, "apt-get", "--yes", how, *(packages or ("qps-reporter",)))

    def clean(self) -> None:
        """Purge the package and remove logs."""
        self.guest.run("dpkg", "--purge", "qps-reporter")
        for place in self.guest.path("/var/log").glob("access.log*"):
            place.unlink()


@pytest.fixture(scope="module")
def supplied(guest: Guest) -> Guest:
    """Has all that the package depends on."""
    guest.install("python3-systemd", "procps", "logrotate")
    return guest


@pytest.fixture
def machine(supplied: Guest, packages: Packages) -> Iterator[Server]:
    """Never had the package."""
    server = Server(supplied, packages)
    server.clean()
    yield server
    server.clean()


@pytest.fixture
def older(machine: Server, packages: Packages) -> str:
    """The version before the ledger's schema changed."""
    machine.bring(OLDER, packages.older)
    return OLDER


def state(service: Service, unit: str = UNIT) -> tuple[str, str]:
    """Whether it is active, and enabled."""
    active, enabled = (
        service.guest.run("systemctl", f"is-{what}", unit, check=False).stdout.strip()
        for what in ("active", "enabled")
    )
    return active, enabled


RUNNING = ("active", "enabled")


def version(service: Service) -> str:
    """Of the package that is installed; empty if none is."""
    shown = ("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", "qps-reporter")
    status, _, found = service.guest.run(*shown, check=False).stdout.partition(" ")
    return found.partition("-")[0] if status == "installed" else ""


def files(guest: Guest) -> set[str]:
    """All of the machine's files and directories that are on its disk."""
    found = guest.run("find", "/", "-xdev", "-not", "-path", "/var/cache/apt/archives/*").stdout.splitlines()
    assert len(found) > 1000
    return set(found)


def beyond(added: Set[str], owned: Set[str]) -> set[str]:
    """The files of `added` that neither belong to the package nor are the system's own books."""
    return {
        path
        for path in added - owned
        if "__pycache__" not in path
        and path.rstrip("-") not in OF_THE_SYSTEM
        and not f"{path}/".startswith(TREES_OF_THE_SYSTEM)
    }


def by_row(service: Service) -> Counter[tuple[str, str, int]]:
    """What the ledger has, by method, route and status."""
    found = totals(service)
    return Counter({(method, route, status): count for _, method, route, status, count, _ in found})


# --- install


@on_one
def test_installed_it_runs_and_explains_what_it_waits_for_and_reports_the_first_traffic(
    machine: Server,
) -> None:
    machine.install()
    assert state(machine) == RUNNING
    assert machine.show("StatusText") == f"waiting for {LOG}; set path in {CONFIGURATION}"
    said = machine.guest.run("qps-reporter", "--version").stdout
    assert said.startswith(f"qps-reporter {VERSION} (native scanner, ")
    explained = machine.guest.run("journalctl", "--catalog", "--no-pager", f"--unit={UNIT}").stdout
    _, _, explanation = explained.partition(f"waiting for {LOG}")
    assert "Subject: Log access is not there" in explanation
    assert CONFIGURATION in explanation
    with machine.follow() as journal:
        machine.append(lines(7))
        assert requests(journal.until(is_report)) == 7  # none before it has nothing
    assert re.fullmatch(r"0\.\d+ requests/s, 1 route, 1 log; 7 requests in total", machine.show("StatusText"))


SETUP = "/etc/qps-reporter/conf.d/50-setup.toml"


def test_beside_web_servers_it_touches_nothing_and_setup_is_enough(machine: Server) -> None:
    """Each virtual host of nginx and Apache is right, within an interval; one that is added later, too."""
    guest = machine.guest
    sites.serve(guest)
    sums = (
        "sh",
        "-c",
        # The servers' errors are theirs to write: Apache tells there that it goes on.
        "find /etc/nginx /etc/apache2 /var/log/nginx /var/log/apache2 -type f ! -name error.log "
        "-exec sha256sum {} + | sort",
    )
    before = guest.run(*sums).stdout
    machine.install()
    shipped = guest.path(CONFIGURATION).read_text()
    found = guest.run("qps-reporter", "setup").stdout
    assert not guest.path(SETUP).exists()
    guest.run("sh", "-c", "umask 077; qps-reporter setup --write")
    assert guest.run(*sums).stdout == before
    assert guest.path(SETUP).read_text() == found
    assert guest.run("stat", "--format=%a %U", SETUP).stdout.split() == ["644", "root"]
    assert guest.run("qps-reporter", "check").returncode == 0
    with machine.follow() as journal:
        machine.reload()
        journal.until(says(RELOADED))
        sent = sites.ask(guest, sites.SITES)
        reported = sites.Reported()
        journal.until(lambda entry: reported.takes(entry) >= sent.total())
    check_reported(reported, sent)
    sites.add(guest)
    sent += sites.ask(guest, sites.LATER)
    machine.stop()
    check_totals(machine, sent)
    guest.run("qps-reporter", "setup", "--write")
    assert guest.path(SETUP).read_text() == found
    # Nobody is asked, and nothing of it is lost.
    machine.install(NEXT)
    assert guest.path(CONFIGURATION).read_text() == shipped
    assert guest.path(SETUP).read_text() == found
    sites.stop(guest)

    # The twins: a request that is told twice, one that has another's log, and a window too many.
    row, *_ = sent
    for wrong in (Counter({row: 1}), Counter({("none", *row[1:]): 1}) - Counter({row: 1})):
        with pytest.raises(AssertionError):
            check_totals(machine, sent + wrong)
    reported.windows.add(1 << 32)
    with pytest.raises(AssertionError):
        check_reported(reported, sent)


def check_reported(reported: sites.Reported, sent: Counter[sites.Row]) -> None:
    """Each log's rows, in the window in which they were asked for, or in two if that ended meanwhile."""
    assert reported.rows == sent
    assert max(reported.windows) - min(reported.windows) <= 1


def check_totals(machine: Server, sent: Counter[sites.Row]) -> None:
    found = {(log, method, route, status): count for log, method, route, status, count, _ in totals(machine)}
    assert found == sent


def test_nothing_lies_outside_the_packages_paths(machine: Server) -> None:
    before = files(machine.guest)
    machine.install()
    listed = machine.guest.run("dpkg", "--listfiles", "qps-reporter").stdout.splitlines()
    # Packages built under Debian 12 still name units by the link /lib.
    owned = {f"/usr{path}" if path.startswith("/lib/") else path for path in listed}
    own = {STATE, f"{STATE}/ledger.db", f"{STATE}/ledger.db-shm", f"{STATE}/ledger.db-wal"}
    enabled = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
    added = files(machine.guest) - before
    assert beyond(added, owned) == own | {enabled}
    # The twin: a package that does not own one of these.
    assert beyond(added, owned - {CONFIGURATION}) == own | {enabled, CONFIGURATION}


# --- upgrade and downgrade


def edit(machine: Server) -> str:
    """The administrator's own configuration."""
    path = machine.guest.path(CONFIGURATION)
    text = path.read_text().replace('#interval = "10s"', 'interval = "1s"')
    assert text != path.read_text()
    machine.configure(text)
    machine.reload()
    return text


def under_traffic(machine: Server, change: Callable[[], None]) -> Counter[tuple[str, str, int]]:
    """Have `change` happen under 2,000 lines a second and a rotation each second; what was written."""
    guest = machine.guest
    # A program of its own: the one that is upgraded would pull its modules from under it.
    guest.run("cp", "-r", PRIVATE, "/srv/simulator")
    simulator = guest.start(
        *("/srv/simulator/qps-reporter", "simulate", "-o", LOG, "-r", "1", "--rate", "2000"),
        *("--keep", "1000", "--truth", "/srv/truth.json"),
    )
    with machine.follow() as journal:
        journal.until(lambda entry: requests(entry) > 0)
        change()
        journal.until(lambda entry: requests(entry) > 0)
    guest.run("pkill", "--signal=TERM", "--full", "/srv/simulator")
    printed, _ = simulator.communicate(timeout=120)
    assert simulator.returncode == 0, printed
    guest.run("rm", "-r", "/srv/simulator")
    truth = json.loads(guest.path("/srv/truth.json").read_text())
    rows = Counter({(row["method"], row["route"], row["status"]): row["requests"] for row in truth["rows"]})
    assert rows.total() == truth["lines"] > 2000
    return +rows


def upgraded(machine: Server, change: Callable[[], None], begin: str = VERSION) -> None:
    """A life with an edited configuration and a change of version under traffic, in which no line is lost
    or counted twice."""
    machine.install(begin)
    text = edit(machine)
    truth = under_traffic(machine, change)
    assert state(machine) == RUNNING
    assert machine.guest.path(CONFIGURATION).read_text() == text
    machine.stop()
    assert by_row(machine) == truth


def test_an_upgrade_loses_and_repeats_no_line(machine: Server) -> None:
    upgraded(machine, lambda: machine.install(NEXT))
    assert version(machine) == NEXT


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_an_upgrade_that_forgets_the_ledger_is_noticed(machine: Server) -> None:
    def change() -> None:
        machine.stop()
        machine.guest.run("rm", "-r", STATE)
        machine.install(NEXT)

    with pytest.raises(AssertionError):
        upgraded(machine, change)


ASK = """
import sqlite3, sys
_, path, query = sys.argv
print(sqlite3.connect(path, isolation_level=None).execute(query).fetchall())
"""


def ask(machine: Server, query: str) -> str:
    """What the ledger answers, the service being stopped, or executes."""
    return machine.guest.run("python3", "-c", ASK, f"{STATE}/ledger.db", query).stdout.strip()


def archives(machine: Server) -> None:
    """From before the log was followed, plain and packed."""
    for name, text in (("access.log.1", lines(3)), ("access.log.2", lines(4))):
        machine.guest.path(f"/var/log/{name}").write_text(text)
    machine.guest.run("gzip", "/var/log/access.log.2")


def check_an_older_ledger(machine: Server, older: str, change: Callable[[], None]) -> None:
    """From a package whose ledger has an older schema: no old archive is counted, nothing is lost."""
    archives(machine)
    upgraded(machine, change, older)
    assert version(machine) == VERSION
    assert ask(machine, "PRAGMA user_version") == f"[({SCHEMA},)]"
    assert ask(machine, "SELECT count(*) FROM loss") == "[(0,)]"
    before = by_row(machine)
    machine.start()
    machine.append(lines(2))
    machine.stop()
    assert by_row(machine) - before == {("GET", "/", 200): 2}


@on_one
def test_an_upgrade_takes_an_older_ledger_along(machine: Server, older: str) -> None:
    check_an_older_ledger(machine, older, partial(machine.install, VERSION, KEEP))


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_an_upgrade_that_forgets_an_older_ledgers_files_is_noticed(machine: Server, older: str) -> None:
    def change() -> None:
        machine.stop()
        ask(machine, "DELETE FROM position")
        ask(machine, "DELETE FROM stranger")
        machine.install(VERSION, KEEP)

    with pytest.raises(AssertionError):
        check_an_older_ledger(machine, older, change)


@on_one
def test_a_log_that_only_the_older_configuration_named_goes_on(machine: Server, older: str) -> None:
    """Nobody edited the file, so that its package's new one, which names no log, takes its place unasked."""
    machine.install(older)
    named = machine.guest.path(CONFIGURATION).read_text()
    machine.append("")
    machine.append(lines(5))
    machine.install(VERSION)
    text = machine.guest.path(CONFIGURATION).read_text()
    assert "\n[log.access]\n" in named
    assert "\n[log." not in text
    machine.append(lines(3))
    machine.stop()
    assert by_row(machine) == {("GET", "/", 200): 8}


@on_one
def test_a_ledger_goes_back_to_an_older_schema_as_the_page_says(machine: Server, older: str) -> None:
    page = (ROOT / "docs" / "how-to" / "upgrade-and-roll-back.md").read_text()
    back = "".join(re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    machine.install(older)
    machine.append("")
    edit(machine)
    machine.append(lines(5))
    machine.install(VERSION, KEEP)
    machine.append(lines(3))
    machine.stop()
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])"
    machine.guest.run("python3", "-c", program, f"{STATE}/ledger.db", back)
    machine.install(older, "--allow-downgrades", KEEP)
    assert (version(machine), state(machine)) == (older, RUNNING)
    machine.append(lines(2))
    machine.stop()
    assert by_row(machine) == {("GET", "/", 200): 10}
    # Without it the older version would have begun anew.
    machine.install(VERSION, KEEP)
    machine.stop()
    machine.install(older, "--allow-downgrades", KEEP)
    machine.stop()
    assert by_row(machine) == {}
    assert [*machine.guest.path(STATE).glob(f"ledger.db.newer-{SCHEMA}-*")]


@on_one
def test_running_instances_are_upgraded_too(machine: Server) -> None:
    machine.install()
    machine.guest.write("/etc/qps-reporter/shop.toml", '[log.shop]\npath = "/var/log/shop.log"\n')
    instance = "qps-reporter@shop.service"
    machine.guest.systemctl("start", instance)
    before = machine.guest.show(instance, "MainPID")
    machine.install(NEXT)
    assert machine.guest.systemctl("is-active", instance) == "active"
    assert machine.guest.show(instance, "MainPID") != before
    assert machine.guest.path(f"{STATE}/shop/ledger.db").exists()
    machine.remove()
    assert machine.guest.show(instance, "ActiveState") == "inactive"
    machine.guest.path("/etc/qps-reporter/shop.toml").unlink()


# --- the socket


def check_socket(machine: Server, fault: str = "") -> None:
    """It is the administrator's to enable; then an upgrade leaves it as it is, a removal closes it, and who
    installs it again has it again. `fault` is taken out of the package's prerm."""
    machine.install()
    machine.install(NEXT)
    assert state(machine, SOCKET) == ("inactive", "disabled")
    machine.stop()
    machine.guest.systemctl("enable", "--now", SOCKET)
    machine.start()
    machine.install(VERSION, "--allow-downgrades")
    assert (state(machine), state(machine, SOCKET)) == (RUNNING, RUNNING)
    prerm = machine.guest.path("/var/lib/dpkg/info/qps-reporter.prerm")
    assert fault in prerm.read_text()
    prerm.write_text(prerm.read_text().replace(fault, ""))
    machine.remove()
    try:
        assert state(machine, SOCKET)[0] == "inactive"
    finally:
        machine.guest.run("systemctl", "stop", SOCKET, check=False)
    machine.install()
    assert (state(machine), state(machine, SOCKET)) == (RUNNING, RUNNING)
    machine.remove("purge")
    assert not machine.guest.path(f"/etc/systemd/system/sockets.target.wants/{SOCKET}").is_symlink()


@on_one
def test_the_socket_is_the_administrators(machine: Server) -> None:
    check_socket(machine)


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
def test_a_socket_that_outlives_the_package_is_noticed(machine: Server) -> None:
    with pytest.raises(AssertionError):
        check_socket(machine, SOCKET)


# --- remove and purge


@on_one
def test_removed_it_leaves_configuration_and_ledger_and_goes_on_when_it_comes_back(machine: Server) -> None:
    machine.install()
    machine.append("")
    text = edit(machine)
    machine.append(lines(5))
    machine.remove()
    assert (version(machine), state(machine)[0]) == ("", "inactive")
    assert not machine.guest.path("/usr/bin/qps-reporter").exists()
    assert machine.guest.path(CONFIGURATION).read_text() == text
    assert by_row(machine) == {("GET", "/", 200): 5}
    machine.append(lines(4))
    machine.install()
    assert state(machine) == RUNNING
    machine.stop()
    assert by_row(machine) == {("GET", "/", 200): 9}


@on_one
def test_a_state_directory_that_is_a_mount_is_emptied(machine: Server) -> None:
    guest = machine.guest
    guest.run("mkdir", "-p", STATE)
    guest.run("mount", "-t", "tmpfs", "state", STATE)
    machine.install()
    machine.append(lines(5))
    machine.stop()
    assert guest.path(f"{STATE}/ledger.db").exists()
    machine.remove("purge")
    assert not list(guest.path(STATE).iterdir())
    guest.run("umount", STATE)
    guest.run("rmdir", STATE)


def test_purged_it_leaves_nothing(machine: Server) -> None:
    before = files(machine.guest)
    machine.install()
    machine.append(lines(5))
    edit(machine)
    machine.guest.run("cp", CONFIGURATION, "/etc/qps-reporter/shop.toml")
    machine.guest.write(SETUP, '[log.web]\npath = "/var/log/web.log"\n')
    machine.guest.systemctl("enable", "--now", "qps-reporter@shop.service")
    machine.remove("purge")
    # The administrator's own file.
    assert [path.name for path in machine.guest.path("/etc/qps-reporter").iterdir()] == ["shop.toml"]
    machine.guest.run("rm", "-r", "/etc/qps-reporter")
    left = files(machine.guest) - before
    assert beyond(left, set()) == set()
    assert not [
        path for path in left if "qps-reporter" in path and not path.startswith(("/srv/", "/var/log/"))
    ]
