"""A bounded run of the fuzzer (fuzz_scan.c), and scanners with planted faults that its corpus finds.

scripts/campaign.sh fuzz scan runs it for as long as one likes.
"""

import re
from pathlib import Path

import pytest

from tests.fuzz.building import CORPUS, build_fuzzer, fuzz, plant

pytestmark = pytest.mark.build

RUNS = 20_000


def test_a_bounded_run_finds_nothing(tmp_path: Path) -> None:
    build_fuzzer(tmp_path / "fuzzer")
    result = fuzz(tmp_path / "fuzzer", [CORPUS], RUNS, tmp_path / "found")
    assert result.returncode == 0, result.stderr[-5000:]
    executed = re.search(r"number_of_executed_units: (\d+)", result.stderr)
    assert executed
    assert int(executed[1]) >= RUNS


# The part, what stands there, and what takes its place.
FAULTS = {
    "too little behind a block": ("block", "len > SLACK ? len - SLACK", "len > 32 ? len - 32"),
    "room for one key part only": ("scanner", "calloc(3, room)", "calloc(1, room)"),
    "cores outlive their entries": ("scanner", "begin_round(s);\n    memset(s->rejects", "memset(s->rejects"),
    "cores of any length": ("isa/line", "core->tag == (s->round | len)", "(core->tag & ~255ULL) == s->round"),
    "cores up to a query like others": ("isa/quoted", "? TAG_IS_CUT : 0", "? 0 : 0"),
    "requests of any status": ("isa/quoted", "& 0xffffff)", "& 0)"),
    "queries that are left out although they count": ("isa/quoted", "g->keep_query ? 0 :", ""),
    "escaped quotes": ("isa/quoted", "backslashes & (quotes ^ (quotes - 1))", "0 & backslashes"),
    "times that end before blanks": ("isa/quoted", "is_blank(p[1])", "0"),
    "no status, or blanks for tabs": ("isa/line", "last->start && fields[STATUS].len", "last->start"),
    "a size that is not known": ("isa/line", "s->unmeasured += !count", "s->unmeasured += 0 * !count"),
    "cores of each format of a list": ("isa/line", "g == s->program && g->has_core", "g->has_core"),
    "lines in objects": ("scanner", "s->inner = calloc(1, room)", "s->inner = calloc(1, 300)"),
    "cores of the family for any host": ("program", " && !(g->is_combined && g->keep_host)", ""),
    "cores for any host": ("program", "role == STATUS || role == HOST) {", "role == STATUS) {"),
    "no limit on keys": ("table", "t->used >= KEYS_LIMIT ||", ""),
    "no limit on their bytes": ("table", "len > KEY_BYTES_LIMIT", "len > KEY_BYTES_LIMIT + 512"),
    "no limit on times": ("timestamps", "s->times_len == TIMES_LIMIT", "0"),
}


@pytest.mark.twin
@pytest.mark.parametrize(("part", "sound", "faulty"), FAULTS.values(), ids=FAULTS)
def test_the_corpus_finds(tmp_path: Path, part: str, sound: str, faulty: str) -> None:
    build_fuzzer(tmp_path / "fuzzer", plant(tmp_path, part, sound, faulty), "-O0", "-DSCAN_PLAIN")
    result = fuzz(tmp_path / "fuzzer", [CORPUS], 0, tmp_path / "found")
    assert result.returncode
    assert re.search("ERROR: AddressSanitizer|runtime error|: expected ", result.stderr), result.stderr[
        -5000:
    ]
