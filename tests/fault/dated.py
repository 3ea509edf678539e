"""What happens to a log whose files have dates: each scenario drives a rig over real files and ends in
`rig.check()`."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

from qps_service.following.watcher import Watcher
from tests.fault.scenarios import Make
from tests.following import BlindFiles, Rig, Writer

NAMES = "access-%Y-%m-%d.log"
DIRECTORIES = "%Y/%m/%d/access.log"
HOURS = "%Y-%m-%d-%H/access.log"
DAYS = ("2026-10-31", "2026-11-29", "2026-11-30", "2026-12-01", "2027-01-01", "2027-01-02")


class Days:
    """A log with dates, with a file for each day."""

    def __init__(self, make: Make, path: str = NAMES, **keywords: Any) -> None:
        self.rig: Rig = make(log=path, knows_times=True, **keywords)
        self._template = path

    def path(self, day: int) -> Path:
        """The day's file."""
        name = self._template
        for field, text in zip(("%Y", "%m", "%d"), DAYS[day].split("-"), strict=True):
            name = name.replace(field, text)
        path = self.rig.root / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def writer(self, day: int, lines: int = 0) -> Writer:
        writer = self.rig.writer(self.path(day))
        writer.lines(lines)
        return writer

    def begin(self, day: int = 1) -> Writer:
        """One file before our time, and one that was looked at once."""
        self.path(0).write_bytes(b"".join(b"line %d [30/Oct/2026:10:00:00]\n" % n for n in range(30)))
        os.utime(self.path(0), (1, 1))
        writer = self.writer(day, 3)
        self.rig.expected.clear()
        self.rig.look()
        return writer

    def compress(self, day: int) -> None:
        """As gzip does it, which keeps the time of the last write."""
        path, times = self.path(day), self.path(day).stat()
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        os.utime(packed, ns=(times.st_atime_ns, times.st_mtime_ns))
        path.unlink()

    def check(self) -> None:
        """Each line once, and no alarm."""
        self.rig.check(losses=[])
        assert not self.rig.said("possible_duplicate")


def days_end(make: Make, path: str, watcher: type[Watcher] = Watcher) -> None:
    """The old day's writer goes on for a while; two days come between two looks."""
    days = Days(make, path, watcher=watcher)
    old = days.begin()
    for day in range(2, 6):
        old.lines(4)
        new = days.writer(day, 3)
        old.lines(2)
        if day != 3:
            days.rig.look()
        old.lines(1)
        old.close()
        old = new
    days.check()


def one_writer_is_a_day_late(make: Make) -> None:
    """Two servers, one with names in UTC and one in its own time: both were there, or one comes later."""
    days = Days(make, files=BlindFiles())
    late = days.writer(1, 2)
    new = days.begin(2)
    for _ in range(3):
        late.lines(2)
        new.lines(2)
        days.rig.look()
    new.lines(1)
    days.rig.look_often(3, 100)
    late.lines(3)
    days.rig.look_often(2, 100)
    newest = days.writer(4, 1)
    days.rig.look()
    again = days.writer(3, 2)
    days.rig.look()
    again.lines(2)
    newest.lines(2)
    days.check()


def several_days_without_us(make: Make, path: str) -> None:
    """Days that came, and of which one was compressed, while nobody ran; then a kill, and one more."""
    days = Days(make, path)
    days.begin().lines(3)
    days.rig.stop()
    for day in (2, 3):
        days.writer(day, 5 + day).close()
    days.compress(2)
    days.writer(4, 4)
    days.rig.start()
    days.rig.look()
    days.rig.kill()
    days.writer(4, 2)
    days.writer(5, 2)
    days.rig.start()
    days.check()


def years_are_links(make: Make) -> None:
    """To directories elsewhere."""
    days = Days(make, DIRECTORIES)
    for year in {day[:4] for day in DAYS}:
        (days.rig.root / "disk" / year).mkdir(parents=True)
        link = days.rig.root / "logs" / year
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(days.rig.root / "disk" / year)
    days.begin().lines(3)
    days.rig.look()
    days.rig.stop()
    days.writer(2, 4).close()
    days.writer(4, 2)
    days.rig.start()
    days.check()


def many_hours_without_us(make: Make) -> None:
    """More than are looked into while somebody runs; the one that was open went."""
    rig: Rig = make(log=HOURS, knows_times=True)

    def write(hour: int) -> Writer:
        path = rig.root / "logs" / f"2026-11-{hour // 24 + 1:02}-{hour % 24:02}" / "access.log"
        path.parent.mkdir(parents=True)
        writer = rig.writer(path)
        writer.lines(2)
        return writer

    open_now = write(0)
    rig.expected.clear()
    rig.look()
    open_now.lines(1)
    rig.look()
    rig.stop()
    open_now.close()
    shutil.rmtree(rig.root / "logs" / "2026-11-01-00")
    for hour in range(1, 47):
        write(hour).close()
    rig.start()
    rig.check()


def directories_go_and_older_ones_are_left(make: Make) -> None:
    """What was there before our time, with more others than are looked into, is older for good."""
    rig: Rig = make(log="%Y/access.log", knows_times=True)

    def path(year: int) -> Path:
        (rig.root / "logs" / str(year)).mkdir(parents=True, exist_ok=True)
        return rig.root / "logs" / str(year) / "access.log"

    for year in {*range(2000, 2036)} - {2030}:
        path(year).write_bytes(b"before our time, in %d\n" % year)
    rig.writer(path(2035)).lines(1)
    rig.expected.clear()
    rig.look()
    for year in (2020, 2021):
        path(year).unlink()
        path(year).parent.rmdir()
    rig.writer(path(2036)).lines(2)
    rig.look_often(2)
    rig.writer(path(2030)).lines(2)  # its clock is late
    rig.check(losses=[])


def old_days_are_packed_and_unpacked(make: Make) -> None:
    """And removed; the last one, too, before there is another."""
    days = Days(make)
    writer = days.begin()
    writer.lines(30)
    days.rig.look()
    writer.close()
    days.rig.look_often(2, 100)
    for day in (0, 1):
        days.compress(day)
        days.rig.look()
    days.rig.look_often(2, 100)
    assert len(days.rig.said("waiting")) == 1
    for day in (0, 1):
        packed = days.path(day).with_name(f"{days.path(day).name}.gz")
        days.path(day).write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
        days.rig.look()
    days.path(0).unlink()
    days.writer(2, 3)
    days.rig.look()
    days.path(1).unlink()
    days.check()
    assert days.rig.files_open == 1


def foreign_days(make: Make) -> None:
    """Where others may write, a file that is somebody else's is not the log, whatever its name."""
    days = Days(make)
    days.begin().lines(3)
    days.rig.look()
    days.path(1).parent.chmod(0o777)
    days.path(5).write_bytes(b"not ours\n")
    os.chown(days.path(5), 12345, 12345)
    days.rig.look_often(2)
    days.writer(2, 3)
    days.check()
    assert len(days.rig.said("foreign_file")) == 1


def start_from_the_start(make: Make) -> None:
    """Of what was there, the last day counts, and what is still written to."""
    days = Days(make, from_start=True)
    days.writer(1, 3).close()
    days.writer(2, 2)
    days.writer(3, 2)
    for line in [line for line in days.rig.expected if line < b"line 00000003"]:
        del days.rig.expected[line]
    days.rig.look()
    days.check()


def link_that_moves_on(make: Make) -> None:
    """rotatelogs -L: a second name of the file that is written to; files come and go over two stops, and the
    one that was the log is still where it was seen last."""
    rig: Rig = make(log="now", knows_times=True)

    def begin(number: int) -> Writer:
        path = rig.beside(f"access.log.{number}")
        writer = rig.writer(path)
        rig.path.unlink(missing_ok=True)
        rig.path.hardlink_to(path)
        return writer

    begin(1).lines(1)
    rig.expected.clear()
    rig.look()
    for number in (2, 5):
        rig.stop()
        for further in range(3):
            begin(number + further).lines(3)
        rig.start()
        rig.look()
    rig.check(losses=[])
