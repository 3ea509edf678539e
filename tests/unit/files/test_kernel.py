"""What the kernel is asked that Python 3.11 has no word for."""

import ctypes
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qps_service.files import kernel
from qps_service.files.kernel import Files
from qps_service.files.recognition import part_of, tail_of
from qps_service.files.sources import Plain, common_start, count_lines
from qps_service.values.positions import Position
from tests.promised import Patches, promises

SECOND = 10**9


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """Of a file that says it was written to in 1970."""
    path = tmp_path / "access.log"
    path.write_bytes(b"line\n")
    os.utime(path, (1000, 1000))
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def check_birth(descriptor: int) -> None:
    """As stat(1) tells it: 0 where the file system does not."""
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    told = subprocess.run(["stat", "--format=%.9W", path], check=True, capture_output=True, text=True).stdout
    seconds, nanoseconds = map(int, told.strip().split("."))
    if not seconds:
        pytest.skip("this file system tells no birth")
    assert kernel._born(descriptor) == seconds * SECOND + nanoseconds


def check_age(descriptor: int) -> None:
    """By its birth, which nobody can set; else by its last write. Never below 0."""
    patch = pytest.MonkeyPatch()
    now = time.time_ns()
    with patch.context() as patched:
        patched.setattr(time, "time_ns", lambda: now)
        for born, age in ((now - 7 * SECOND, 7 * SECOND), (now + SECOND, 0), (None, now - 1000 * SECOND)):
            patched.setattr(kernel, "_born", lambda _, born=born: born)
            assert Files().age(descriptor) == age


LIMIT = 1 << 63  # nanoseconds: what SQLite holds is below
FAR = 10_413_792_000 * SECOND  # the year 2300


def check_times_fit_into_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems know years beyond SQLite's nanoseconds. Only the machine's clock sets st_ctime."""
    for when in (FAR, -FAR):
        status = os.stat_result((1,) * 10, {"st_mtime_ns": when, "st_ctime_ns": when})
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", lambda path, status=status: status)
            seen = Files().stat("access.log")
        assert abs(seen.modified) < LIMIT
        assert seen.modified == seen.changed


def check_signs_of_life(tmp_path: Path) -> None:
    """Whoever counts the lines of a large text, or compares it, shows that work goes on."""
    path, signs = tmp_path / "large", []
    path.touch()
    os.truncate(path, 8 << 20)
    files = Files(lambda: signs.append(1))
    one, other = (Plain(files, files.open(str(path))) for _ in range(2))
    one.data_from = other.data_from = lambda offset: offset  # type: ignore[method-assign]
    count_lines(one)
    counted = len(signs)
    assert common_start(one, other, 0) == 8 << 20
    known = Position(one.identity(), str(path), 2, b"a\n", b"a\n", False, tail=tail_of(lambda *_: b"a\n", 2))
    assert not part_of(known, one.read, 8 << 20)
    one.close()
    other.close()
    assert (counted, len(signs) - counted) >= (32, 3 * 32)


def check_no_ledger_is_opened(tmp_path: Path) -> None:
    """By a link, or by its name: the process has locks on it, which end where any descriptor is closed."""
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        file, link = tmp_path / name, tmp_path / "access.log"
        link.symlink_to(file)
        with file.open("w") as ledger:
            fcntl.lockf(ledger, fcntl.LOCK_EX)
            for path in (file, link):
                with pytest.raises(OSError, match="it leads to a ledger"):
                    os.close(Files().open(str(path)))
            assert f":{file.stat().st_ino} " in Path("/proc/locks").read_text()
        link.unlink()
    file.rename(tmp_path / "ledger.db.log")
    os.close(Files().open(f"{tmp_path}/ledger.db.log"))


test_promise, test_twin = promises(
    {
        check_no_ledger_is_opened: {"any file": Patches((kernel, "LEDGER_FILES", ()))},
        check_birth: {"no mask": Patches((kernel, "_STATX_BTIME", 0x1000))},
        check_times_fit_into_the_ledger: {"any time": Patches((kernel, "_within", lambda time: time))},
        check_signs_of_life: {"silent": Patches((kernel, "LARGE", 512 * 1024))},
        check_age: {
            "written": Patches(
                (Files, "age", lambda self, number: time.time_ns() - os.fstat(number).st_mtime_ns)
            )
        },
    },
)


def test_a_library_without_statx_tells_no_birth(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert kernel._born(descriptor) is None
    assert Files().age(descriptor) > 365 * 86400 * SECOND
