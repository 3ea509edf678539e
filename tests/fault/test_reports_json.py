"""Reports as JSON lines of the running program: by the schema, whole through rotation and a full disk."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError

from tests.fault.mounts import MakeMount, needs_root
from tests.fault.program import GUARD, ROOT, WRONG, Process, Site
from tests.reports_schema import validate

pytestmark = pytest.mark.real_time

Make = Callable[..., Site]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Builds sites that report ten times a second."""
    sites: list[Site] = []

    def build(path: Path | None = None, twin: str = "") -> Site:
        site = Site(tmp_path / str(len(sites)), interval="100ms", twin=twin)
        sites.append(site)
        with site.config.open("a") as config:
            config.write(f'[output.json]\npath = "{path or site.root / "reports.jsonl"}"\n')
        return site

    yield build
    for site in sites:
        site.close()


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
    missing, surplus = site.expected - found, found - site.expected
    assert not missing, f"lost {missing.total()}: {sorted(missing)[:3]}"
    assert not surplus, f"counted too often {surplus.total()}: {sorted(surplus)[:3]}"


def whole_through_rotations(make: Make, twin: str = "") -> None:
    """Renamed, removed, or let go of at a reload: what the files have in all is each report once."""
    site = make(twin=twin)
    current = site.root / "reports.jsonl"
    writer = site.writer()
    process = site.start()
    process.told("READY=1")
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
    assert (
        (site.root / "stdout")
        .read_text()
        .startswith(("Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "))
    )
    check_sums(site, reports)
    site.check()


BUFFERED = """
from qps_service.outputs.json_lines import JsonOutput
append, held = JsonOutput._append, []
def lazily(self, line):
    held.append(line)
    if len(held) > 1:
        append(self, held.pop(0))
JsonOutput._append = lazily
"""
DEAF = "from qps_service.outputs.json_lines import JsonOutput\nJsonOutput.reopen = lambda self: None\n"


def test_whole_through_rotations(make: Make) -> None:
    whole_through_rotations(make)


@pytest.mark.twin
@pytest.mark.parametrize("twin", [BUFFERED, DEAF], ids=["buffered", "deaf"])
def test_a_twin_is_caught(make: Make, twin: str) -> None:
    with pytest.raises((AssertionError, FileNotFoundError)):
        whole_through_rotations(make, twin)


@needs_root
def test_a_full_disk_costs_reports_and_no_counts(make: Make, mount: MakeMount) -> None:
    """Nothing of a line stays that does not fit; it goes on when there is room."""
    disk = mount("disk", "-t", "tmpfs", "-o", "size=1m", "none")
    path = disk.directory / "reports.jsonl"
    site = make(path)
    writer = site.writer()
    process = site.start()
    process.told("READY=1")
    writer.lines(10)
    assert process.has_counted(10)
    disk.fill()
    for number in range(2, 6):
        writer.lines(1000)
        assert process.has_counted(10 + 1000 * (number - 1))
    full = read(path.read_text())
    disk.make_room()
    writer.lines()
    assert process.has_counted(4011)
    process.stop()
    reports = read(path.read_text())
    assert reports[: len(full)] == full
    assert reports[-1]["sequence"] > len(reports)
    said = [line for line in site.stderr.splitlines() if str(path) in line]
    # A short line may still fit where a long one did not.
    assert said == (len(said) // 2 or 1) * [
        f"qps-reporter: cannot append to {path}: No space left on device",
        f"qps-reporter: {path} takes reports again",
    ]
    with pytest.raises(AssertionError, match=WRONG):
        check_sums(site, reports)
    site.check()


# --- on stdout


def stdout_is_json(root: Path, arguments: list[str]) -> None:
    log = root / "access.log"
    log.touch()
    process = Process(root, str(log), "--interval", "100ms", *arguments)
    try:
        process.told("READY=1")
        with log.open("a") as file:
            file.write("10.0.0.1\tGET /a\\\t200\t10\n")
        assert process.has_counted(1)
        process.process.send_signal(signal.SIGTERM)
        out, _ = process.end()
    finally:
        process.close()
    reports = read(out)
    assert [report["sequence"] for report in reports] == list(range(1, len(reports) + 1))
    [row] = [row for report in reports for row in report["rows"]]
    assert (row["method"], row["route"], row["status"], row["bytes"]) == ("GET", "/a\\\\", 200, 10)


def test_json_on_stdout(tmp_path: Path) -> None:
    stdout_is_json(tmp_path, ["--json"])
    with pytest.raises((ValueError, ValidationError, AssertionError)):
        stdout_is_json(tmp_path, [])


def test_json_of_one_pass(make: Make) -> None:
    """As cron has it: a line on stdout, and one in the file."""
    site = make()
    writer = site.writer()

    def once() -> list[dict[str, Any]]:
        command = [
            sys.executable,
            "-m",
            "qps_service",
            "run",
            "--config",
            str(site.config),
            "--once",
            "--json",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=GUARD, check=True)
        assert done.stderr == ""
        return read(done.stdout)

    writer.lines(2)
    first = once()
    writer.lines(3)
    second = once()
    assert [report["requests"] for report in (*first, *second)] == [0, 3]
    assert read((site.root / "reports.jsonl").read_text()) == [*first, *second]
    site.check()
