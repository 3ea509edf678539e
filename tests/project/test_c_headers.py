"""Each header of the native scanner can be read, and compiled, alone: it includes what it uses.

Two of them know Python. The others are compiled where Python's own header can't be found.
"""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.fuzz.building import SOURCES, plant

HEADERS = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.h"))
KNOW_PYTHON = {"arguments.h", "results.h"}
# As isa.h has them for plain C.
TEMPLATE = ("-DISA_PLAIN", "-DPER_ISA(name)=name##_plain")


def complaints(header: str, sources: Path = SOURCES) -> str:
    """What the compiler says of a header before which nothing is included."""
    options = [
        "-std=c11",
        "-D_DEFAULT_SOURCE",
        "-Werror",
        "-fsyntax-only",
        "-include",
        str(sources / header),
        "-x",
        "c",
        "/dev/null",
    ]
    if header in KNOW_PYTHON:
        options += ["-DPy_LIMITED_API=0x030B0000", f"-I{sysconfig.get_path('include')}"]
    if header.startswith("isa/"):
        options += TEMPLATE
    return subprocess.run(["gcc", *options], capture_output=True, text=True, check=False).stderr


@pytest.mark.build
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_includes_what_it_uses(header: str) -> None:
    assert complaints(header) == ""


@pytest.mark.build
@pytest.mark.twin
@pytest.mark.parametrize(
    ("part", "sound", "faulty", "header"),
    [
        pytest.param("table", "#include <stdlib.h>\n", "", "table.h", id="lacks one of C's own"),
        pytest.param("sizes", '#include "values.h"\n', "", "sizes.h", id="lacks one of ours"),
        pytest.param("isa/line", '#include "../sizes.h"\n', "", "isa/line.h", id="a template lacks one"),
        pytest.param("isa/quoted", '#include "line.h"', "", "isa/quoted.h", id="lacks a template"),
        pytest.param("arguments", "#include <Python.h>\n", "", "arguments.h", id="lacks Python's"),
        pytest.param(
            "bytes", "#pragma once\n", "#include <Python.h>\n#pragma once\n", "bytes.h", id="knows Python"
        ),
        pytest.param("bytes", "#pragma once\n", "", "core_cache.h", id="comes twice"),
        pytest.param(
            "isa/find",
            '#include "../bytes.h"',
            '#pragma once\n#include "../bytes.h"',
            "isa.h",
            id="comes once",
        ),
    ],
)
def test_a_header_that_does_not_is_noticed(
    tmp_path: Path, part: str, sound: str, faulty: str, header: str
) -> None:
    assert complaints(header, plant(tmp_path, part, sound, faulty))
