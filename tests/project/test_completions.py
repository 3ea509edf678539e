"""The shells complete what the parser takes, and the checked-in files are current."""

import shutil
import subprocess
from pathlib import Path

import pytest

from qps_service.cli import COMMANDS
from tests.project.pages import script

DIRECTORY = Path(__file__).parents[2] / "packaging/completions"
FILES = {"bash": "qps-reporter", "zsh": "_qps-reporter", "fish": "qps-reporter.fish"}

# Completes the words given, the last one in part, as bash does at Tab.
DRIVER = """
compopt() { :; }  # works only while bash itself completes
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
words=($(complete -p qps-reporter))
for ((at = 0; at < ${#words[@]}; at++)); do [[ ${words[at]} != -F ]] || function=${words[at + 1]}; done
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def outdated(texts: dict[str, str]) -> list[str]:
    """The shells whose text is not what the parser gives now."""
    current = script(DIRECTORY / "generate.py").completions()
    assert current.keys() == FILES.keys()
    return [shell for shell, text in texts.items() if text != current[shell]]


def checked_in() -> dict[str, str]:
    return {shell: (DIRECTORY / name).read_text() for shell, name in FILES.items()}


def complete(directory: Path, script: Path, *words: str) -> set[str]:
    command = ["bash", "-c", DRIVER, "bash", str(script), "qps-reporter", *words]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def fish_completes(directory: Path, line: str) -> set[str]:
    command = ["fish", "--no-config", "-c", 'source $argv[1]; complete -C "$argv[2]"']
    command += [str(DIRECTORY / FILES["fish"]), line]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory)}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=True)
    return {each.partition("\t")[0] for each in done.stdout.splitlines()}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a file and a directory in it."""
    (tmp_path / "access.log").touch()
    (tmp_path / "access.d").mkdir()
    return tmp_path


def test_the_files_are_current() -> None:
    assert outdated(checked_in()) == [], "run packaging/completions/generate.py"


@pytest.mark.twin
@pytest.mark.parametrize("shell", FILES)
def test_a_file_that_is_not_current_is_noticed(shell: str) -> None:
    texts = checked_in()
    assert outdated(texts | {shell: texts[shell].replace("once", "twice")}) == [shell]


WORDS = [
    (("ru",), {"run"}),
    (("",), set(COMMANDS)),
    (("run", "--for"), {"--format"}),
    (("run", "access.log", "--on"), {"--once"}),
    (("run", "--js"), {"--json"}),
    (("run", "--format", "com"), {"common", "combined"}),
    (("run", "--format", "combined", "--format", "ha"), {"haproxy"}),
    (("check", "--start", "s"), {"start"}),
    (("simulate", "--format", "d"), {"default", "django"}),
    (("explain", "--format", "a"), {"alb", "auto"}),
    (("simulate", "--rotation", ""), {"rename", "copytruncate"}),
    (("run", "acc"), {"access.log", "access.d"}),
    (("check", "--config", "acc"), {"access.log", "access.d"}),
    (("simulate", "-o", "acc"), {"access.log", "access.d"}),
    (("simulate", "--truth", "acc"), {"access.log", "access.d"}),
    (("run", "--state", "acc"), {"access.d"}),
    (("audit", "--state", "acc"), {"access.d"}),
]


@pytest.mark.parametrize(("words", "expected"), WORDS)
def test_bash_completes(words: tuple[str, ...], expected: set[str], directory: Path) -> None:
    assert complete(directory, DIRECTORY / FILES["bash"], *words) == expected


@pytest.mark.twin
@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        (
            "(run setup check explain top history status web audit summarize simulate)",
            "(check audit simulate)",
            ("ru",),
        ),
        ("--name --interval --state --format", "--name --interval --state", ("run", "--for")),
        ("_audit___state_COMPGEN=", "_audit___directory_COMPGEN=", ("audit", "--state", "acc")),
    ],
)
def test_what_bash_does_not_complete_is_noticed(
    right: str, wrong: str, words: tuple[str, ...], directory: Path
) -> None:
    text = checked_in()["bash"]
    assert right in text
    (directory / "twin").write_text(text.replace(right, wrong))
    expected = dict(WORDS)[words]
    assert complete(directory, directory / "twin", *words) != expected


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
@pytest.mark.parametrize(("words", "expected"), WORDS)
def test_fish_completes(words: tuple[str, ...], expected: set[str], directory: Path) -> None:
    found = fish_completes(directory, " ".join(("qps-reporter", *words)))
    assert {each.rstrip("/") for each in found} == expected


@pytest.mark.parametrize("shell", FILES)
def test_the_shell_can_read_it(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    text = checked_in()[shell]
    for name, content, sound in (("file", text, True), ("twin", text + "\nif (\n", False)):
        (tmp_path / name).write_text(content)
        done = subprocess.run([shell, "-n", tmp_path / name], capture_output=True, text=True, check=False)
        assert (done.returncode == 0 and not done.stderr) == sound, done.stderr
