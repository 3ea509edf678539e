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


@pytest.mark.twin
@pytest.mark.parametrize(
    ("part", "sound", "faulty"),
    [
        pytest.param(
            "block", "len > SLACK ? len - SLACK", "len > 32 ? len - 32", id="too little behind a block"
        ),
        pytest.param("scanner", "calloc(3, room)", "calloc(1, room)", id="room for one key part only"),
        pytest.param(
            "scanner",
            "begin_round(s);\n    memset(s->rejects",
            "memset(s->rejects",
            id="cores outlive their entries",
        ),
        pytest.param(
            "isa/line",
            "core->tag == (s->round | len)",
            "(core->tag & ~255ULL) == s->round",
            id="cores of any length",
        ),
        pytest.param("isa/quoted", "? TAG_IS_CUT : 0", "? 0 : 0", id="cores up to a query like others"),
        pytest.param("isa/quoted", "& 0xffffff)", "& 0)", id="requests of any status"),
        pytest.param(
            "isa/quoted", "g->keep_query ? 0 :", "", id="queries that are left out although they count"
        ),
        pytest.param(
            "isa/quoted", "backslashes & (quotes ^ (quotes - 1))", "0 & backslashes", id="escaped quotes"
        ),
        pytest.param("isa/quoted", "is_blank(p[1])", "0", id="times that end before blanks"),
        pytest.param(
            "isa/line", "last->start && fields[STATUS].len", "last->start", id="no status, or blanks for tabs"
        ),
        pytest.param(
            "isa/line",
            "s->unmeasured += !count",
            "s->unmeasured += 0 * !count",
            id="a size that is not known",
        ),
        pytest.param(
            "isa/line", "g == s->program && g->has_core", "g->has_core", id="cores of each format of a list"
        ),
        pytest.param(
            "scanner", "s->inner = calloc(1, room)", "s->inner = calloc(1, 300)", id="lines in objects"
        ),
        pytest.param(
            "program", " && !(g->is_combined && g->keep_host)", "", id="cores of the family for any host"
        ),
        pytest.param(
            "program", "role == STATUS || role == HOST) {", "role == STATUS) {", id="cores for any host"
        ),
        pytest.param("table", "t->used >= KEYS_LIMIT ||", "", id="no limit on keys"),
        pytest.param(
            "table", "len > KEY_BYTES_LIMIT", "len > KEY_BYTES_LIMIT + 512", id="no limit on their bytes"
        ),
        pytest.param("timestamps", "s->times_len == TIMES_LIMIT", "0", id="no limit on times"),
    ],
)
def test_the_corpus_finds(tmp_path: Path, part: str, sound: str, faulty: str) -> None:
    build_fuzzer(tmp_path / "fuzzer", plant(tmp_path, part, sound, faulty), "-O0", "-DSCAN_PLAIN")
    result = fuzz(tmp_path / "fuzzer", [CORPUS], 0, tmp_path / "found")
    assert result.returncode
    assert re.search("ERROR: AddressSanitizer|runtime error|: expected ", result.stderr), result.stderr[
        -5000:
    ]
