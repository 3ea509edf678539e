"""A path with wildcards: each match is a log, counted from its first line, and nothing else is one.

In simulated time, with real files and inotify, each promise with a broken twin.
"""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qps_service.configuration.path_patterns import PathPattern, free_name, is_pattern, name_of
from qps_service.files.kernel import Files
from qps_service.files.rotated_names import siblings
from qps_service.following import kinship
from qps_service.following.follower import Follower
from qps_service.following.hints import Moved
from qps_service.following.watcher import Watcher, Watches
from qps_service.service import patterns, pipelines
from qps_service.service.patterns import Patterns, find, first_time
from qps_service.service.pipeline import LogPipeline
from qps_service.service.pipelines import Pipelines
from tests.limits import Doubled
from tests.promised import Patches, Promise, answers, nothing, promises, sets, twin
from tests.unit import daemons
from tests.unit.daemons import LINE, SECOND, Service, SlowFiles, read, requests_of, restored

HOUR = 3600
Look = patterns._Look


def line(number: int, at: int = 0) -> bytes:
    """One that no other is like; with a time it proves which text it is of."""
    return b"10.0.0.%d\tGET /%d\t200\t%d\n" % (number % 250, number, number)


def lines(count: int, first: int = 0) -> bytes:
    return b"".join(line(number) for number in range(first, first + count))


class Site:
    """A directory of logs, and a service that follows a pattern in it."""

    def __init__(self, root: Path, pattern: str = "*.log", more: str = "", **given: Any) -> None:
        self.root = root / "logs"
        self.root.mkdir(exist_ok=True)
        self.pattern = pattern
        text = f'interval = "10s"\n{more.format(self.root)}\n[log.web]\npath = "{self.root}/{pattern}"\n'
        self.service = Service(root, text, **{"ledger": str(root / "ledger.db"), **given})
        self.world = self.service.world

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, data: bytes) -> None:
        with open(self.path(name), "ab") as file:
            file.write(data)

    def at(self, seconds: float, act: Callable[..., object], *given: Any) -> None:
        self.world.hint(seconds, lambda: act(*given))

    def write_at(self, seconds: float, name: str, data: bytes) -> None:
        self.world.at(seconds, lambda: self.write(name, data))

    def rename(self, old: str, new: str) -> None:
        self.path(old).rename(self.path(new))

    def age(self, name: str, seconds: float) -> None:
        """As if it was last written to so long ago."""
        at = self.path(name).stat().st_mtime - seconds
        os.utime(self.path(name), (at, at))

    def run(self, seconds: float) -> dict[str, int]:
        """Requests by log, of all reports."""
        self.service.run(seconds)
        counted: dict[str, int] = {}
        for report in self.service.reports:
            counted[report.log] = counted.get(report.log, 0) + report.requests
        return counted


def totals(root: Path) -> dict[str, int]:
    """Requests that the ledger has, by log."""
    with read(root) as ledger:
        return {name: requests_of(restored(ledger, name)) for name in ledger.logs()}


# --- names


def names_are_what_the_stars_stand_for(match: Any) -> None:
    for pattern, path, name in (
        ("/v/*access.log", "/v/shop.access.log", "shop"),
        ("/v/*access.log", "/v/access.log", ""),
        ("/srv/*/logs/*-access.log", "/srv/a/logs/b-access.log", "a-b"),
        ("/v/site-??.log", "/v/site-01.log", "01"),
        ("/v/*-[0-9]*.log", "/v/a-b-3x.log", "a-b-3x"),
        ("/v/[!a]*.log", "/v/b .log", "b"),
        ("/v/[*]*.log", "/v/*x.log", "x"),
        ("/v/*.log", "/v/\udcff.log", ""),
    ):
        stands = match(PathPattern(pattern), path)
        assert stands is not None, (pattern, path)
        assert name_of(stands, None) == name
    for pattern, path in (
        ("/v/*.log", "/v/.x.log"),
        ("/v/*.log", "/v/a/b.log"),
        ("/v/*.log", "/v/a.log.1"),
        ("/v/*-[0-9].log", "/v/a-x.log"),
        ("/v/[!a]*.log", "/v/a.log"),
    ):
        assert match(PathPattern(pattern), path) is None, (pattern, path)
    assert [
        is_pattern(each)
        for each in ("/v/*", "/v/a?", "/v/[ab]", "/v/[]]", "/v/[*]", "/v/a[", "/v/[]", "/v/[!]")
    ] == [*(True, True, True, True, False, False, False, False)]


def names_are_free(free: Any) -> None:
    assert free("shop", "web", {"web"}) == "shop"
    assert free("", "web", set()) == "web"
    assert free("shop", "web", {"shop"}) == "web"
    assert free("shop", "web", {"shop", "web", "web-2"}) == "web-3"
    assert free("", "w" * 64, {"w" * 64}) == "w" * 59 + "-2"
    assert name_of(("a.", "b"), "{2}-on-{1}") == "b-on-a"


# --- what is a log


def each_match_is_a_log(tmp_path: Path) -> None:
    """Those that are there from their ends on, those that come from their first lines on, rates too."""
    site = Site(tmp_path, "*access.log")
    for name in ("access.log", "shop.access.log", "other.log", "old-access.log.gz"):
        site.write(name, lines(5))
    site.write_at(2, "access.log", lines(1, 5))
    site.write_at(2, "shop.access.log", lines(2, 5))
    site.at(3.5, site.write, "new-access.log", lines(3))
    site.write_at(12, "new-access.log", lines(4, 3))
    assert site.run(15) == {"web": 1, "shop": 2, "new": 7}
    assert [each.requests for each in site.service.reports if each.log == "new"] == [3, 4]


class Aging(SlowFiles):
    """Files are as old as they are by the world's clock, and take time to be read."""

    def __init__(self) -> None:
        super().__init__(0.1, start=5)
        self.born: dict[int, int] = {}  # by inode

    def age(self, descriptor: int) -> int:
        return self.world.time - self.born[self.fstat(descriptor).inode]


def what_comes_all_at_once_is_reported(tmp_path: Path) -> None:
    """Each from its first line on, though they are read one after the other, and more come meanwhile."""
    files = Aging()
    site = Site(tmp_path, files=files)

    def come(*names: str) -> None:
        for name in names:
            site.write(name, lines(2))
            files.born[site.path(name).stat().st_ino] = site.world.time

    come("old.log")
    site.at(5.5, come, "a.log", "b.log", "c.log")
    site.at(5.6, come, "d.log")
    site.at(5.8, come, "e.log", "f.log")
    assert site.run(15) == {**dict.fromkeys("abcdef", 2), "old": 0}


def what_is_found_late_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no event tells of a log, or its lines do not tell it from a copy, its first window is longer."""
    files = Aging()
    site = Site(tmp_path, files=files)
    (same,) = lines(1).splitlines(keepends=True)

    def come(name: str) -> None:
        site.write(name, same)
        files.born[site.path(name).stat().st_ino] = site.world.time

    come("app.log")
    site.write("app.log", same * 99)
    site.at(5.5, come, "app-2.log")
    for second in range(7, 40):
        site.write_at(second, "app-2.log", same)
    site.at(72.5, monkeypatch.setattr, Watches, "_sort", lambda *_: None)
    site.at(90.5, come, "silent.log")
    assert site.run(160) == {"app": 0, "app-2": 34, "silent": 1}
    seconds = {each.log: each.seconds for each in reversed(site.service.reports) if each.requests}
    assert 40 < seconds["app-2"] < 80, seconds
    assert 30 < seconds["silent"] < 50, seconds


def nothing_is_known_by_its_name_alone(tmp_path: Path) -> None:
    """app-2.log may be a rotation of app.log, and is another application's: at a start, and later."""
    site = Site(tmp_path)
    site.write("app.log", lines(5))
    site.write("app-2.log", lines(5, 100))
    site.age("app-2.log", -5)
    site.write_at(2, "app-2.log", lines(2, 200))
    site.at(3, site.write, "app-3.log", lines(1, 300))
    site.at(4, site.path("app-4.log").touch)
    site.write_at(8, "app-4.log", lines(4, 400))
    site.write_at(14, "app-4.log", lines(1, 500))
    assert site.run(15) == {"app": 0, "app-2": 2, "app-3": 1, "app-4": 5}


def what_is_older_is_a_rotation(tmp_path: Path) -> None:
    """Until somebody writes to it: then it is a log, from there on."""
    site = Site(tmp_path)
    site.write("app-1.log", lines(5))
    site.age("app-1.log", HOUR)
    site.write("app-2.log", lines(5, 20))
    site.age("app-2.log", HOUR)
    site.write("app.log", lines(5, 100))
    site.write_at(12, "app-2.log", lines(3, 200))
    site.write_at(75, "app-2.log", lines(1, 300))
    assert site.run(80) == {"app": 0, "app-2": 4}


def renamed_logs_are_rotations(tmp_path: Path) -> None:
    """Whatever they are called then, with lines that come late; and what is created is a log."""
    site = Site(tmp_path)
    site.write("app.log", lines(5))

    def rotate() -> None:
        with open(site.path("app.log"), "ab") as late:
            site.rename("app.log", "app-2.log")
            site.write("app.log", lines(2, 100))
            late.write(lines(3, 200))

    site.at(2.5, rotate)
    site.at(4.5, site.rename, "app-2.log", "strange.log")
    site.at(6.5, site.write, "app-2.log", lines(4, 300))
    assert site.run(12) == {"app": 5, "app-2": 4}


def a_log_may_be_rotated_before_it_is_seen(tmp_path: Path) -> None:
    site = Site(tmp_path)

    def come() -> None:
        for number, name in enumerate(("app.log.2", "app-1.log", "")):
            site.write("app.log", lines(3, number * 100))
            if name:
                site.rename("app.log", name)

    site.at(2.5, come)
    assert site.run(12) == {"app": 9}


def a_rotation_is_known_over_a_stop(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write("app.log", lines(5))
    site.write_at(2, "app.log", lines(20, 5))
    assert site.run(5) == {"app": 20}
    site.write("app.log", lines(3, 50))
    site.rename("app.log", "app-2.log")
    site.write("app.log", lines(4, 100))
    site.write("app-3.log", lines(6, 200))  # of an application that came meanwhile
    for name in ("app-2.log", "app-3.log"):  # of the one that a rotation made, for a writer that was late
        site.age(name, -5)
    again = Site(tmp_path)
    again.world.time += 60 * SECOND
    again.write_at(62, "app.log", lines(1, 300))
    again.run(65)
    assert totals(tmp_path) == {"app": 20 + 3 + 4 + 1, "app-3": 6}


def what_two_patterns_match_goes_on_after_a_stop(tmp_path: Path) -> None:
    """Under its name, whichever of them is first, though it was rotated meanwhile and is not there."""
    for first, last in (("*access.log", "shop*.log"), ("shop*.log", "*access.log")):
        site = Site(tmp_path, last, f'[log.first]\npath = "{{}}/{first}"')
        site.write("shop.access.log", lines(5))
        site.write_at(2, "shop.access.log", lines(1, 5))
        site.run(5)
        before = totals(tmp_path)
        site.write("shop.access.log", lines(2, 50))
        site.rename("shop.access.log", "shop.access.log.1")
        again = Site(tmp_path, last, f'[log.first]\npath = "{{}}/{first}"')
        again.world.time += 60 * SECOND
        again.at(65, again.write, "shop.access.log", lines(4, 100))
        again.run(70)
        assert totals(tmp_path) == {name: count + 6 for name, count in before.items()}
        for path in (tmp_path / "ledger.db", *site.root.iterdir()):
            path.unlink()


def copies_are_no_logs(tmp_path: Path) -> None:
    """As copytruncate leaves them, a block at a time: what they have beyond is the log's."""
    site = Site(tmp_path)
    site.write("app.log", lines(50))
    text = lines(60)
    site.at(2.4, site.path("app-1.log").touch)
    site.at(3.4, site.write, "app-1.log", text[:500])
    site.write_at(4.5, "app.log", lines(10, 50))

    def truncate() -> None:
        site.write("app-1.log", text[500:])
        os.truncate(site.path("app.log"), 0)

    site.at(4.6, truncate)
    site.write_at(6, "app.log", lines(2, 100))
    assert site.run(70) == {"app": 12}


def one_file_is_one_log(tmp_path: Path) -> None:
    """Neither a link to a log is another one, nor what another table names, nor what is compressed."""
    site = Site(tmp_path)
    site.service.configure(
        f'[log.a]\npath = "{site.root}/*"\n[log.b]\npath = "{site.root}/b*"\n'
        f'[log.c]\npath = "{site.root}/c.log"\nstart = "start"\n'
    )
    for name in ("a.log", "b.log", "c.log"):
        site.write(name, lines(1))
    site.path("a-current.log").symlink_to(site.path("a.log"))
    site.path("c-current.log").symlink_to(site.path("c.log"))
    os.link(site.path("b.log"), site.path("b-hard.log"))
    site.path("d").mkdir()
    os.mkfifo(site.path("pipe"))
    config = site.service.load()
    finder = Patterns(Files(), Watches(), nothing)
    chosen = finder.look(config, [], 0, 0)
    finder.close()
    assert [(log.name, os.path.basename(log.path)) for log in chosen.logs] == [
        ("a.log", "a.log"),
        ("b.log", "b.log"),
        ("c", "c.log"),
    ]


# --- coming and going


def a_log_that_vanished_leaves(tmp_path: Path) -> None:
    """After the rest of it is read; it goes on with its totals when it comes back, after a start as well."""
    site = Site(tmp_path)
    for name in ("a.log", "b.log"):
        site.write(name, lines(5))

    def remove() -> None:
        site.write("a.log", lines(3, 5))
        site.path("a.log").unlink()

    site.at(2.5, remove)
    site.write_at(90, "b.log", lines(1, 5))
    site.at(105, site.write, "a.log", lines(4, 100))
    assert site.run(125) == {"a": 7, "b": 1}
    assert [notice.log for notice in site.service.notices if notice.kind.name == "log_left"] == ["a"]
    told = [report.sequence for report in site.service.reports if report.log == "a"]
    assert told == [*range(1, told.index(8) + 1 if 8 in told else 8), *told[-2:]] or len(told) < 12
    assert totals(tmp_path) == {"a": 7, "b": 1}
    assert not site.service.said("possible_loss")


def directories_may_come_one_by_one(tmp_path: Path) -> None:
    """What one lacks within is looked for, though others are whole; so is what a file may become."""
    site = Site(tmp_path, "*/log/in/access.log")
    for name in ("shop", "cafe/log", "blog", "whole/log/in"):
        site.path(name).mkdir(parents=True)
    site.path("blog/log").touch()
    site.write("whole/log/in/access.log", lines(1))
    site.at(2.5, site.path("shop/log").mkdir)
    site.at(3.5, site.path("shop/log/in").mkdir)
    site.at(2.5, site.path("cafe/log/in").symlink_to, tmp_path)
    site.at(3.5, site.path("blog/log").unlink)
    site.at(4.5, lambda: site.path("blog/log/in").mkdir(parents=True))
    for number, name in enumerate(("shop", "cafe", "blog")):
        site.at(6.5 + number, site.write, f"{name}/log/in/access.log", lines(2, 10 * number))
    assert site.run(12) == {"whole": 0, "shop": 2, "cafe": 2, "blog": 2}


def what_cannot_be_watched_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a second, as it is said, where it may be listed; a directory that refuses us costs no look."""
    refused = {"full": errno.ENOSPC, "shut": errno.EACCES}
    begin, names = Watches.begin, Files.names
    looks: list[str] = []
    before: list[str] = []  # the directory lets us in
    shut = {"shut"}

    def refuse(watches: Watches, watcher: Any, path: str) -> Any:
        if number := refused.get(os.path.basename(path)):
            raise OSError(number, os.strerror(number))
        return begin(watches, watcher, path)

    def noted(files: Files, directory: str) -> Iterator[list[str]]:
        looks.append(os.path.basename(directory))
        return names(files, directory)

    monkeypatch.setattr(Watches, "begin", refuse)
    monkeypatch.setattr(Files, "names", noted)
    monkeypatch.setattr(os, "access", lambda path, *_, **__: os.path.basename(path) not in shut)
    site = Site(tmp_path, "*/*.log")
    for name in ("open", "shut"):
        site.path(name).mkdir()
    site.write_at(3.5, "shut/a.log", lines(2))
    site.at(8.5, shut.clear)
    site.at(12.5, site.path("full").mkdir)
    site.write_at(15.5, "full/b.log", lines(2))

    site.world.at(2, looks.clear)
    site.world.at(8, lambda: before.extend(looks))
    assert site.run(18) == {"shut-a": 2, "full-b": 2}
    assert before == []


def dates_are_advised_against(tmp_path: Path) -> None:
    """Once, with the path to write; what another log's dates stand for is no match, nor is what looks like
    such a path itself."""
    site = Site(tmp_path, more=f'[log.dated]\npath = "{tmp_path}/logs/b-%Y-%m-%d.log"\n')
    for name in ("a-20261129.log", "b-2026-11-29.log", "b-2026-11-30.log", "c-1.log", "c-2.log", "d-%Y.log"):
        site.write(name, line(1))
    assert site.run(5) == {"a-20261129": 0, "dated": 0, "c-1": 0, "c-2": 0}
    assert site.service.said("dates_apart") == []
    site = Site(tmp_path, ledger=None)
    site.at(2, site.write, "a-20261130.log", lines(1))
    site.at(4, site.write, "a-20261201.log", lines(1))
    site.run(8)
    assert site.service.said("dates_apart") == [
        f"2 matches of {site.root}/*.log differ in a date alone, and are a log each: for one log of them all,"
        f' write path = "{site.root}/{name}"'
        for name in ("b-%Y-%m-%d.log",)
    ]


def a_reload_may_bring_the_first_pattern(tmp_path: Path) -> None:
    """As `setup` does: beside tables for what is there now."""
    site = Site(tmp_path)
    text = site.service.file.read_text()
    site.service = Service(tmp_path, '[log.none]\npath = "/nowhere/access.log"\n')
    site.world = site.service.world
    site.write("shop.log", lines(1))
    site.write("old.log", lines(5))
    site.service.reload_at(2, f'{text}[log.shop]\npath = "{site.root}/shop.log"\n')
    site.write_at(4, "shop.log", lines(2))
    site.at(5, site.write, "blog.log", lines(3))
    assert site.run(12) == {"none": 0, "shop": 2, "old": 0, "blog": 3}


def tables_of_their_own_stay(tmp_path: Path) -> None:
    """Where each that is there, or may come, has one, nothing is waited for; a log that came meanwhile, and
    one that has a table, are the same after a restart."""
    for numbers in (range(1), range(1, 3)):
        site = Site(tmp_path, "*access.log", '[log.shop]\npath = "{}/shop-access.log"')
        site.write("shop-access.log", lines(1) if 0 in numbers else b"")
        for number in numbers:
            site.write_at(2 + number, "shop-access.log", line(number))
            site.at(3 + number, site.write, "blog-access.log", lines(2, 2 * number))
        site.world.time += numbers[0] * 60 * SECOND
        site.run(12)
        assert not site.service.said("waiting")
    assert totals(tmp_path) == {"shop": 3, "blog": 6}


def logs_are_bounded(tmp_path: Path) -> None:
    """Those that the ledger has of earlier ones count, too; it is said once."""
    site = Site(tmp_path, more="max_logs = 2")
    site.write("a.log", lines(1))
    site.at(2, site.write, "b.log", lines(1))
    site.at(3, site.write, "c.log", lines(1))
    site.at(4, site.path("a.log").unlink)
    site.at(90, site.write, "d.log", lines(1))
    assert site.run(95) == {"a": 0, "b": 1}
    assert len(site.service.said("too_many_logs")) == 1


def what_was_left_out_by_the_bound_begins_at_its_end(tmp_path: Path) -> None:
    """As the others that were there did; what came later, and was left out, begins at its start."""
    site = Site(tmp_path, more="max_logs = 2")
    for name in ("a.log", "b.log", "c.log"):
        site.write(name, lines(5))
    site.at(2, site.write, "d.log", lines(4))
    site.service.reload_at(3, site.service.file.read_text().replace("max_logs = 2", "max_logs = 4"))
    for name in ("a.log", "b.log", "c.log", "d.log"):
        site.write_at(6, name, lines(1, 50))
    site.run(12)
    assert totals(tmp_path) == {"a": 1, "b": 1, "c": 1, "d": 5}


def far_too_many_matches_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No log is asked of each whether it has that, and no name is compared with each."""
    site = Site(tmp_path, more="max_logs = 3")
    for number in range(300):
        site.path(f"site{number}.log").touch()
    asked = []
    has_file, compare = Follower.has_file, siblings

    def noted(self: Any, path: str, seen: Any, **how: Any) -> Any:
        asked.append(path)
        return has_file(self, path, seen, **how)

    def compared(base: str, names: Any) -> Any:
        asked.append(base)
        return compare(base, names)

    monkeypatch.setattr(Follower, "has_file", noted)
    monkeypatch.setattr(patterns, "siblings", compared)
    assert len(site.run(70)) == 3
    assert asked == []


def so_many_logs_are_made(tmp_path: Path) -> None:
    """Where nothing is configured."""
    site = Site(tmp_path)
    for number in range(257):
        site.path(f"{number}.log").touch()
    finder = Patterns(Files(), Watches(), nothing)
    chosen = finder.look(site.service.load(), [], 0, 0)
    finder.close()
    assert len(chosen.logs) == 256
    assert [*chosen.left_out.values()] == [patterns.TOO_MANY]


def so_many_directories_are_looked_into(tmp_path: Path) -> None:
    for number in range(1025):
        (tmp_path / str(number)).mkdir()
    found = find(PathPattern(f"{tmp_path}/*/access.log"), Files())
    assert len(found.directories - {str(tmp_path)}) == 1024
    assert found.left_out == str(tmp_path / "999")
    site = Site(tmp_path, "../*/access.log")
    site.run(130)
    matches = f"{tmp_path}/*/access.log matches more than 1,024 directories"
    assert site.service.said("too_many_logs") == [f"{tmp_path}/999 is not looked into: {matches}"]
    finder = Patterns(Files(), Watches(), nothing)
    assert finder.look(site.service.load(), [], 0, 0).left_out == {f"{tmp_path}/999": matches}
    finder.close()


def files_keep_no_directory_out(tmp_path: Path) -> None:
    """They are none to look into; a link to one is."""
    for number in range(1100):
        (tmp_path / f"a{number}").touch()
    for name in ("nginx", "shop"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "access.log").touch()
    (tmp_path / "link").symlink_to("shop")
    found = find(PathPattern(f"{tmp_path}/*/access.log"), Files())
    assert [*found.files] == [f"{tmp_path}/{name}/access.log" for name in ("link", "nginx", "shop")]
    assert found.left_out is None


def first_times_are_read(first: Any, tmp_path: Path) -> None:
    """Of the first line that has one; where none has, a log is as old as its file."""
    path = tmp_path / "access.log"
    config = Service(tmp_path).load().logs[0]
    path.write_bytes(b'no request\n1.2.3.4 - - [24/Nov/2026:05:00:00 +0200] "GET / HTTP/1.1" 200 5 "-" "-"\n')
    assert first(Files(), str(path), config) == 1795489200
    path.write_bytes(LINE)
    born = first(Files(), str(path), config)
    assert born is None or abs(born - path.stat().st_mtime) < 60
    path.write_bytes(b"")
    os.utime(path, (7, 7))
    assert first(Files(), str(path), config) == 7
    assert first(Files(), str(tmp_path / "none"), config) is None


vanished = Look._vanished


def eagerly(self: Any, tables: Any, present: Any) -> Any:
    """Takes a log that has a table for one of a pattern's, at the first look."""
    yield from [] if self._pipelines else vanished(self, tables, set())


def for_each(self: Any, tables: Any, present: Any) -> Any:
    """Has a log that is not there for each pattern."""
    for table in tables:
        yield from vanished(self, [table], present)


begin_window = LogPipeline.begin_window


def without_memory(self: Patterns, *given: Any, came_after: Any = Patterns.came_after) -> Any:
    """Of what could not be told."""
    self.told.clear()
    return came_after(self, *given)


def forgetfully(self: Any, hints: Any, followed: Any, note: Any = Patterns._note) -> None:
    """Does not follow where names went."""
    note(self, [each for each in hints if not isinstance(each, Moved)], followed)


# Looks again before what it found is followed.
HASTY = twin(Patterns, "Hasty", "is_due", first=sets(_is_chosen=False))


def all_names(files: Files, directory: str) -> list[str]:
    return [name for some in files.names(directory) for name in some]


test_promise, test_twin = promises(
    {
        what_is_found_late_is_reported: {
            "at once": Patches((Patterns, "came_after", lambda _self, _path, looked, _now: looked)),
            "untold ones at once": Patches((Patterns, "came_after", without_memory)),
        },
        what_comes_all_at_once_is_reported: [
            Patches((LogPipeline, "begin_window", lambda log, now, _=0: begin_window(log, now)))
        ],
        each_match_is_a_log: [answers(Patterns, "is_due", False), answers(Look, "_starts", False)],
        nothing_is_known_by_its_name_alone: [
            Patches((Look, "_is_before", lambda *_: True), (Patterns, "left_out", nothing)),
            answers(Look, "_by_text", "its name"),
        ],
        what_is_older_is_a_rotation: [answers(Look, "_is_before", False), answers(Patterns, "keep")],
        renamed_logs_are_rotations: {
            "by no history": Patches(
                (Patterns, "_note", forgetfully), (Follower, "has_file", lambda *_, **__: False)
            )
        },
        a_log_may_be_rotated_before_it_is_seen: [answers(pipelines, "_opened", ())],
        a_rotation_is_known_over_a_stop: [answers(Follower, "has_file", False)],
        what_two_patterns_match_goes_on_after_a_stop: {"for each": Patches((Look, "_vanished", for_each))},
        copies_are_no_logs: [answers(kinship, "_has_text", False)],
        one_file_is_one_log: [answers(Look, "_reason")],
        a_log_that_vanished_leaves: [answers(Pipelines, "take_ended", []), answers(Follower, "ends", True)],
        directories_may_come_one_by_one: [
            Patches((Watcher, "is_blind", False)),
            answers(Patterns, "_may_match", False),
        ],
        what_cannot_be_watched_is_looked_through: {
            "never": Patches((Watcher, "is_blind", False)),
            "always": Patches((Watcher, "is_blind", property(lambda each: each._wanted != {*each._stands}))),
        },
        dates_are_advised_against: [
            answers(Patterns, "_advise"),
            answers(patterns, "stands_for", False),
            Patches((patterns, "is_dated", lambda path: "/b" in path)),
        ],
        a_reload_may_bring_the_first_pattern: {
            "looks by what was": Patches((daemons, "Patterns", HASTY)),
            "as at a start": answers(Patterns, "settle"),
        },
        tables_of_their_own_stay: {
            "waits": answers(Patterns, "named", []),
            "as another's": Patches((Look, "_vanished", eagerly)),
        },
        logs_are_bounded: [answers(Look, "_is_ours", False)],
        so_many_logs_are_made: [Doubled("max_logs")],
        what_was_left_out_by_the_bound_begins_at_its_end: {
            "all that come later": Patches(
                (Look, "_starts", lambda self, match: match.table.path in self._patterns.looked)
            )
        },
        far_too_many_matches_cost_little: {
            "asks each": Patches((Look, "_may_have", lambda self, _: self._pipelines.values())),
            "compares each": Patches((patterns, "MARKS", [""])),
        },
        files_keep_no_directory_out: {"any name": Patches((Files, "directories", all_names))},
        so_many_directories_are_looked_into: [
            Doubled("service.patterns:DIRECTORIES"),
            answers(Patterns, "_say_what_is_beyond"),
        ],
    },
    Promise(
        names_are_what_the_stars_stand_for,
        PathPattern.match,
        {
            "through directories": lambda pattern, path: (
                PathPattern(pattern.path).components[-1].match(path.rpartition("/")[2])
            )
        },
    ),
    Promise(names_are_free, free_name, {"twice": lambda wanted, table, taken: wanted or table}),
    Promise(
        first_times_are_read,
        first_time,
        {
            "by the file's": lambda files, path, _: (
                int(os.stat(path).st_mtime) if os.path.exists(path) else None
            )
        },
    ),
)
