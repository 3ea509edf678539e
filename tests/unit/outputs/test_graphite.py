"""Graphite's lines: exact, safe, without gaps; and a receiver that hangs changes nothing."""

import re
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from qps_service.configuration.types import GraphiteConfig
from qps_service.notices.kinds import OUTPUT_FAILED, Notice
from qps_service.outputs.graphite import GraphiteOutput, render
from qps_service.outputs.registry import make_output
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Overview, Report
from tests.unit.daemons import SECOND, Service, World
from tests.unit.metrics import AT, HOSTILE, overview, report, standing
from tests.unit.receiving import TcpReceiver

HELP = Key(b"GET", b"/help", 200)
OLD = Key(b"POST", b"/old", 99)

pytestmark = pytest.mark.usefixtures("tidy_sockets")


def lines_of(reports: Sequence[Report], overview: Overview) -> list[str]:
    return b"".join(render(reports, overview, "qps")).decode().splitlines()


# --- the lines


def test_lines() -> None:
    """Rates are the window's, counters the totals; what the window lacks is there too, so that no graph has
    a gap."""
    window, total = (
        report({HELP: Counts(32, 16384)}, rejected=1),
        {HELP: Counts(500, 9000), OLD: Counts(7, 70)},
    )
    assert lines_of([window], overview(standing(total, rejected=3))) == [
        f"qps.access.GET._help.200.requests 500 {AT}",
        f"qps.access.GET._help.200.bytes 9000 {AT}",
        f"qps.access.GET._help.200.rate 3.2 {AT}",
        f"qps.access.POST._old.099.requests 7 {AT}",
        f"qps.access.POST._old.099.bytes 70 {AT}",
        f"qps.access.POST._old.099.rate 0.0 {AT}",
        f"qps.access.requests 507 {AT}",
        f"qps.access.bytes 9070 {AT}",
        f"qps.access.rate 3.2 {AT}",
        f"qps.access.rejected 3 {AT}",
    ]


def test_a_log_without_a_report_has_no_lines() -> None:
    total = {HELP: Counts(1, 1)}
    shop = standing(total, log="shop")
    assert {line.split(".")[1] for line in lines_of([report(total)], overview(standing(total), shop))} == {
        "access"
    }


LINE = re.compile(r"qps(\.[A-Za-z0-9_-]{1,150})+ [0-9][0-9.e-]* [0-9]+")

Render = Callable[..., list[str]]


def check_hostile(render: Render) -> None:
    """Each line is one metric, whatever a log says, each key has its own, and none is another's folder."""
    counts = {Key(text, text, 200): Counts(1, 1) for text in HOSTILE}
    lines = render([report(counts)], overview(standing(counts)))
    assert all(LINE.fullmatch(line) for line in lines)
    paths = [line.split()[0] for line in lines]
    assert len(paths) == len(set(paths)) == 3 * len(HOSTILE) + 4
    assert not [path for path in paths if any(other.startswith(f"{path}.") for other in paths)]


def trusting(*arguments: Any) -> list[str]:
    """A broken twin: names as they come."""
    names = [row.route.decode(errors="replace") for row in arguments[0][0].rows]
    text = "".join(f"qps.access.GET.{name}.200.{what} 1 1\n" for name in names for what in "abc")
    return text.splitlines() + lines_of(*arguments)[-4:]


def merging(*arguments: Any) -> list[str]:
    """A broken twin: bad characters are taken out, and that is all."""
    return [re.sub("-[0-9a-f]{8}", "", line) for line in lines_of(*arguments)]


def test_hostile_routes() -> None:
    check_hostile(lines_of)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [trusting, merging])
def test_twins_that_let_hostile_routes_through_are_caught(twin: Render) -> None:
    with pytest.raises(AssertionError):
        check_hostile(twin)


# --- with the service


def make(port: int, said: list[Notice], output: type[GraphiteOutput] = GraphiteOutput) -> GraphiteOutput:
    made = make_output(GraphiteConfig("127.0.0.1", port, "qps"), said.append)
    assert isinstance(made, GraphiteOutput)
    return made


def check_grid(service: Service) -> None:
    """Reports keep their grid and their counts, whoever listens."""
    for second in range(1, 61):
        service.write_at(second - 0.5, 7)
    service.world.signal(61, signal.SIGTERM)
    service.daemon.run()
    assert [(report.requests, report.seconds) for report in service.reports] == [(70, 10.0)] * 6 + [(0, 1.0)]


def test_a_service_is_seen_as_it_reports(tmp_path: Path) -> None:
    receiver, said = TcpReceiver(), list[Notice]()
    received = []

    def read() -> None:
        if not receiver.connection:
            receiver.accept()
        received.append(receiver.receive())

    service = Service(tmp_path, outputs=[make(receiver.port, said)])
    for window in range(6):
        service.world.at(10 * window + 11.5, read)
    check_grid(service)
    received.append(receiver.receive())
    values = [
        line.split()[1:] for line in b"".join(received).decode().splitlines() if ".200.requests" in line
    ]
    assert values == [
        [str(requests), str(report.at)]
        for requests, report in zip((70, 140, 210, 280, 350, 420, 420), service.reports, strict=True)
    ]
    assert said == []
    receiver.close()


def test_a_receiver_that_never_reads_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one whose connection nobody accepts; with a backlog that a window fills, it is said once."""
    monkeypatch.setattr("qps_service.network.tcp.LIMIT", 1000)
    receiver, said = TcpReceiver(receive_buffer=2048), list[Notice]()
    outputs = [make(receiver.port, said)]
    small = outputs[0]._stream
    write = small._write

    def write_little(connection: Any) -> None:
        """The kernel's buffers hold hours of this service's metrics: make them small."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # raised to its least
        write(connection)

    monkeypatch.setattr(small, "_write", write_little)
    original = small.send
    monkeypatch.setattr(small, "send", lambda messages: original([*messages, *[b"." * 99 + b"\n"] * 200]))
    check_grid(Service(tmp_path, outputs=outputs))
    assert [(notice.kind, notice.text.partition(" ")[2]) for notice in said] == [
        (OUTPUT_FAILED, "takes no metrics; dropping the oldest")
    ]
    receiver.close()


class Waits(GraphiteOutput):
    """A broken twin: waits for a receiver who does not read, longer than a window."""

    world: World

    def emit(self, *arguments: Any) -> None:
        super().emit(*arguments)
        self.world.elapse(12 * SECOND)


@pytest.mark.twin
def test_an_output_that_waits_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qps_service.network.tcp.LAST_ROUNDS", 1)
    output = Waits(GraphiteConfig("127.0.0.1", 1, "qps"), lambda notice: None)
    service = Service(tmp_path, outputs=[output])
    output.world = service.world
    with pytest.raises(AssertionError):
        check_grid(service)
