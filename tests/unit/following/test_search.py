"""Where files of a log are looked for, on the real file system."""

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qps_service.files import kernel
from qps_service.files.kernel import Files, Seen
from qps_service.following import search
from qps_service.following.announcer import Announcer
from qps_service.following.directories import LogDirectories, LogDirectory
from qps_service.following.discovery import Discovery
from qps_service.following.known_files import KnownFiles
from qps_service.following.read_texts import ReadTexts
from qps_service.following.search import PLACES, TEXTS, Search
from qps_service.values.positions import Identity, Position
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises, twin


def position_of(path: Path, *, offset: int = 5, name: Path | None = None) -> Position:
    status = path.stat()
    identity = Identity(status.st_dev, status.st_ino, None)
    return Position(identity, str(name or path), offset, b"", b"", False, modified=status.st_mtime_ns)


def made(path: Path, text: bytes = b"a line\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


def beside(tmp_path: Path) -> list[LogDirectory]:
    return LogDirectories(str(made(tmp_path / "logs" / "access.log")), Files()).look()


def found_by_inode(part: Any, tmp_path: Path, *, where: str) -> None:
    """Under any name: beside the log, one level below, beside the directory, and where it was seen last."""
    directories = beside(tmp_path)
    path = made(tmp_path / where)
    made(path.with_name("another"))
    wanted = position_of(path, name=path.with_name("former name"))
    assert list(part(Files()).by_inode([wanted], directories)) == [str(path)]


def found_by_time(part: Any, tmp_path: Path) -> None:
    """What may have the text: no older and no smaller, but for archives; the latest first. A ledger is none,
    though it is written to all the time: to open it, or to say that it can't be, would be wrong."""
    directories = beside(tmp_path)
    at = 1_700_000_000
    for name, seconds, text in (
        ("logs/older", -1, b"a line\n"),
        ("logs/smaller", 5, b"a"),
        ("logs/fits", 1, b"a line\n"),
        ("logs/packed.gz", 2, b"a"),
        ("logs/whole_seconds.bz2", 0, b"a"),
        ("logs/old/later", 3, b"a line\n"),
        ("state/ledger.db", 8, b"a line\n"),
        ("logs/ledger.db-wal", 8, b"a line\n"),
    ):
        os.utime(made(tmp_path / name, text), (at + seconds,) * 2)
    os.utime(tmp_path / "logs/access.log", (1, 1))
    wanted = position_of(tmp_path / "logs/fits")._replace(modified=at * 10**9 + 5)
    found = part(Files()).by_time([wanted], directories, known=[])
    assert [os.path.relpath(path, tmp_path / "logs") for path in found] == [
        "old/later",
        "packed.gz",
        "fits",
        "whole_seconds.bz2",
    ]
    assert str(tmp_path / "logs/fits") not in part(Files()).by_time(
        [wanted], directories, known=[str(tmp_path / "logs/fits")]
    )


def links_are_not_followed(part: Any, tmp_path: Path) -> None:
    """Whoever may write to the directory must not have us look at what is elsewhere."""
    directories = beside(tmp_path)
    secret = made(tmp_path / "far" / "away" / "secret")
    (tmp_path / "logs" / "link").symlink_to(secret)
    (tmp_path / "logs" / "below").symlink_to(secret.parent)
    wanted = position_of(secret, name=tmp_path / "logs" / "access.log.1")
    assert part(Files()).by_inode([wanted], directories) == {}
    found = part(Files()).by_time([wanted], directories)
    assert not {"secret", "link"} & {os.path.basename(path) for path in found}


def few_places_are_looked_into(part: Any, tmp_path: Path) -> None:
    """However many directories there are."""
    directories = beside(tmp_path)
    for number in range(2 * PLACES):
        (tmp_path / "logs" / f"d{number}").mkdir()
    looked: list[str] = []

    class Counting(Files):
        def entries(self, directory: str) -> Iterator[tuple[str, int, bool]]:
            looked.append(directory)
            return super().entries(directory)

    gone = position_of(tmp_path / "logs" / "access.log")._replace(identity=Identity(0, 0, None))
    part(Counting()).by_inode([gone], directories)
    assert len(looked) <= PLACES + 2


def few_texts_are_compared(part: Any, tmp_path: Path) -> None:
    """The latest of those that may have it."""
    directories = beside(tmp_path)
    for number in range(TEXTS + 10):
        os.utime(made(tmp_path / "logs" / "old" / str(number)), (1_700_000_000 + number,) * 2)
    wanted = position_of(tmp_path / "logs" / "old" / "0")
    found = part(Files()).by_time([wanted], directories, known=[str(tmp_path / "logs" / "access.log")])
    assert {os.path.basename(path) for path in found} == {str(number) for number in range(10, TEXTS + 10)}


def like_but_for_numbers(
    part: Any, tmp_path: Path, *, log: str, found: str, likes: set[str], others: set[str]
) -> None:
    """Other rotated files of the log's; none of another log."""
    for name in (log, found, *likes, *others):
        made(tmp_path / name)
    named = part(Files()).named_like([str(tmp_path / found)], str(tmp_path / log))
    assert {os.path.relpath(path, tmp_path) for path in named} == {found, *likes}


def files_beside_cost_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither their names nor what stat(2) tells of them, however many somebody made."""
    directories = beside(tmp_path)
    log = tmp_path / "logs" / "access.log"
    monkeypatch.setattr(kernel, "NAMES", 128)
    for number in range(3000):
        os.link(log, tmp_path / "logs" / f"{number:05}-which-is-not-the-log-but-has-a-name-that-is-long")
    gone = [position_of(log)._replace(identity=Identity(0, 0, None), modified=0)]
    files = Files()
    known_files, announcer = KnownFiles(), Announcer(str(log), "access", lambda _: None)
    texts = ReadTexts(files, known_files, (), announcer)
    discovery = Discovery(files, known_files, texts, announcer, resuming=False)
    tracemalloc.start()
    try:
        assert list(discovery._candidates(directories[0], set(), everything=True)) == []
        assert len(Search(files).by_time(gone, directories)) == TEXTS
        assert Search(files).by_inode(gone, directories) == {}
        assert tracemalloc.get_traced_memory()[1] < 256 * 1024
    finally:
        tracemalloc.stop()


BesideOnly = twin(
    *(Search, "BesideOnly", "_places"),
    instead=lambda self, wanted, directories, *, beside: iter([each.path for each in directories]),
)


class FollowsLinks(Search):
    def _entries(self, directory: str) -> Iterator[tuple[str, int, bool]]:
        with os.scandir(directory) as found:
            yield from ((each.name, each.stat().st_ino, each.is_file()) for each in found)

    def _look(self, path: str) -> dict[str, Seen]:
        return {path: self._files.stat(path)}


class AnyTime(Search):
    def by_time(self, wanted: Any, *rest: Any, **more: Any) -> Any:
        return super().by_time([each._replace(modified=0, offset=0) for each in wanted], *rest, **more)


class AnyNumber(Search):
    def named_like(self, paths: Any, log: str) -> Any:
        return super().named_like(paths, "")


NoOther = twin(
    *(Search, "NoOther", "named_like"),
    instead=lambda self, paths, log: {path: self._files.lstat(path) for path in paths},
)
ELSEWHERE = (
    "logs/renamed",
    "logs/@400000006937a1b2c3d4e5f6.s",
    "logs/old/access.log.1",
    "logs.before/access.log",
    "far/away/anything",
)
LIKES: tuple[dict[str, Any], ...] = (
    {
        "log": "logs/access.log",
        "found": "logs/2026/11/28/access.log",
        "likes": {
            "logs/2026/11/27/access.log",
            "logs/2026/11/27/access.log.1.gz",
            "logs/2025/12/31/access.log",
        },
        "others": {"logs/2026/11/28/error.log", "logs/new/access.log"},
    },
    {
        "log": "logs/app1/access.log",
        "found": "logs/app1/old/access.log-28Nov2026",
        "likes": {"logs/app1/old/access.log-27Nov2026", "logs/app1/old/access.log-1Dec2026.gz"},
        "others": {"logs/app2/old/access.log-28Nov2026", "logs/app1/old/access.log-Saturday"},
    },
    {
        "log": "logs/site1.log",
        "found": "logs/old/20261128-site1.log",
        "likes": {"logs/old/20261127-site1.log"},
        "others": {"logs/old/20261128-site2.log"},
    },
)

test_search, test_twin = promises(
    Promise(
        files_beside_cost_no_memory,
        None,
        {
            "all names": Patches((Files, "names", lambda _, directory: iter([os.listdir(directory)]))),
            "all files": Patches(
                (search, "nlargest", lambda most, found, key: sorted(found, key=key, reverse=True)[:most])
            ),
        },
    ),
    *(Promise(found_by_inode, Search, [BesideOnly], where=where) for where in ELSEWHERE[2:]),
    *(
        Promise(found_by_inode, Search, [Patches((Search, "_look", lambda *_: {}))], where=where)
        for where in ELSEWHERE[:2]
    ),
    Promise(found_by_time, Search, [BesideOnly, AnyTime, Patches((search, "LEDGER_FILES", ()))]),
    Promise(links_are_not_followed, Search, [FollowsLinks]),
    Promise(few_places_are_looked_into, Search, [Doubled("following.search:PLACES")]),
    Promise(few_texts_are_compared, Search, [Doubled("following.search:TEXTS")]),
    *(
        Promise(like_but_for_numbers, Search, [NoOther, *([AnyNumber] if at else [])], label=str(at), **like)
        for at, like in enumerate(LIKES)
    ),
)
