"""`--output` of each command that answers: for programs the same as for people."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qps_service.cli import main, make_parser
from qps_service.commands import check
from qps_service.commands.run import _renderer
from qps_service.outputs.csv_rows import COLUMNS, CsvRows
from qps_service.outputs.json_lines import json_pieces
from qps_service.reporting import documents
from qps_service.reporting.text import text_lines
from qps_service.service import own_user
from qps_service.values.counts import Counts, Key
from tests.promised import Patches, Promise, promises, sets, twin
from tests.unit.daemons import LINE, Service
from tests.unit.handed_over import HOSTILE, report

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_user, "SERVICE_USER", "no-such-user")


def answers(capsys: Captured, status: int, *words: str) -> tuple[str, Any, list[dict[str, str]]]:
    """The text, the JSON document and the rows of CSV."""
    texts = []
    for output in ("table", "json", "csv"):
        assert main([*words, "--output", output]) == status
        texts.append(capsys.readouterr().out)
    return texts[0], json.loads(texts[1]), list(csv.DictReader(io.StringIO(texts[2])))


def check_check(capsys: Captured, tmp_path: Path) -> None:
    """Each line of the text, with what it is about; a problem is one in all forms."""
    (tmp_path / "a.log").write_bytes(b"nothing\n")
    text, document, rows = answers(capsys, 1, "check", str(tmp_path / "a.log"), "--format", "default")
    found = document["answers"]
    lines = text.splitlines()
    assert len(found) == len(rows) == len(lines)
    assert not document["well"]
    for each, row, line in zip(found, rows, lines, strict=True):
        assert f"{each['how']}{'' if each['well'] else '  <-- problem'}" == line[15:]
        assert line[:15].strip() in (each["what"], "")
        assert row == {**each, "log": each["log"] or "", "well": str(each["well"]).lower()}
    assert [each["log"] for each in found[-4:]] == ["a"] * 4
    assert [each["what"] for each in found if not each["well"]] == ["first line"]


def check_explain(capsys: Captured) -> None:
    lines = ("1.2.3.4\tGET /a?b\t200\t512", "nothing")
    text, document, rows = answers(capsys, 1, "explain", *lines, "--format", "default")
    assert [(each["route"], each["status"], each["bytes"], each["rejected"]) for each in document] == [
        ("/a", 200, 512, None), (None, None, None, "fields"),
    ]  # fmt: skip
    assert document[0]["fields"][1] == {"name": "$method", "role": "method", "value": "GET"}
    assert document[1]["expected"] in text
    assert [(row["route"], row["status"], row["rejected"]) for row in rows] == [
        ("/a", "200", ""), ("", "", "fields"),
    ]  # fmt: skip


def check_audit(capsys: Captured, tmp_path: Path) -> None:
    service = Service(tmp_path, ledger=str(tmp_path / "ledger.db"))
    service.write_at(2, 3)
    service.write_at(3, 1, b"nothing\n")
    service.run(12)
    service.write(2, LINE)
    text, document, rows = answers(capsys, 0, "audit", "--state", str(tmp_path))
    assert "the books balance\n" in text
    [log] = document["logs"]
    assert (document["balance"], log["log"], log["requests"], log["rejected"]) == (True, "access", 3, 1)
    [generation] = log["generations"]
    assert generation == {
        "generation": 1, "state": "open", "bytes": 3 * len(LINE) + 8, "lines": 4, "rejected": 1,
        "pending": 2 * len(LINE), "recount": 4, "balance": True, "file": str(service.log),
    }  # fmt: skip
    assert rows == [{"log": "access"} | {name: _cell(value) for name, value in generation.items()}]


def _cell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_csv_of_reports(make: Callable[[], CsvRows]) -> None:
    """The columns once, then a line for each row; no hostile route adds a line, a column or a formula."""
    counts = {Key(b"GET", route, 200): Counts(number, 2**64) for number, route in enumerate(HOSTILE, start=1)}
    counts[Key(b"GET", b"=1+1", 404)] = Counts(5, 5)
    render = make()
    text = "".join("".join(render(each)) for each in (report({}), report(counts), report(counts)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.startswith(",".join(COLUMNS) + "\r\n")
    assert len(rows) == 2 * len(counts) == text.count("\r\n") - 1 == text.count("\n") - 1
    assert sum(int(row["requests"]) for row in rows) == 2 * sum(each.requests for each in counts.values())
    assert {row["bytes"] for row in rows} == {str(2**64), "5"}
    assert not [row for row in rows if row["route"].startswith(("=", "@"))]


def check_runs_forms(renderer: Any) -> None:
    parser = make_parser(["run"])
    for words, expected in (("", text_lines), ("--json", json_pieces), ("--output json", json_pieces)):
        assert renderer(parser.parse_args(["run", "x", *words.split()])) is expected
    assert isinstance(renderer(parser.parse_args(["run", "x", "--output", "csv"])), CsvRows)


wide = Patches((documents, "FORMULA", ("\0",)))
test_promise, test_twin = promises(
    {
        check_check: [Patches((check, "as_json", lambda _: '{"well": true, "answers": []}'))],
        check_explain: [Patches((documents, "_cell", str))],
        check_audit: [Patches((documents, "_cell", str))],
    },
    Promise(
        check_csv_of_reports,
        CsvRows,
        {"heads": twin(CsvRows, "heads", "__call__", first=sets(_has_begun=False)), "formulas": wide},
    ),
    Promise(check_runs_forms, _renderer, {"text": lambda arguments: text_lines}),
)
