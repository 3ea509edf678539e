"""What README and the tutorials have root type, on a fresh server with the real package."""

import re
import shutil
import tomllib
from collections.abc import Iterator

import pytest

from tests.project.pages import Step, compare, pages, read, steps
from tests.system.debians import ON_EACH, SUITES
from tests.system.guest import LONG, Guest
from tests.system.package import Packages
from tests.system.service import CONFIGURATION, UNIT, is_report

pytestmark = [pytest.mark.system, pytest.mark.real_time]

READ_BY_ROOT = [name for name, text in pages().items() if any(step.who == "root" for step in steps(text))]
DEB = re.compile(r"\./(qps-reporter_\S+\.deb)")
HERE = "/root/here"  # where the reader is
# Who asks for something does it just after a report, and who then looks at reports waits for the next one.
TRAFFIC, LOOKS = "curl ", ("journalctl ", "systemctl status ")
# As if the reader said yes; what is recommended, guests can't download.
YES = 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n'


class Root:
    """Types into a shell of the server's, and edits the configuration in its place."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._asked = False  # for something that is in no report yet

    def run(self, step: Step) -> str:
        asks, looks = step.typed.startswith(TRAFFIC), step.typed.startswith(LOOKS)
        if looks and self._asked and self._is_running():
            with self._guest.follow(f"--unit={UNIT}", after=self._guest.journal_cursor()) as journal:
                journal.until(is_report)
        self._asked = asks or (self._asked and not looks)
        command = f"cd {HERE}\nexec 2>&1\nexport DEBIAN_FRONTEND=noninteractive\n{step.typed}"
        return compare(
            step.printed, self._guest.run("bash", "-c", command, check=False, hang=LONG).stdout.splitlines()
        )

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
