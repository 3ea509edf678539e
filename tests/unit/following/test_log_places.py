"""Where other logs are: known to each log, and looked up once for all of them."""

from pathlib import Path
from typing import Any

from qps_service.files.kernel import Files
from qps_service.files.rotated_names import stands_for
from qps_service.following import log_places
from qps_service.following.log_places import LogPlaces, _Others
from tests.promised import Patches, Promise, promises, twin


class CountedFiles(Files):
    """Says how many paths were resolved."""

    resolved = 0

    def resolve(self, path: str) -> str:
        self.resolved += 1
        return super().resolve(path)


def logs_in(root: Path) -> frozenset[str]:
    """A log; one by a linked directory; one that is a link to a fourth, which is a log as well."""
    (root / "real").mkdir()
    (root / "linked").symlink_to("real")
    (root / "link").symlink_to("real/end")
    return frozenset(str(root / name) for name in ("log", "linked/log", "link", "real/end"))


def check_others(part: Any, tmp_path: Path) -> None:
    logs = logs_in(tmp_path)
    everywhere = {str(tmp_path / name) for name in ("log", "real/log", "link", "real/end")}

    def others(name: str) -> set[str]:
        found = part(Files()).others(str(tmp_path / name), logs)
        return {path for path in everywhere if path in found}

    assert others("log") == everywhere - {str(tmp_path / "log")}
    assert others("linked/log") == everywhere - {str(tmp_path / "real/log")}
    # Two logs end there, and neither has the other's name.
    assert others("link") == everywhere - {str(tmp_path / "link")}
    assert others("real/end") == everywhere
    assert str(tmp_path / "other") not in part(Files()).others(str(tmp_path / "log"), logs)


def check_dates(part: Any, tmp_path: Path) -> None:
    """A path with dates stands for many files; one that another log names itself is that one's."""
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    names = ("a.log", "a-%Y.log", "linked/%Y.log", "a-2027.log", "a-%Y-%m.log")
    logs = frozenset(str(tmp_path / name) for name in names)
    found = {name: part(Files()).others(str(tmp_path / name), logs) for name in names}

    def who_leaves(name: str) -> list[str]:
        return [each for each in names if str(tmp_path / name) in found[each]]

    assert who_leaves("a-2026.log") == [each for each in names if each != "a-%Y.log"]
    for month in ("a-2026-10.log", "a-2026-10.log.1", "a-2026-10.log.gz"):  # no rotation of the year's
        assert who_leaves(month) == [each for each in names if each != "a-%Y-%m.log"]
    assert who_leaves("real/2026.log.1.gz") == [each for each in names if each != "linked/%Y.log"]
    assert who_leaves("a-2027.log") == [each for each in names if each != "a-2027.log"]


def check_links_may_change(part: Any, tmp_path: Path) -> None:
    logs = logs_in(tmp_path)
    places, log = part(Files()), str(tmp_path / "log")
    assert str(tmp_path / "new") not in places.others(log, logs)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("new")
    assert str(tmp_path / "new") in places.others(log, frozenset([*logs]) - {""})


def check_each_is_looked_up_once(part: Any) -> None:
    logs = frozenset(f"/nowhere/site{number}.log" for number in range(100))
    places = part(files := CountedFiles())
    found = [places.others(path, logs) for path in logs]
    assert files.resolved == 2 * len(logs)
    assert len({id(each._taken) for each in found}) == 1


LooksUpEach = twin(
    *(LogPlaces, "looks up each for each log anew", "others"),
    instead=lambda self, path, logs: LogPlaces.others(self, path, frozenset([*logs, ""])),
)
LooksUpOnce = twin(
    *(LogPlaces, "looks up once, never again", "others"),
    instead=lambda self, path, logs: LogPlaces.others(self, path, self._logs or logs),
)
NamesOnly = twin(LogPlaces, "forgets where links end", "_places_of", instead=lambda self, path: {path})

test_promise, test_twin = promises(
    Promise(
        check_others,
        LogPlaces,
        [NamesOnly, Patches((_Others, "__contains__", lambda self, path: path in self._taken))],
    ),
    Promise(
        check_dates,
        LogPlaces,
        {
            "none": Patches((log_places, "stands_for", lambda *_: False)),
            "any": Patches((log_places, "stands_for", lambda *paths: bool(stands_for(*paths)))),
        },
    ),
    Promise(check_links_may_change, LogPlaces, [LooksUpOnce]),
    Promise(check_each_is_looked_up_once, LogPlaces, [LooksUpEach]),
)
