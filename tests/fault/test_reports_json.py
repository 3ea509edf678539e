"""Reports as JSON lines of the running program: by the schema, whole through rotation."""

import json
import signal
from collections import Counter

import pytest

from tests.fault import broken
from tests.fault.program import MakeSite
from tests.promised import MadePromise, promises
from tests.reports_schema import validate

pytestmark = pytest.mark.real_time


def whole_through_rotations(make_site: MakeSite) -> None:
    """Renamed, removed, or let go of at a reload: what the files have in all is each report once."""
    site = make_site(interval="100ms")
    current = site.root / "reports.jsonl"
    site.configure(f'[output.json]\npath = "{current}"\n')
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
    text = "".join(path.read_text() for path in (*texts, current))
    assert text.endswith("\n")
    reports = [json.loads(line) for line in text.splitlines()]
    found: Counter[str] = Counter()
    for report in reports:
        validate(report)
        assert report["requests"] == sum(row["requests"] for row in report["rows"])
        for row in report["rows"]:
            found[row["route"]] += row["requests"]
    site.check_counts(found)
    assert [report["sequence"] for report in reports] == list(range(1, len(reports) + 1))
    assert site.stdout.startswith(("Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "))
    site.check()


test_the_file_is_whole, test_a_twin_is_caught = promises(
    MadePromise(
        whole_through_rotations,
        broken.keeps_back_a_line_of_json,
        broken.never_reopens_json,
        caught=(FileNotFoundError,),
    )
)
