"""What README and the tutorials have root type, on a fresh server with the real package."""

import contextlib
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator

import pytest

from qps_service.notices.kinds import RELOADED
from tests.project.pages import Step, compare, pages, read, steps
from tests.system.debians import ON_EACH, SUITES
from tests.system.guest import LONG, Guest
from tests.system.journal import Entry
from tests.system.package import Packages
from tests.system.service import CONFIGURATION, UNIT, requests, says

pytestmark = [pytest.mark.system, pytest.mark.real_time]

READ_BY_ROOT = [name for name, text in pages().items() if any(step.who == "root" for step in steps(text))]
DEB = re.compile(r"\./(qps-reporter_\S+\.deb)")
HERE = "/root/here"  # where the reader is
# Who asks the web server for something, and then looks at reports, waits for the one that has it.
TRAFFIC = re.compile(r"curl .*http://127\.0\.0\.1/")
LOOKS, RELOADS = ("journalctl ", "systemctl status "), "systemctl reload "
# As if the reader said yes; what is recommended, guests can't download.
YES = 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n'


class Root:
    """Types into a shell of the server's, and edits the configuration in its place."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._asked = ""  # the place in the journal before which no report has what was asked for last

    def run(self, step: Step) -> str:
        if self._asked and step.typed.startswith(LOOKS) and self._is_running():
            self._await(lambda entry: requests(entry) > 0, self._asked)
            self._asked = ""
        if TRAFFIC.match(step.typed):
            self._asked = self._guest.journal_cursor()
            with self._at_once():
                return self._type(step)
        if step.typed.startswith(RELOADS):  # before systemd 253 it is not waited for
            before = self._guest.journal_cursor()
            found = self._type(step)
            self._await(says(RELOADED), before)
            return found
        return self._type(step)

    def _type(self, step: Step) -> str:
        command = f"cd {HERE}\nexec 2>&1\nexport DEBIAN_FRONTEND=noninteractive\n{step.typed}"
        return compare(
            step.printed, self._guest.run("bash", "-c", command, check=False, hang=LONG).stdout.splitlines()
        )

    def _await(self, wanted: Callable[[Entry], bool], after: str) -> None:
        with self._guest.follow(f"--unit={UNIT}", after=after) as journal:
            journal.until(wanted)

    @contextlib.contextmanager
    def _at_once(self) -> Iterator[None]:
        """What happens here is in one window, whenever that ends: the service does nothing meanwhile."""
        if not self._is_running():
            yield
            return
        self._guest.systemctl("kill", "--signal=STOP", UNIT)
        yield
        self._guest.systemctl("kill", "--signal=CONT", UNIT)

    def file(self, step: Step) -> str:
        """Each table takes the place of the one of its name, or stands at the end."""
        try:
            before = self._guest.path(CONFIGURATION).read_text()
        except OSError as error:
            return str(error)
        after = edited(before, step.typed)
        tomllib.loads(after)
        self._guest.write(CONFIGURATION, after)
        return ""

    def go_on(self, step: Step) -> str:
        raise NotImplementedError

    def _is_running(self) -> bool:
        return self._guest.run("systemctl", "is-active", UNIT, check=False).stdout.strip() == "active"


def edited(text: str, tables: str) -> str:
    """A configuration, and the page's tables in it."""
    for table in re.split(r"^(?=\[)", tables, flags=re.MULTILINE):
        name = re.escape(table.partition("\n")[0])
        there = re.compile(rf"^{name}$\n(?:(?!\[|#\[).*\n)*", re.MULTILINE)
        if table:
            text = there.sub(lambda _: table, text) if there.search(text) else f"{text}\n{table}"  # noqa: B023
    return text


@pytest.fixture
def server(guest: Guest, packages: Packages) -> Iterator[Guest]:
    """A server with nginx, that never had the package, which lies where its administrator is."""
    guest.write("/etc/apt/apt.conf.d/99yes", YES)
    guest.install("nginx", "curl")
    guest.systemctl("start", "nginx")
    guest.path(HERE).mkdir(exist_ok=True)
    for name in {name for text in pages().values() for name in DEB.findall(text)}:
        shutil.copy(packages.current.deb, guest.path(HERE) / name)
    yield guest
    guest.run("dpkg", "--purge", "qps-reporter")
    for log in guest.path("/var/log/nginx").glob("access.log*"):
        log.write_bytes(b"")


@pytest.mark.parametrize(
    ("image", "name"),
    # A page is the same on each Debian: the pages take turns.
    [
        (suite, name)
        for at, name in enumerate(READ_BY_ROOT)
        for suite in (SUITES if ON_EACH else [SUITES[(at + 1) % 2]])
    ],
    indirect=["image"],
)
def test_the_page_is_true(server: Guest, name: str) -> None:
    assert read(pages()[name], "root", Root(server)) == []


@pytest.mark.twin
@pytest.mark.parametrize("image", ["bookworm"], indirect=True)
@pytest.mark.parametrize(
    "page",
    [
        "```console\n# id -un\nadmin\n```\n",
        "```console\n# qps-report --version\n...\nqps-reporter 0.1.0\n```\n",
        "```console\n# true\n```\n```toml\n[log.access]\n```\n",
    ],
)
def test_a_page_that_is_wrong_is_noticed(server: Guest, page: str) -> None:
    assert len(read(page, "root", Root(server))) == 1
