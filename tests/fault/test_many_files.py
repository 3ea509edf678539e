"""Beside a log stand more files than can be remembered: they stay uncounted, few are opened, and systemd sees
that a look at them goes on. Openings and signs are counted, not timed."""

import gzip
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qps_service.files import kernel
from qps_service.files.kernel import Files
from qps_service.following import discovery, ignored_files
from qps_service.following.discovery import Discovery, Listing
from qps_service.following.ignored_files import IgnoredFiles
from tests.fault.scenarios import Make
from tests.following import CountingFiles, Rig
from tests.promised import Patches, Promise, promises

LIMIT = 64  # files that are remembered, in place of the real limit
FILES = 400
FEW = 40  # files that are opened beyond those that are remembered
PACE = 16


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """With small limits; of how many files each look keeps in memory what stat(2) told."""
    kept: list[int] = []
    consider = Discovery._consider

    def noting(self: Discovery, listing: Listing, *rest: Any, **more: Any) -> Any:
        kept.append(len(listing.seen))
        return consider(self, listing, *rest, **more)

    monkeypatch.setattr(Discovery, "_consider", noting)
    monkeypatch.setattr(ignored_files, "IGNORED_LIMIT", LIMIT)
    monkeypatch.setattr(kernel, "PACE", PACE)
    return kept


class Noting(CountingFiles):
    """And what is opened."""

    opened = 0

    def open(self, path: str) -> int:
        self.opened += 1
        return super().open(path)


def old_files(rig: Rig, suffix: str) -> list[Path]:
    """Rotations from before our time."""
    paths = []
    for number in range(FILES):
        path = rig.beside(f"access.log.{number + 1000}{suffix}")
        text = b"192.0.2.1 GET /%d [28/Nov/2026:10:00:00]\n" % number
        path.write_bytes(gzip.compress(text, 1) if suffix else text)
        os.utime(path, (1e9 - number, 1e9 - number))
        paths.append(path)
    return paths


def nothing(rig: Rig, paths: list[Path]) -> None:
    """While nobody runs the old files stay as they are."""


def renamed(rig: Rig, paths: list[Path]) -> None:
    """Each gets another name, as with numbered rotations: that changes its st_ctime."""
    for path in paths:
        path.rename(rig.beside("access.log.2" + path.name.removeprefix("access.log.")))


def one_less(rig: Rig, paths: list[Path]) -> None:
    """An inode's number went to a file of the log: what had it is remembered no more."""
    rig.paper.ignored = rig.paper.ignored[:-1]


def written_later(path: Path) -> None:
    """Some seconds after all that is beside it was made."""
    os.utime(path, (time.time() + 2,) * 2)


def check_many_files(
    kept: list[int],
    make: Make,
    suffix: str,
    meanwhile: Callable[[Rig, list[Path]], None],
    few: int,
) -> None:
    files = Noting()
    rig = make(files=files)
    writer = rig.writer()
    paths = old_files(rig, suffix)
    rig.look()
    assert files.opened <= LIMIT + FEW, "at the first look"
    assert files.signs >= FILES // PACE
    writer.lines(20)
    written_later(rig.path)
    rig.look()
    files.opened = 0
    rig.look_often(2, 61)
    assert files.opened <= few, "in sweeps"
    rig.stop()
    writer.lines(5)
    meanwhile(rig, paths)
    writer = rig.renew(3, closing=writer)
    written_later(rig.path)
    files.opened = files.signs = 0
    rig.start()
    rig.look()
    assert files.opened <= few, "after a stop"
    assert files.signs >= FILES // PACE
    assert max(kept) <= max(LIMIT, few) + FEW
    rig.check(losses=[])
    assert rig.said("foreign_file") == rig.said("possible_duplicate") == []


def each(self: Files, items: Any) -> Iterator[Any]:
    yield from items


def none_are_many(self: IgnoredFiles) -> bool:
    return False


def is_full(self: IgnoredFiles) -> bool:
    return len(self._files) >= LIMIT


OPENS_ALL = {"opens all": Patches((Discovery, "_is_past_telling", lambda *arguments: False))}
NONE_ARE_MANY = Patches((IgnoredFiles, "are_many", property(none_are_many)))
test_promise, test_twin = promises(
    *(
        Promise(check_many_files, None, twins, suffix=suffix, meanwhile=meanwhile, few=few)
        for suffix, meanwhile, few, twins in (
            (
                *("", nothing, FEW),
                {
                    "counts old ones": NONE_ARE_MANY,
                    "opens all at first": Patches((discovery, "_latest", lambda seen, _: seen)),
                    "shows no sign": Patches((Files, "at_pace", each)),
                    **OPENS_ALL,
                },
            ),
            ("", renamed, FEW, OPENS_ALL),
            ("", one_less, FEW, {"full or not": Patches((IgnoredFiles, "are_many", property(is_full)))}),
            (".gz", nothing, FEW, OPENS_ALL),
            # What was compressed meanwhile may be the log's: each is looked at, and shown to be.
            (".gz", renamed, 3 * FILES, {"alarms": NONE_ARE_MANY}),
        )
    )
)
