"""Reports as JSON lines of the running program: by the schema, whole through rotation and a full disk."""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fault import broken
from tests.fault.program import MakeSite, Site, run_program
from tests.promised import MadePromise, promises
from tests.reports_schema import validate

pytestmark = pytest.mark.real_time


def reporting(make_site: MakeSite, path: Path | None = None) -> tuple[Site, Path]:
    """A site that reports ten times a second, and the file with its reports."""
    site = make_site(interval="100ms")
    path = path or site.root / "reports.jsonl"
    site.configure(f'[output.json]\npath = "{path}"\n')
    return site, path


def read(text: str) -> list[dict[str, Any]]:
    """The reports; each line is one, by the schema."""
    assert text.endswith("\n")
    reports = [json.loads(line) for line in text.splitlines()]
    for report in reports:
        validate(report)
        assert report["requests"] == sum(row["requests"] for row in report["rows"])
    return reports


def check_sums(site: Site, reports: list[dict[str, Any]]) -> None:
    """All reports together have every line once, but for what was there at the start."""
    found: Counter[str] = Counter()
    for row in (row for report in reports for row in report["rows"]):
        found[row["route"]] += row["requests"]
    site.check_counts(found)


def whole_through_rotations(make_site: MakeSite) -> None:
    """Renamed, removed, or let go of at a reload: what the files have in all is each report once."""
    site, current = reporting(make_site)
    writer = site.writer()
    process = site.ready()
    texts = []
    for number in range(1, 4):
        writer.lines(10)
        assert process.has_counted(10 * number)
        rotated = current.with_suffix(f".{number}")
        current.rename(rotated)
        if number == 2:
            process.process.send_signal(signal.SIGHUP)
            process.told("READY=1")
            assert current.exists()
        texts.append(rotated)
    writer.lines(5)
    process.stop()
    reports = read("".join(path.read_text() for path in (*texts, current)))
    assert [report["sequence"] for report in reports] == list(range(1, len(reports) + 1))
    assert site.stdout.startswith(("Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "))
    check_sums(site, reports)
    site.check()


test_the_file_is_whole, test_a_twin_is_caught = promises(
    MadePromise(
        whole_through_rotations,
        broken.keeps_back_a_line_of_json,
        broken.never_reopens_json,
        caught=(FileNotFoundError,),
    )
)


def test_json_of_one_pass(make_site: MakeSite) -> None:
    """As cron has it: a line on stdout, and one in the file."""
    site, path = reporting(make_site)
    writer = site.writer()
    printed = []
    for lines in (2, 3):
        writer.lines(lines)
        done = run_program("run", "--config", site.config, "--once", "--json", check=True)
        assert done.stderr == ""
        printed += read(done.stdout)
    assert [report["requests"] for report in printed] == [0, 3]
    assert read(path.read_text()) == printed
    site.check()
