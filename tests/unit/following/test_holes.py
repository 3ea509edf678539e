"""A log with holes counts as the same log with NULs in their place, whoever reads it, and in whatever parts
it was written; and costs next to nothing."""

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from qps_service.auditing import recount
from qps_service.files import whole
from qps_service.files.kernel import Files
from qps_service.files.sources import Plain
from qps_service.files.whole import Whole
from qps_service.following import generation as generation_module
from qps_service.following.generation import Generation
from qps_service.formats.presets import compile_format
from qps_service.scanning.scanner import Scanner
from qps_service.values.counts import Scanned
from qps_service.values.positions import Identity, Position
from tests.following import CountingFiles
from tests.promised import Patches, Promise, promises
from tests.unit.conftest import SCANNERS, MakeScanner
from tests.unit.files.test_sources import TIB, EndlessError, tells_nothing

MAX_LINE = 3000
BLOCK = 8 * 1024  # bytes, in place of the real one: holes of some pages are passed over
LAYOUTS = 60
LINES = (
    b"192.0.2.1\tGET /a\t200\t5\n",
    b"192.0.2.1\tGET /b\t404\t5\n",
    b"not a request\n",
    b"\n",
    b"192.0.2.1\tGET /long?" + b"x" * MAX_LINE + b"\t200\t5\n",
    b"192.0.2.1\tGET /part",  # goes on with whatever comes next
    b"ial\t200\t5\n",
)

ANY = Identity(0, 0, 0)
Layout = list[list[bytes | int]]


def layout_of(random: Random) -> Layout:
    """What is written between two looks: lines, and NULs, so many."""
    sizes = (1, 63, 64, 100, 3000, 4096, 5000, 20_000, 100_000)
    return [
        [
            random.choice(LINES) if random.random() < 0.7 else random.choice(sizes)
            for _ in range(random.randrange(8))
        ]
        for _ in range(random.randrange(1, 5))
    ]


def write(path: Path, parts: list[bytes | int], *, sparse: bool) -> None:
    """At the file's end."""
    with path.open("ab") as file:
        for part in parts:
            if isinstance(part, int) and sparse:
                file.flush()
                os.ftruncate(file.fileno(), os.fstat(file.fileno()).st_size + part)
            else:
                file.write(bytes(part) if isinstance(part, int) else part)


def is_not_so(*arguments: object) -> Any:
    raise AssertionError(f"expected no truncation, got {arguments}")


class Reader:
    """Follows a file, and counts what is in it."""

    def __init__(self, path: Path, scanner: Scanner, files: Files) -> None:
        self.path = path
        self._files = files
        self._scanner = scanner
        self.source = Plain(files, os.open(path, os.O_RDONLY))
        identity = self.source.identity()
        self.generation = Generation(
            self.source,
            Position(identity, str(path), 0, b"", b"", False),
            max_line=MAX_LINE,
            truncated=is_not_so,
            recognised=is_not_so,
            known_part=is_not_so,
        )

    def look(self, *, last: bool = False) -> None:
        """Until nothing is left."""
        while True:
            for chunk in (*self.generation.drain(), *(self.generation.last_line() if last else ())):
                lines, rejected = self._scanner.scan(chunk.data)
                if chunk.oversize is not None:
                    self._scanner.reject_oversize(chunk.oversize)
                    lines, rejected = lines + 1, rejected + 1
                self.generation.counted(lines, rejected, self._scanner.directives)
            if not self.generation.is_behind:
                break

    def found(self) -> tuple[Any, ...]:
        """What was counted, and how far: without what tells one file from another, and without the digests of
        the last lines, which depend on where looks ended."""
        scanned, position = taken(self._scanner), self.generation.position
        return scanned, position._replace(identity=ANY, name="", modified=0, tail=b"")

    def recounted(self) -> tuple[int, int]:
        """The lines, and as audit counts them."""
        position = self.generation.position
        return position.lines, recount._count(position, self.source)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_module, "BLOCK", BLOCK)
    monkeypatch.setattr(generation_module, "PART", 4 * BLOCK)
    monkeypatch.setattr(whole, "BLOCK", BLOCK)


def taken(scanner: Scanner) -> Scanned:
    """What was counted, fit to be compared."""
    scanned = scanner.take()
    return scanned._replace(rows=sorted(scanned.rows))


def scanner_of(make: MakeScanner) -> Scanner:
    return make(compile_format("default"), MAX_LINE)


def summarized(path: Path, scanner: Scanner) -> Scanned:
    """As summarize counts a file."""
    read = Whole(str(path))
    for block in read.blocks(MAX_LINE):
        scanner.scan(block.lines)
        if block.oversize is not None:
            scanner.reject_oversize(block.oversize)
    read.close()
    return taken(scanner)


def check_layouts(small_blocks: None, tmp_path: Path, make: MakeScanner) -> None:
    """Whatever stands in a log, holes in it make no difference, and `summarize` says the same."""
    passed_over = 0
    for seed in range(LAYOUTS):
        layout, readers, files = layout_of(Random(seed)), [], (CountingFiles(), CountingFiles())
        for sparse in (True, False):
            path = tmp_path / f"{seed}-{sparse}"
            path.touch()
            reader = Reader(path, scanner_of(make), files[not sparse])
            for parts in layout:
                write(path, parts, sparse=sparse)
                reader.look()
            readers.append(reader)
        for reader in readers:
            reader.look(last=True)
        found, expected = (reader.found() for reader in readers)
        assert found == expected, layout
        for reader in readers:
            lines, counted = reader.recounted()
            assert lines == counted, layout
            assert summarized(reader.path, scanner_of(make)) == found[0], layout
            reader.source.close()
        passed_over += files[0].read_bytes < files[1].read_bytes
    assert passed_over > LAYOUTS // 4


def check_cost(tmp_path: Path) -> None:
    """Of holes of many TiB next to nothing is read: before a line, within one, between lines that are too
    long, and at the end; and the writer goes on."""
    path, files = tmp_path / "access.log", CountingFiles()
    path.touch()
    reader = Reader(path, scanner_of(SCANNERS["py"]), files)
    ends: list[list[bytes | int]] = [
        [LINES[0], TIB, LINES[1], b"begun ", TIB, b"and ended\n"],
        [LINES[0], TIB],
        [TIB, LINES[1], TIB],
    ]
    for parts in ends:
        write(path, parts, sparse=True)
        reader.look()
    (counted, position), (lines, recounted) = reader.found(), reader.recounted()
    assert position.offset == path.stat().st_size
    assert (lines, recounted, counted.rejects) == (5, 5, {"too_long": 1})
    assert summarized(path, scanner_of(SCANNERS["py"])) == counted
    assert files.read_bytes < 16 * 1024 * 1024
    reader.source.close()


def asks_anywhere(self: Generation) -> None:
    self.offset = self.source.data_from(self.offset)


TWINS = {
    "no marks": Patches((generation_module, "marks_over_nuls", lambda marks, end: marks)),
    "before some NULs": Patches((Generation, "_pass_over_hole", asks_anywhere)),
    "as they stand": Patches((whole, "without_holes", lambda lines: lines)),
    "never": Patches((generation_module, "NULS", b"never")),
}


test_promise, test_twin = promises(
    *(
        Promise(check_layouts, None, TWINS if name == "py" else {}, (Exception,), name, make=make)
        for name, make in SCANNERS.items()
    ),
    Promise(
        check_cost, None, {"reads all": Patches((Files, "data_from", tells_nothing))}, caught=(EndlessError,)
    ),
)
