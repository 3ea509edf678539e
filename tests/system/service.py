"""The service under test, as an administrator handles it: configuration, systemctl, journal, log."""

import contextlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from qps_service.notices.kinds import REPORT_MESSAGE_ID, Kind
from tests.system import faults
from tests.system.guest import Guest
from tests.system.journal import Entry, JournalStream

UNIT, SOCKET, PAGE = "qps-reporter.service", "qps-reporter.socket", "qps-reporter-web.service"
LOG = "/var/log/access.log"
LEDGER = "/var/lib/qps-reporter/ledger.db"
CONFIGURATION = "/etc/qps-reporter/qps-reporter.toml"
# Longer than any test: a report then comes only when something else asks for it.
NEVER = "6h"


def configuration(interval: str = "1s", start: str = "start", path: str = LOG) -> str:
    """A configuration file for one log named `access`, of whose reports the journal has all."""
    journal = '[output.journal]\nrows = 1000000\nidle = "0"\n'
    log = f'[log.access]\npath = "{path}"\nformat = "default"\nstart = "{start}"\n'
    return f'interval = "{interval}"\n{journal}{log}'


def lines(count: int, route: str = "/", status: int = 200) -> str:
    """Whole lines in the default format, of 100 bytes a response."""
    return f"192.0.2.1\tGET {route}\t{status}\t100\n" * count


class Service:
    """qps-reporter.service in a guest, or another unit of the package's."""

    def __init__(self, guest: Guest, unit: str = UNIT) -> None:
        self.guest, self.unit = guest, unit
        self._since = ""  # journal cursor: what came before belongs to another test

    def reset(self) -> None:
        """Stop it and remove what it and its log left."""
        self.guest.run("systemctl", "stop", SOCKET, UNIT)
        self.guest.run("systemctl", "reset-failed", UNIT, check=False)
        drop_ins = (f"/run/systemd/system/{unit}.d" for unit in (SOCKET, UNIT, PAGE))
        for place in (*drop_ins, "/var/lib/qps-reporter", "/run/faults"):
            shutil.rmtree(self.guest.path(place), ignore_errors=True)
        for generation in self.guest.path("/var/log").glob("access.log*"):
            generation.unlink()
        self.guest.systemctl("daemon-reload")
        self._since = self.guest.journal_cursor()

    def configure(self, text: str) -> None:
        """Replace the configuration file."""
        self.guest.write(CONFIGURATION, text)

    def override(self, **settings: str) -> None:
        """Set settings of the unit's [Service], or StartLimit... of its [Unit], with a drop-in."""
        text = "".join(
            f"[{'Unit' if name.startswith('StartLimit') else 'Service'}]\n{name}={value}\n"
            for name, value in settings.items()
        )
        self.guest.write(f"/run/systemd/system/{self.unit}.d/test.conf", text)
        self.guest.systemctl("daemon-reload")

    def inject(self, *chosen: Callable[[], None], **settings: str) -> None:
        """Have the service's Python make these of `faults` before the program; the product is not touched."""
        calls = "".join(f"{fault.__name__}()\n" for fault in chosen)
        self.guest.write("/run/faults/sitecustomize.py", Path(faults.__file__).read_text() + calls)
        self.guest.path("/run/faults").chmod(0o777)
        # The check before the start is the real one's. The sandbox must let the trigger be taken away.
        faulty = {
            "Environment": "PYTHONPATH=/run/faults",
            "ExecStartPre": "",
            "ReadWritePaths": "/run/faults",
        }
        self.override(**faulty, **settings)

    def trigger(self) -> None:
        """Make the injected fault happen, once."""
        self.guest.path("/run/faults/trigger").touch()

    def start(self) -> None:
        """Returns when the service says that it is ready."""
        self.guest.systemctl("start", self.unit)

    def begin(self, interval: str = "1s", log: str = "") -> None:
        """Start it with such a configuration and this in its log."""
        self.configure(configuration(interval))
        self.append(log)
        self.start()

    def stop(self) -> None:
        """Returns when the service has ended."""
        self.guest.systemctl("stop", self.unit)

    def reload(self) -> None:
        """Returns when the service has been told to reload."""
        self.guest.systemctl("reload", self.unit)

    def show(self, name: str) -> str:
        """One of the unit's properties."""
        return self.guest.show(self.unit, name)

    def append(self, text: str) -> None:
        """Write to the log, as the web server's user would: the service may read it through adm."""
        path = self.log()
        if not path.exists():
            path.touch()
            self.guest.run("chown", "root:adm", LOG)
            path.chmod(0o640)
        with path.open("a") as log:
            log.write(text)

    def log(self, suffix: str = "") -> Path:
        """The log, or with a suffix one of its older generations, as the host sees it."""
        return self.guest.path(LOG + suffix)

    def entries(self) -> list[Entry]:
        """All that the journal holds on the unit since the reset, systemd's own messages included."""
        return self.guest.journal(f"--unit={self.unit}", after=self._since)

    def reports(self) -> list[Entry]:
        """The entries that are reports."""
        return [entry for entry in self.entries() if is_report(entry)]

    def said(self, kind: Kind) -> list[str]:
        """The messages of this kind."""
        return [entry["MESSAGE"] for entry in self.entries() if says(kind)(entry)]

    def requests(self) -> int:
        """Those of all reports."""
        return sum(map(requests, self.entries()))

    @contextlib.contextmanager
    def follow(self) -> Iterator[JournalStream]:
        """The unit's entries since the reset, as they come."""
        with self.guest.follow(f"--unit={self.unit}", after=self._since) as stream:
            yield stream


def is_report(entry: Entry) -> bool:
    """Whether a journal entry is one of the service's reports."""
    return entry.get("MESSAGE_ID") == REPORT_MESSAGE_ID


def says(kind: Kind) -> Callable[[Entry], bool]:
    """Whether an entry is a message of this kind."""
    return lambda entry: entry.get("MESSAGE_ID") == kind.message_id


def ended_by(result: str) -> Callable[[Entry], bool]:
    """Whether an entry is systemd's word that the service failed so."""
    return lambda entry: entry.get("UNIT_RESULT") == result


def requests(entry: Entry) -> int:
    """A report's requests; 0 for other entries."""
    return int(entry["QPS_REQUESTS"]) if is_report(entry) else 0


def await_requests(stream: JournalStream, count: int) -> Entry:
    """The report with which all reports read from `stream` so far add up to `count` requests or more."""
    total = sum(map(requests, stream.entries))

    def reached(entry: Entry) -> bool:
        nonlocal total
        total += requests(entry)
        return is_report(entry) and total >= count

    return stream.until(reached)


def rows(entry: Entry) -> list[dict[str, object]]:
    """A report's rows: objects with method, route, status, requests, bytes and rate."""
    decoded: list[dict[str, object]] = json.loads(entry["QPS_ROWS"])
    return decoded


class Numbered:
    """Lines for /0, /1, /2 and so on."""

    def __init__(self) -> None:
        self.written = 0

    def lines(self, count: int) -> str:
        """The next ones."""
        first, self.written = self.written, self.written + count
        return "".join(lines(1, f"/{number}") for number in range(first, self.written))


def totals(service: Service) -> list[tuple[str, str, str, int, int, int]]:
    """The ledger's: log, method, route, status, requests, bytes."""
    # Not by way of /proc, where SQLite follows the link `root` to the host's own root.
    place = f"{service.guest.directory}/root{LEDGER}"
    with contextlib.closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as ledger:
        return ledger.execute("SELECT log, method, route, status, requests, bytes FROM totals").fetchall()


def counted(service: Service) -> Counter[str]:
    """Requests by route, as the ledger has them; every other column is as it was written."""
    found = totals(service)
    for log, method, _, status, requests, size in found:
        assert (log, method, status, size) == ("access", "GET", 200, 100 * requests)
    return Counter({route: requests for _, _, route, _, requests, _ in found})
