"""A machine on which scripts/install.sh runs, and what must be true of it whichever way it goes.

These are functions that compare the machine before and after, all of its files included.
"""

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.system.guest import Guest
from tests.system.image import HANG, ROOT, GuestError
from tests.system.service import CONFIGURATION, LOG, UNIT, Service, await_requests, lines, requests

CHECKOUT = "/srv/checkout"
DROP_INS = f"/etc/systemd/system/{UNIT}.d"
WHEELS = f"{CHECKOUT}/.cache/wheels"
BROKEN_CONFIGURATION = 'interval = "never"\n'
BUILT = "/srv/built"
# Compiling takes time, and most of what is tested here is the same without. The package is always native.
NO_COMPILER = "/nowhere/cc"
# Not part of a machine's lasting state, or said to stay: the user, whose files have backups.
IGNORED = (
    *("/dev", "/proc", "/run", "/sys", "/tmp", "/var/cache", "/var/log", "/var/tmp"),
    *(CHECKOUT, BUILT, "/var/lib/apt"),
    *("/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-", "/etc/.pwd.lock"),
    *("/var/lib/systemd/timers", *(f"/var/lib/dpkg/{name}" for name in ("*-old", "lock*", "triggers/*"))),
)


@dataclass
class Machine:
    """A guest with a checkout in it."""

    guest: Guest
    checkout: Path  # as the host sees it

    def attempt(
        self, *options: str, wheels: str = WHEELS, user: str = "root", compiler: str = NO_COMPILER
    ) -> tuple[int, str]:
        """Run the script: its exit status and all that it printed."""
        # More time than `Guest.run` has: it installs a compiler.
        process = self.guest.start(
            *("setpriv", f"--reuid={user}", "env", "PIP_NO_INDEX=1", f"PIP_FIND_LINKS={wheels}"),
            f"CC={compiler}",
            *(f"{CHECKOUT}/scripts/install.sh", *options),
        )
        printed, _ = process.communicate(timeout=5 * HANG)
        return process.returncode, printed

    def install(self, *options: str, compiler: str = NO_COMPILER) -> str:
        """Run the script, which must end well; what it printed."""
        status, printed = self.attempt(*options, compiler=compiler)
        if status:
            raise GuestError(f"install.sh {' '.join(options)}: exit status {status}\n{printed}")
        return printed

    def files(self) -> set[str]:
        """All files, with kind, mode, owner and target."""
        pruned = " -o ".join(f"-path {shlex.quote(path)}" for path in IGNORED)
        found = self.guest.run(
            "sh", "-c", rf"find / -xdev \( {pruned} \) -prune -o -printf '%p %y %m %U:%G %l\n'"
        ).stdout
        return set(found.splitlines())

    def packages(self) -> set[str]:
        """The Debian packages that are installed."""
        return set(self.guest.run("dpkg-query", "--show", "--showformat=${Package}\n").stdout.split())

    def invocation(self) -> str:
        """Changes with each start of the service; empty while it doesn't run."""
        active = self.guest.run("systemctl", "is-active", UNIT, check=False).stdout.strip() == "active"
        return self.guest.show(UNIT, "InvocationID") if active else ""

    def is_native(self) -> bool:
        """Whether the running service has loaded the native scanner."""
        maps = self.guest.run("cat", f"/proc/{self.guest.show(UNIT, 'MainPID')}/maps").stdout
        return "/qps_service/scanning/_scan.abi3.so" in maps

    def log(self, count: int) -> None:
        """Let the web server write `count` lines."""
        Service(self.guest).append(lines(count))

    def stop(self) -> None:
        """Stop the service, which then has counted all that was written."""
        self.guest.systemctl("stop", UNIT)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change the first `old` in a file of the checkout."""
        path = self.checkout / name
        text = path.read_text()
        if old not in text:
            raise ValueError(f"{name} has no {old!r}")
        path.write_text(text.replace(old, new, 1))

    @contextlib.contextmanager
    def changed(self, name: str, old: str, new: str) -> Iterator[None]:
        """The checkout with a change in it, committed: the package is built from a commit."""
        self.edit(name, old, new)
        self.commit()
        try:
            yield
        finally:
            self.git("reset", "--quiet", "--hard", "HEAD^")

    @contextlib.contextmanager
    def twin(self, name: str, old: str, new: str) -> Iterator[None]:
        """With a fault in the script; afterwards the true one cleans up."""
        self.edit(f"scripts/{name}.sh", old, new)
        try:
            yield
        finally:
            self.git("checkout", "--quiet", "--", "scripts")
            self.clean()

    def clean(self) -> None:
        """Nothing is installed, and no log is there."""
        self.guest.run("rm", "-rf", DROP_INS, LOG)
        self.install("--purge")
        found = ("find", "/usr/local", "/etc/systemd", "-depth", "-name", "*qps-reporter*")
        self.guest.run(*found, "-exec", "rm", "-rf", "{}", "+")
        self.guest.systemctl("daemon-reload")
        self.guest.run("groupadd", "--force", "--gid=4", "adm")

    def commit(self) -> None:
        """Commit what was changed in the checkout, or added."""
        self.git("add", "--all")
        author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        self.git(*author, "commit", "--quiet", "--message=test")

    def git(self, *arguments: str) -> None:
        """Run git in the checkout."""
        subprocess.run(["git", "-C", self.checkout, *arguments], check=True)


def with_checkout(guest: Guest) -> Machine:
    """The guest with a clone of this checkout, and what pip would download for it."""
    checkout = guest.directory / f"root{CHECKOUT}"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    shutil.copytree(wheels(), checkout / ".cache" / "wheels")
    return Machine(guest, checkout)


def wheels() -> Path:
    """What pip would download for the program; kept in .cache."""
    directory = ROOT / ".cache" / "wheels"
    if not list(directory.glob("*.whl")):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
        wanted = [requirement for requirement in wanted if not requirement.startswith("systemd-python")]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, f"--dest={directory}", *wanted], check=True)
    return directory


def counted(machine: Machine, cursor: str) -> int:
    """The requests in the service's reports since `cursor`."""
    return sum(map(requests, machine.guest.journal(f"--unit={UNIT}", after=cursor)))


def check_nothing_is_done(machine: Machine, *options: str) -> None:
    """A run with these options ends well and does nothing."""
    before = machine.files(), machine.packages(), machine.invocation()
    machine.install(*options)
    assert (machine.files(), machine.packages(), machine.invocation()) == before


def check_second_run(machine: Machine, *way: str) -> None:
    """After the first run the service reports what is logged; a second run changes nothing and says so."""
    cursor = machine.guest.journal_cursor()
    machine.install(*way)
    assert machine.invocation()
    machine.log(3)
    with machine.guest.follow(f"--unit={UNIT}", after=cursor) as journal:
        await_requests(journal, 3)
    before = machine.files(), machine.invocation()
    printed = machine.install(*way)
    assert (machine.files(), machine.invocation()) == before
    assert "already" in printed
    assert f"{UNIT} is running" in printed


def check_kept(machine: Machine, *way: str) -> None:
    """Uninstalled, it leaves configuration and ledger, and with them goes on where it was."""
    machine.install(*way)
    machine.guest.write(CONFIGURATION, machine.guest.path(CONFIGURATION).read_text() + "# ours\n")
    machine.log(5)
    machine.install("--uninstall")
    assert not machine.invocation()
    assert machine.guest.run("sh", "-c", "command -v qps-reporter", check=False).returncode
    machine.log(2)
    cursor = machine.guest.journal_cursor()
    assert machine.guest.path(CONFIGURATION).exists()
    machine.install(*way)
    assert machine.guest.path(CONFIGURATION).read_text().endswith("# ours\n")
    machine.stop()
    assert counted(machine, cursor) == 2


def check_purged(machine: Machine, *way: str) -> None:
    """Purged, it leaves nothing that was not there, of an instance of its template neither."""
    before = machine.files()
    machine.install(*way)
    machine.guest.run("cp", CONFIGURATION, "/etc/qps-reporter/shop.toml")
    machine.guest.systemctl("enable", "--now", "qps-reporter@shop")
    machine.install("--purge")
    assert machine.files() == before
    assert "qps-reporter" not in machine.guest.run("journalctl", "--list-catalog").stdout
    assert not machine.guest.systemctl("list-units", "--all", "--plain", "--no-legend", "qps-reporter*")


def check_failure(machine: Machine, *way: str, says: str, wheels: str = WHEELS) -> None:
    """A run fails, says what failed and what to do, and leaves all as it was, the service included."""
    before = machine.files(), machine.invocation()
    status, printed = machine.attempt(*way, wheels=wheels)
    assert status == 1
    assert "install: FAILED: " in printed
    assert re.search(says + ".*; then run this again", printed)
    assert (machine.files(), machine.invocation()) == before


def check_goes_back(machine: Machine, *way: str) -> None:
    """An upgrade whose service does not start is taken back: the old version runs, and nothing is lost."""
    machine.install(*way)
    cursor = machine.guest.journal_cursor()
    machine.log(3)
    before = machine.files()
    unit = f"packaging/systemd/{UNIT}"
    with machine.changed(unit, "qps-reporter run\n", "qps-reporter run --what\n"):
        status, printed = machine.attempt(*way)
    assert status == 1
    assert "unrecognized arguments: --what" in printed
    assert re.search("taking back.*\n.*mend what the service says above.*; then run this again", printed)
    assert machine.invocation()
    assert machine.files() == before
    machine.stop()
    assert counted(machine, cursor) == 3


def check_upgrade(machine: Machine, *way: str) -> None:
    """From a newer checkout the newer program runs, and the ledger goes on."""
    machine.install(*way)
    cursor = machine.guest.journal_cursor()
    machine.log(3)
    old = machine.invocation()
    with machine.changed("qps_service/service/daemon.py", '"""', '"""Newer. '):
        machine.install(*way)
    assert machine.invocation() not in ("", old)
    machine.log(4)
    machine.stop()
    assert counted(machine, cursor) == 7
    places = ("/usr/lib/qps-reporter", "/opt")
    found = machine.guest.run("grep", "-rl", "--include=*.py", '^"""Newer. ', *places, check=False).stdout
    assert len(found.split()) == 1


def check_left_disabled(machine: Machine, *way: str) -> None:
    """An upgrade doesn't start or enable what its administrator stopped and disabled."""
    machine.install(*way)
    machine.stop()
    with machine.changed("qps_service/service/daemon.py", '"""', '"""Newer. '):
        machine.install(*way)
    assert not machine.invocation()
    machine.guest.systemctl("disable", UNIT)
    machine.install(*way)
    assert not machine.invocation()
    assert machine.guest.run("systemctl", "is-enabled", UNIT, check=False).stdout == "disabled\n"


def check_bad_configuration(machine: Machine, *way: str) -> None:
    """A newer program that doesn't understand the configuration is not installed; the old one goes on."""
    machine.install(*way)
    machine.guest.write(CONFIGURATION, BROKEN_CONFIGURATION)
    with machine.changed("qps_service/service/daemon.py", '"""', '"""Newer. '):
        check_failure(machine, *way, says=f"nothing was changed; correct {CONFIGURATION}")


def check_no_start(machine: Machine, *way: str) -> None:
    """A service that does not start is not left there."""
    machine.guest.write(f"{DROP_INS}/test.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n")
    check_failure(machine, *way, says="taking back.*\n(.*\n)*.*mend what the service says above")


def check_dry(machine: Machine, *way: str) -> None:
    """A dry run does nothing: before an installation, and when there is one."""
    check_nothing_is_done(machine, *way, "--dry-run")
    machine.install(*way)
    for action in ((), ("--uninstall",), ("--purge",)):
        check_nothing_is_done(machine, *way, *action, "--dry-run")


# What each way keeps.
CHECKS_OF_BOTH = (
    *(check_second_run, check_kept, check_purged, check_bad_configuration, check_no_start),
    *(check_goes_back, check_upgrade, check_left_disabled, check_dry),
)
# Faults of what both ways share: the cheaper way shows that its checks catch them.
TWINS_OF_BOTH = [
    (check_kept, "install", "$verb == purge && (", "purge == purge && ("),
    (check_bad_configuration, "install", '"$@" check --config-only', "true"),
    (check_dry, "install", "--dry-run) dry_run=yes", "--dry-run) "),
]
