"""No output leads into what the service itself reads or keeps, whatever name it has for it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qps_service.cli import main
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.types import Config
from qps_service.errors import ConfigError
from qps_service.files.kernel import Seen
from qps_service.service import own_files
from qps_service.service.own_files import STREAMS, Place, apart
from tests.fault.mounts import needs_root
from tests.promised import Patches, Promise, answers, promises

Lay = Callable[[Path], str]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A log with a rotated file and one behind a link, a state directory with a ledger, a configuration."""
    for name in ("logs", "state", "elsewhere", "out"):
        (tmp_path / name).mkdir()
    for name in ("logs/access.log", "logs/access.log.1", "elsewhere/real.log", "state/ledger.db", "q.toml"):
        (tmp_path / name).touch()
    (tmp_path / "logs" / "linked.log").symlink_to(tmp_path / "elsewhere" / "real.log")
    return tmp_path


def config(site: Path, *outputs: str, logs: str = "") -> Config:
    kinds = ("json", "textfile")
    (site / "q.toml").write_text(
        f'state = "{site}/state"\n[log.a]\npath = "{site}/logs/access.log"\n'
        f'[log.b]\npath = "{site}/logs/linked.log"\n{logs}'
        + "".join(
            f'[output.{kind}]\npath = "{path}"\n' for kind, path in zip(kinds, outputs, strict=False) if path
        )
    )
    return load(Flags(config=str(site / "q.toml")), {})


def refusals(site: Path, *outputs: str, logs: str = "", streams: tuple[str, ...] = ()) -> list[str]:
    """What `apart` says, without the file's name."""
    try:
        apart(config(site, *outputs, logs=logs), streams)
    except ConfigError as error:
        return [problem.removeprefix(f"{site}/q.toml: ") for problem in error.problems]
    return []


def laid(make: Callable[[Path], object], name: str) -> Lay:
    def lay(site: Path) -> str:
        make(site / name)
        return f"{site}/{name}"

    return lay


def linked(target: str) -> Lay:
    return lambda site: laid(lambda path: path.symlink_to(site / target), "out/reports")(site)


def hard_linked(target: str) -> Lay:
    return lambda site: laid(lambda path: path.hardlink_to(site / target), "out/reports")(site)


LEDGER, SOURCE, LOG = "the ledger's", "the configuration", "a log"
A_FILE, B_FILE = "a file of the log a", "a file of the log b"
LEADING: dict[str, tuple[Lay, str]] = {
    "log": (lambda site: f"{site}/logs/access.log", LOG),
    "log by ..": (lambda site: f"{site}/out/../logs/access.log", LOG),
    "log by a link": (linked("logs/access.log"), LOG),
    "log by a link to its directory": (
        lambda site: laid(lambda path: path.symlink_to("../logs"), "out/there")(site) + "/access.log",
        LOG,
    ),
    "log by a hard link": (hard_linked("logs/access.log"), LOG),
    "log by what its link names": (lambda site: f"{site}/elsewhere/real.log", LOG),
    "log by /proc": (lambda site: f"/proc/self/root{site}/logs/access.log", LOG),
    "rotated file": (lambda site: f"{site}/logs/access.log.1", A_FILE),
    "rotated file to come": (lambda site: f"{site}/logs/access.log.2", A_FILE),
    "rotated file in olddir": (lambda site: f"{site}/out/access-20261130.log", A_FILE),
    "rotated file of the other log": (lambda site: f"{site}/elsewhere/real.log.1", B_FILE),
    "rotated file by a hard link": (hard_linked("logs/access.log.1"), A_FILE),
    "ledger": (lambda site: f"{site}/state/ledger.db", LEDGER),
    "ledger by a link": (linked("state/ledger.db"), LEDGER),
    "ledger by a hard link": (hard_linked("state/ledger.db"), LEDGER),
    "ledger's companion to come": (lambda site: f"{site}/state/ledger.db-wal", LEDGER),
    "companion by a link that dangles": (linked("state/ledger.db-shm"), LEDGER),
    "ledger that is set aside": (lambda site: f"{site}/state/ledger.db.damaged-20261130T000000Z", LEDGER),
    "configuration": (lambda site: f"{site}/q.toml", SOURCE),
    "configuration by a hard link": (hard_linked("q.toml"), SOURCE),
}


def is_refused(site: Path, lay: Lay, what: str) -> None:
    path = lay(site)
    said = f"output.json.path: expected another file, got {what}: {os.path.normpath(path)}"
    assert refusals(site, path) == [said]


def is_refused_before_the_directory_is_there(site: Path) -> None:
    (site / "state" / "ledger.db").unlink()
    (site / "state").rmdir()
    is_refused(site, lambda site: f"{site}/out/../state/ledger.db", LEDGER)


def is_taken(site: Path) -> None:
    """Beside the log and the ledger, and behind links, there is room for others."""
    (site / "out" / "dir").symlink_to(site / "state")
    (site / "access.log.7").mkdir()
    for path in (
        *("logs/reports.jsonl", "logs/access.log.lock", "logs/access.log-errors", "logs/access2.log"),
        *("state/reports.jsonl", "out/dir/reports", "nowhere/reports", "out/ledger.db"),
    ):
        assert refusals(site, f"{site}/{path}", f"{site}/out/q.prom") == []


def no_output_matches_a_pattern(site: Path) -> None:
    """Be it one to come, by whatever path; and no pattern finds the ledger."""
    (site / "out" / "there").symlink_to("../logs")
    logs = f'[log.c]\npath = "{site}/logs/*.jsonl"\n[log.d]\npath = "{site}/stat*/*"\n'
    for path in (f"{site}/logs/reports.jsonl", f"{site}/out/there/reports.jsonl"):
        ours = f"log.d.path: expected another file, got the ledger's: {site}/stat*/*"
        said = refusals(site, path, logs=logs)
        assert f"output.json.path: expected another file, got a log: {path}" in said
        assert ours in said
    assert refusals(site, f"{site}/logs/reports.json", logs=f'[log.c]\npath = "{site}/logs/*.jsonl"\n') == []


def two_outputs_are_apart(site: Path) -> None:
    (site / "out" / "there").symlink_to(".")
    path, other = f"{site}/out/q.prom", f"{site}/out/there/q.prom"
    assert refusals(site, path, other) == [
        f"output.json.path: expected another file, got that of output.textfile.path: {path}",
        f"output.textfile.path: expected another file, got that of output.json.path: {other}",
    ]


def a_log_is_not_its_own_ledger(site: Path) -> None:
    path = f"{site}/out/../state/ledger.db-wal"
    logs = f'[log.c]\npath = "{path}"\n[log.d]\npath = "{site}/q.toml"\n'
    assert refusals(site, logs=logs) == [
        f"log.c.path: expected another file, got the ledger's: {site}/state/ledger.db-wal",
        f"log.d.path: expected another file, got the configuration: {site}/q.toml",
    ]


def what_is_read_with_the_configuration_is_refused(site: Path) -> None:
    """Its files, and what would be one; the file is named that has the fault."""
    (site / "conf.d").mkdir()
    (site / "conf.d" / "1.toml").write_text(f'[log.a]\npath = "{site}/logs/access.log"\n')
    (site / "qps-reporter.toml").touch()
    (site / "out" / "reports").hardlink_to(site / "conf.d" / "1.toml")
    (site / "out" / "more").symlink_to("../conf.d")
    for path in ("qps-reporter.toml", "conf.d/1.toml", "conf.d/new.toml", "out/reports", "out/more/new"):
        (site / "conf.d" / "2.toml").write_text(f'[output.json]\npath = "{site}/{path}"\n')
        with pytest.raises(ConfigError) as caught:
            apart(load(Flags(config=str(site / "qps-reporter.toml")), {}))
        [problem] = caught.value.problems
        said = f"output.json.path: expected another file, got {SOURCE}: {site}/{path}"
        assert problem == f"{site}/conf.d/2.toml: {said}"


def standard_streams_are_apart(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell has them lead into: `run access.log >> access.log`."""
    for name, what in (("logs/access.log", LOG), ("logs/access.log.1", A_FILE), ("state/ledger.db", LEDGER)):
        with (site / name).open("a") as file:
            monkeypatch.setitem(STREAMS, "stdout", f"/proc/self/fd/{file.fileno()}")
            assert refusals(site, streams=("stdout",)) == [
                f"stdout: expected another file, got {what}: {site}/{name}"
            ]
    with (site / "out" / "access.txt").open("a") as file:
        monkeypatch.setitem(STREAMS, "stdout", f"/proc/self/fd/{file.fileno()}")
        assert refusals(site, streams=("stdout",)) == []


def a_pipe_is_no_way_round(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports would come back as lines: `run - < fifo > fifo`."""
    os.mkfifo(site / "fifo")
    with open(site / "fifo", "r+b", buffering=0) as both:
        monkeypatch.setitem(STREAMS, "stdout", f"/proc/self/fd/{both.fileno()}")
        with pytest.raises(ConfigError) as caught:
            apart(load(Flags(log=f"/dev/fd/{both.fileno()}"), {}), ("stdout",))
    assert [*caught.value.problems] == [f"stdout: expected another file, got {LOG}: {site}/fifo"]


def by_name_alone(path: str) -> Place:
    return Place(None, frozenset({os.path.split(path)}))


def by_real_path(path: str) -> Place:
    return Place(None, frozenset({os.path.split(os.path.realpath(path))}))


def by_file_alone(path: str) -> Place:
    return Place(own_files._file(path), frozenset())


def twins_of(name: str) -> dict[str, Patches]:
    """Of a comparison by less than there is, the one that misses this name."""
    if "hard" in name:
        return {"by real path": Patches((own_files, "_place", by_real_path))}
    if "to come" in name or "aside" in name or "dangles" in name:
        return {"by file": Patches((own_files, "_place", by_file_alone))}
    if "link" in name or "/proc" in name:
        return {"by name": Patches((own_files, "_place", by_name_alone))}
    return {}


test_apart, test_apart_twin = promises(
    {
        is_refused_before_the_directory_is_there: {},
        is_taken: {"any name": Patches((own_files, "LEDGER", ""))},
        no_output_matches_a_pattern: [answers(own_files, "_would_match", False)],
        two_outputs_are_apart: {"by name": Patches((own_files, "_place", by_name_alone))},
        a_log_is_not_its_own_ledger: {"any": answers(own_files, "_own", ())},
        what_is_read_with_the_configuration_is_refused: {
            "no directory": answers(own_files, "directory_of"),
            "by name": Patches((own_files, "_place", by_name_alone)),
        },
        standard_streams_are_apart: {"any": answers(own_files, "_logs", ())},
        a_pipe_is_no_way_round: {"files alone": Patches((Seen, "is_pipe", False))},
    },
    *(
        Promise(is_refused, None, twins_of(name), label=name, lay=lay, what=what)
        for name, (lay, what) in LEADING.items()
    ),
)


def given_away(site: Path, name: str, target: str) -> None:
    """A link of somebody else's, in a directory of his."""
    (site / "theirs").mkdir(exist_ok=True)
    link = site / "theirs" / name
    link.symlink_to(site / target)
    os.chown(link, 65534, 65534, follow_symlinks=False)


def links_of_others_refuse_nothing(site: Path) -> None:
    """Neither where a log is, or would be by a pattern, nor where an output is."""
    for name, target in {
        "a.log": "state/ledger.db",
        "b.log": "q.toml",
        "c.log": "out/reports",
        "d": "state",
        "reports": "state/ledger.db-wal",
        "q.prom": "logs/access.log",
    }.items():
        given_away(site, name, target)
    logs = f'[log.c]\npath = "{site}/theirs/*.log"\n[log.d]\npath = "{site}/thei*/d/*"\n'
    logs += f'[log.e]\npath = "{site}/theirs/a.log"\n'
    assert refusals(site, f"{site}/out/reports", logs=logs) == []
    assert refusals(site, f"{site}/theirs/reports", f"{site}/theirs/q.prom") == []


def no_pattern_looks_through_them(site: Path) -> None:
    given_away(site, "d", "state")
    assert refusals(site, logs=f'[log.d]\npath = "{site}/thei*/d/*.db"\n') == []


test_links_of_others, test_who_follows_them = map(
    needs_root,
    promises(
        {
            links_of_others_refuse_nothing: [
                Patches((own_files, name, own_files._place)) for name in ("_place_of_log", "_place_of_output")
            ],
            no_pattern_looks_through_them: [answers(own_files, "is_led_by_others", False)],
        }
    ),
)


@needs_root
def test_another_mount(site: Path) -> None:
    """The same directory, bound to another place: only device and inode tell."""
    for directory, name, what in (("logs", "access.log", LOG), ("state", "ledger.db-wal", LEDGER)):
        subprocess.run(["mount", "--bind", site / directory, site / "out"], check=True)
        try:
            is_refused(site, lambda site, name=name: f"{site}/out/{name}", what)  # type: ignore[misc]
        finally:
            subprocess.run(["umount", site / "out"], check=True)


def test_a_check_refuses(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the unit runs before a start and a reload, too."""
    config(site, f"{site}/logs/access.log.1")
    for more in ([], ["--config-only"]):
        assert main(["check", "--config", f"{site}/q.toml", *more]) == 1
        where = f"{site}/q.toml: output.json.path"
        said = f"{where}: expected another file, got a file of the log a: {site}/logs/access.log.1"
        assert capsys.readouterr() == ("", f"qps-reporter: {said}\n")
