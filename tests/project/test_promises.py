"""The table of promises: each names tests that are there, and one that nothing holds fails the script."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import promises
from tests.project.promises import HEAD, ROOT, Promise, of_this_checkout

PAGE = f"""# How

## Promises

{HEAD}| One | `one.py` | `unit/test_one.py` `fault`, `one` |
| Two | | `unit/two` |

## Far

`unit/test_far.py`
"""


def test_the_rows() -> None:
    assert list(promises.promises(PAGE)) == [
        Promise("One", ("tests/unit/test_one.py", "tests/fault")),
        Promise("Two", ("tests/unit/two",)),
    ]


def test_a_table_that_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="expected"):
        list(promises.promises(PAGE.replace(HEAD, "| promise |\n")))


def test_a_place_is_a_file_or_all_below_a_directory() -> None:
    promise = Promise("Two", ("tests/two", "tests/test_one.py"))
    assert promise.is_held_by("tests/two/test_a.py")
    assert promise.is_held_by("tests/test_one.py")
    assert not promise.is_held_by("tests/two_more.py")


def check_places(made: list[Promise]) -> None:
    assert len(made) > 40
    assert not [promise.text for promise in made if not promise.places]
    assert not [place for promise in made for place in promise.places if not (ROOT / place).exists()]


def test_each_promise_names_tests_that_are_there() -> None:
    check_places(of_this_checkout())


@pytest.mark.twin
@pytest.mark.parametrize("places", [(), ("tests/unit/test_gone.py",)])
def test_a_promise_that_nothing_holds_is_noticed(places: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError):
        check_places([*of_this_checkout(), Promise("One", places)])


SOUND = "import pytest\ndef test_it(): pass\n@pytest.mark.twin\ndef test_a_twin(): pass\n"


def run(directory: Path, *options: str, **texts: str) -> tuple[int, list[str]]:
    """Pytest's exit status and the table that it prints, where a promise is held by each text."""
    rows = "".join(f"| {name} | | `unit/{name}` |\n" for name in texts)
    (directory / "ARCHITECTURE.md").write_text(f"{HEAD}{rows}")
    (directory / "tests" / "project").mkdir(parents=True)
    shutil.copy(promises.__file__, directory / "tests" / "project")
    for package in ("tests", "tests/project"):  # in place of those of this checkout
        (directory / package / "__init__.py").touch()
    for name, text in texts.items():
        path = directory / "tests" / "unit" / name / f"test_{name}.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    plugins = ("-p", "tests.project.promises", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, "-o", "markers=twin", "--rootdir=.", "tests"],
        cwd=directory,
        env=os.environ | {"CI": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    table = re.search(r"^promise .*\n((?:.*\n)*?)\d+ promises", done.stdout, re.MULTILINE)
    return done.returncode, [re.sub(" +", " ", line) for line in table[1].splitlines()] if table else []


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_is_held_passes(tmp_path: Path, processes: str) -> None:
    held = run(tmp_path, "--hold-promises", f"--numprocesses={processes}", one=SOUND, two=SOUND)
    assert held == (0, ["one 1 1", "two 1 1"])


NO_ROOT = "import pytest\npytest.skip('no root', allow_module_level=True)\n"


@pytest.mark.twin
@pytest.mark.parametrize(
    "texts",
    [
        {
            "one 2 0 no twin": SOUND.replace("twin", "xfail"),
            "two 0 1 no test": SOUND.replace("def test_it", "def it"),
            "skipped 0 0 no test, no twin": NO_ROOT,
        },
        {"uncaught 1 0 1 failed, no twin": SOUND.replace("a_twin(): pass", "a_twin(): 1 / 0")},
        {"broken 0 0 1 failed, no test, no twin": "1 / 0"},
    ],
    ids=["lacking", "failing", "no module"],
)
def test_what_is_not_held_fails(tmp_path: Path, texts: dict[str, str]) -> None:
    named = {row.partition(" ")[0]: text for row, text in texts.items()}
    status, table = run(tmp_path, "--hold-promises", **named)
    assert status
    assert table == [*texts]


def test_other_runs_show_what_they_ran(tmp_path: Path) -> None:
    assert run(tmp_path, two="def test_it(): pass", three="") == (0, ["two 1 0 no twin"])
