"""However long a compressed text takes to be compared or looked up, systemd is told that work goes on, and a
stop is heeded. Signs are counted, not timed."""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qps_service.files import sources
from qps_service.files.compressed import CompressedFile
from qps_service.files.kernel import Files
from tests.fault import broken
from tests.fault.program import MakeSite
from tests.fault.scenarios import Make
from tests.following import Rig
from tests.promised import MadePromise, Patches, Promise, promises

LINES = 80_000
MIB = 1024 * 1024


def text(first: int = 0) -> Iterator[bytes]:
    """Lines that hardly compress; 4 MiB of them."""
    for number in range(first, first + LINES):
        yield b"10.0.0.1\tGET /%08d/%08x/%08x\t200\t10\n" % (number, zlib.crc32(b"%d" % number), number)


TEXT = b"".join(text())
LEAST = len(TEXT) // MIB  # signs


class Counting(Files):
    """Notes each sign of life."""

    signs = 0

    def working(self) -> None:
        self.signs += 1


class WithoutASign(CompressedFile):
    """A broken twin: the watchdog would take it for hung."""

    def begin_anew(self) -> None:
        super().begin_anew()
        self._stream._working = lambda: None


def packed_copy(path: Path) -> None:
    path.with_name("access.log.1.gz").write_bytes(gzip.compress(path.read_bytes(), 1))


def signs_before_the_first_line(rig: Rig, files: Counting) -> int:
    rig.now += 10**9
    files.signs = 0
    chunk = next(chunk for chunk in rig.follower.read(rig.now) if chunk.data.endswith(b"the rest\n"))
    assert chunk.origin.name.endswith(".gz")
    return files.signs


def compressed_while_stopped(rig: Rig, files: Counting) -> int:
    rig.writer().raw(TEXT)
    rig.look()
    rig.stop()
    rig.writer().raw(b"the rest\n")
    packed_copy(rig.path)
    rig.path.unlink()
    rig.writer().raw(b"a new one\n")
    rig.start()
    return signs_before_the_first_line(rig, files)


def copied_and_truncated(rig: Rig, files: Counting) -> int:
    writer = rig.writer()
    writer.raw(TEXT)
    rig.look()
    writer.raw(b"the rest\n")
    packed_copy(rig.path)
    os.truncate(rig.path, 0)
    writer.raw(b"a new one\n")
    return signs_before_the_first_line(rig, files)


def check_signs(make: Make, history: Callable[[Rig, Counting], int]) -> None:
    files = Counting()
    assert history(make(files=files, from_start=True), files) >= LEAST


test_looking_up_a_text_shows_that_it_lives, test_looking_one_up_without_a_sign_is_noticed = promises(
    *(
        Promise(check_signs, None, [Patches((sources, "CompressedFile", WithoutASign))], history=history)
        for history in (compressed_while_stopped, copied_and_truncated)
    )
)

# --- the program


def check_a_stop(make_site: MakeSite) -> None:
    """It comes when a text that was read begins to be decompressed: that is said, and after that there are
    signs for as long as it takes."""
    site = make_site()
    site.log.write_bytes(TEXT)
    site.once()
    packed_copy(site.log)
    site.log.unlink()
    site.writer().lines(1)
    site.twins.append(broken.is_stopped_when_it_decompresses)
    process = site.start(once=True)
    process.told("STOPPING=1")
    signs = 0
    while process.next_told("WATCHDOG=1"):
        signs += 1
    assert signs >= LEAST, f"only {signs} signs"
    process.end()
    assert process.process.returncode == 0


@pytest.fixture
def make_watched_site(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> MakeSite:
    """Each sign is sent."""
    monkeypatch.setenv("WATCHDOG_USEC", "2")
    return make_site


test_a_stop_meanwhile, test_a_stop_meanwhile_catches_its_twin = map(
    pytest.mark.real_time,
    promises(
        MadePromise(
            check_a_stop,
            broken.shows_no_sign_of_life,
            broken.heeds_no_signal_while_alive,
            by="make_watched_site",
        )
    ),
)
