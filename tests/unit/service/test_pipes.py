"""The service with logs that are pipes: reports, their end, and pipes that come late. Time is simulated."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qps_service.auditing import recount
from qps_service.auditing.audit import audit
from qps_service.commands.audit import render
from qps_service.configuration.loader import Flags, load
from qps_service.errors import EXIT_OK
from qps_service.files.kernel import Files
from qps_service.files.pipe import inherited
from qps_service.following import stream
from qps_service.following.stream import Stream
from qps_service.service.pipeline import LogPipeline
from qps_service.service.pipelines import Pipelines
from qps_service.values.positions import PIPES, Identity, Position
from tests.promised import Patches, Promise, answers, promises, sets, twin
from tests.unit.daemons import LINE, Service, read

FIELDS = b"#Fields: cs-method cs-uri-stem sc-status\n"


class Given:
    """A pipe that the process was given, as standard input."""

    def __init__(self) -> None:
        self.end, self._writer = os.pipe()

    def log(self, name: str, more: str = "") -> str:
        return f'[log.{name}]\npath = "/dev/fd/{self.end}"\nformat = "default"\n{more}'

    def write(self, text: bytes) -> None:
        os.write(self._writer, text)

    def leave(self) -> None:
        os.close(self._writer)
        self._writer = -1

    def close(self) -> None:
        os.close(self.end)
        if self._writer >= 0:
            self.leave()


@pytest.fixture
def given() -> Iterator[Given]:
    pipe = Given()
    yield pipe
    pipe.close()


def the_end_of_input_is_the_end(tmp_path: Path, given: Given) -> None:
    """All that was read is in a report, what was there at first too; the grid is kept; then the end."""
    service = Service(tmp_path, given.log("access"))
    given.write(LINE * 3)
    service.world.at(4, lambda: given.write(LINE * 4 + LINE[:-1]))
    service.world.hint(12, given.leave)
    service.world.at(60, lambda: pytest.fail("it goes on"))
    assert service.daemon.run() == EXIT_OK
    assert service.requests == [7, 1]
    assert service.reports[0].seconds == 10
    assert [text.partition("\n")[0] for text in service.told_of("STOPPING")] == ["STOPPING=1"]
    assert service.told_of("READY=1")
    assert service.said("stopped") == ["stopped; 8 requests counted and 0 lines rejected in total"]


def other_logs_go_on(tmp_path: Path, given: Given) -> None:
    """The end of one input is the end of the service only where nothing else can come."""
    log = tmp_path / "access.log"
    log.touch()
    service = Service(tmp_path, given.log("piped") + f'[log.access]\npath = "{log}"\n')
    given.write(LINE)
    given.leave()
    service.write_at(25, 5)
    service.run(32)
    assert sum(each.requests for each in service.reports if each.log == "piped") == 1
    assert sum(each.requests for each in service.reports if each.log == "access") == 5


def once_reads_to_the_end(tmp_path: Path) -> None:
    """However long somebody writes; then it is over, and nothing of it was cut off."""
    ledger, fifo = str(tmp_path / "ledger.db"), tmp_path / "fifo"
    os.mkfifo(fifo)
    both = os.open(fifo, os.O_RDWR)
    service = Service(tmp_path, f'[log.access]\npath = "{fifo}"\nformat = "default"\n', ledger=ledger)
    for seconds in (1, 15, 31):
        service.world.at(seconds, lambda: os.write(both, LINE))
    service.world.hint(33, lambda: os.close(both))
    assert service.daemon.run(once=True) == EXIT_OK
    service.writer.close()
    assert service.requests == [3]
    assert 33 <= service.world.seconds < 34
    assert rows(tmp_path) == [(3, False)]


def rows(root: Path) -> list[tuple[int, bool]]:
    """Lines of each pipe's position, and whether it is open."""
    with read(root) as ledger:
        return [(row.lines, held) for row, held in ledger.generations("access") if row.number == PIPES]


def a_late_pipe_is_followed(tmp_path: Path) -> None:
    """A FIFO that is made after the start, where nothing was; and nobody takes it for an unreadable file."""
    service = Service(tmp_path, 'interval = "5s"\n[log.access]\npath = "{}"\n'.format(tmp_path / "late"))
    ends: list[int] = []

    def come() -> None:
        os.mkfifo(tmp_path / "late")

    def write() -> None:
        ends.append(os.open(tmp_path / "late", os.O_WRONLY | os.O_NONBLOCK))
        os.write(ends[0], LINE * 2)

    service.world.at(11, come)
    service.world.at(17, write)
    try:
        service.run(30)
    finally:
        os.close(ends[0])
    assert sum(service.requests) == 2
    assert service.said("following")


def totals_go_on(tmp_path: Path) -> None:
    """Over runs, and the books balance: what was read of all pipes is one row."""
    ledger = str(tmp_path / "ledger.db")
    for number in (1, 2, 3):
        given = Given()
        service = Service(tmp_path, given.log("access"), ledger=ledger)
        given.write(LINE * number + b"?\n")
        given.leave()
        service.daemon.run()
        service.writer.close()
        given.close()
        assert service.requests[-1] == number
        assert not service.said("possible_loss")
        assert rows(tmp_path) == [(sum(range(number + 1)) + number, False)]
    file = tmp_path / "access.log"
    file.write_bytes(LINE * 6 + b"?\n" * 3)  # as long as all that came through pipes
    service = Service(
        tmp_path, f'[log.access]\npath = "{file}"\nformat = "default"\nstart = "start"\n', ledger=ledger
    )
    service.run(3)
    assert service.daemon._pipelines.requests == 12
    assert rows(tmp_path) == [(9, False)]
    with read(tmp_path) as books:
        told = audit(books, "access", Files())
    assert told.balances
    assert [each.counted for each in told.generations] == [None, 9]
    assert "\n        pipe  closed" in render(told)


def directives_last_as_long_as_a_pipe(tmp_path: Path) -> None:
    """A FIFO's next reader knows the columns; those of one standard input are not those of the next."""
    ledger, fifo = str(tmp_path / "ledger.db"), tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    for text in (FIELDS + b"GET /a 200\n", b"GET /b 200\n"):
        os.write(writer, text)
        service = Service(tmp_path, f'[log.access]\npath = "{fifo}"\nformat = "w3c"\n', ledger=ledger).run(3)
        assert service.requests[-1] == 1
    os.close(reader)
    os.close(writer)


def test_what_the_process_was_given() -> None:
    paths = ("/dev/stdin", "/dev/fd/63", "/proc/self/fd/0", "/dev/fd/", "/dev/stdin0")
    assert [*map(inherited, paths)] == [0, 63, 0, None, None]


def test_a_dash_is_standard_input(tmp_path: Path) -> None:
    (log,) = load(Flags(log="-"), {}).logs
    assert (log.name, log.path) == ("stdin", "/dev/stdin")
    file = tmp_path / "x.toml"
    file.write_text('[log.docker]\npath = "-"\n')
    assert [(log.name, log.path) for log in load(Flags(config=str(file)), {}).logs] == [
        ("docker", "/dev/stdin")
    ]


ENDLESS = Patches((Pipelines, "is_over", False))
EAGER = Patches((Pipelines, "is_over", property(lambda self: any(p.state.is_over for p in self.followed))))
IMPATIENT = Patches((Pipelines, "is_open", False))
UNMARKED = answers(Stream, "sweep")
BLIND = Patches((LogPipeline, "_make_stream", LogPipeline._make_follower))


# Begins anew with each process.
Forgetful = twin(Stream, "Forgetful", "__init__", then=sets(_sum=None))


class KnowsNoColumns(Stream):
    """A pipe begins with nothing, whoever read it before."""

    def _nothing(self, identity: Identity, _: bytes = b"") -> Position:
        return super()._nothing(identity)


test_promise, test_twin = promises(
    {
        the_end_of_input_is_the_end: {"Endless": ENDLESS},
        other_logs_go_on: {"Eager": EAGER},
        once_reads_to_the_end: {"Impatient": IMPATIENT, "Unmarked": UNMARKED},
        totals_go_on: {
            "Forgetful": Patches((stream, "Stream", Forgetful)),
            "CountsAgain": Patches((recount, "PIPES", -1)),
        },
        directives_last_as_long_as_a_pipe: {"KnowsNoColumns": Patches((stream, "Stream", KnowsNoColumns))},
    },
    Promise(a_late_pipe_is_followed, None, {"Blind": BLIND}, (IndexError,)),
)
