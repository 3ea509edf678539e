"""One inotify instance for many logs: each is told all that concerns it, once, and nothing else.

A promise is made of what `Watches` and `Watcher` do together, and each twin breaks one of the two.
"""

import errno
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from inotify_simple import Event, INotify, flags

from qps_service.following import watcher as module
from qps_service.following.hints import Appeared, Gone, Hint, Lost, Moved
from qps_service.following.watcher import HINTS_KEPT, Watcher, Watches
from qps_service.notices.kinds import Notice
from tests.following import overflow_queue
from tests.limits import Doubled
from tests.promised import Patches, Promise, nothing, patched, promises, sets, twin

HISTORIES = 60
STEPS = 60


class House:
    """Directories, the logs' watchers, and what the kernel has of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notices: list[Notice] = []
        self.watches = module.Watches(self.notices.append)
        self.watchers: list[Watcher] = []

    def directory(self, name: str) -> str:
        path = self.root / name
        path.mkdir(exist_ok=True)
        return str(path)

    def watcher(self, *directories: str) -> Watcher:
        """Of one more log; it looks at once."""
        made = module.Watcher(self.watches)
        self.watchers.append(made)
        made.watch(directories)
        made.read()
        return made

    def kernel_watches(self) -> int:
        """How many the instances of all watchers have."""
        instances = {watcher.fileno() for watcher in self.watchers} - {None}
        return sum(Path(f"/proc/self/fdinfo/{each}").read_text().count("inotify wd:") for each in instances)

    def close(self) -> None:
        with suppress(KeyError, ValueError):  # of twins
            for watcher in self.watchers:
                watcher.close()
        for watches in {self.watches, *(watcher._watches for watcher in self.watchers)}:
            if watches._inotify:
                watches._inotify.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


# --- who is told what


def check_what_others_read_is_shown_to_wait(house: House) -> None:
    """The descriptor is quiet after one of them has read: a loop that polled it would sleep."""
    first, second = house.watcher(house.directory("logs")), house.watcher(house.directory("logs"))
    Path(house.directory("logs"), "log").touch()
    first.read()
    assert (first.has_hints, second.has_hints) == (False, True)
    second.read()
    assert not second.has_hints


def check_each_is_told_what_its_directories_show(house: House) -> None:
    here, there = house.directory("here"), house.directory("there")
    log, aside = os.path.join(here, "log"), os.path.join(there, "log.1")
    leaves, comes, sees = house.watcher(here), house.watcher(there), house.watcher(here, there)
    Path(log).touch()
    os.rename(log, aside)
    assert leaves.read() == [Appeared(log), Gone(log)]
    assert comes.read() == [Appeared(aside, created=False)]
    assert sees.read() == [Appeared(log), Moved(log, aside)]
    os.rename(aside, log)
    assert leaves.read() == [Appeared(log, created=False)]
    assert comes.read() == [Gone(aside)]
    assert sees.read() == [Moved(aside, log)]


def check_a_directory_under_two_paths(house: House) -> None:
    logs = house.directory("logs")
    link = f"{logs}.link"
    os.symlink(logs, link)
    one, other, both = house.watcher(logs), house.watcher(link), house.watcher(logs, link)
    Path(logs, "log").touch()
    os.rename(f"{logs}/log", f"{logs}/log.1")
    assert one.read() == [Appeared(f"{logs}/log"), Moved(f"{logs}/log", f"{logs}/log.1")]
    assert other.read() == [Appeared(f"{link}/log"), Moved(f"{link}/log", f"{link}/log.1")]
    assert sorted(map(str, both.read())) == sorted(map(str, [*_hints_of(logs), *_hints_of(link)]))
    both.watch({link})
    other.close()
    os.unlink(f"{logs}/log.1")
    assert one.read() == [Gone(f"{logs}/log.1")]
    assert both.read() == [Gone(f"{link}/log.1")]


def _hints_of(path: str) -> list[Hint]:
    return [Appeared(f"{path}/log"), Moved(f"{path}/log", f"{path}/log.1")]


def check_a_rename_that_comes_apart(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells of its ends one after the other, and other logs may read in between."""
    logs = house.directory("logs")
    first, second = house.watcher(logs), house.watcher(logs)
    told: list[Event] = []
    monkeypatch.setattr(INotify, "read", lambda self, timeout: [told.pop(0)] if told else [])
    told += [
        Event(1, flags.MOVED_FROM, 7, "log"),
        Event(1, flags.MOVED_TO, 7, "log.1"),
        Event(1, flags.MOVED_FROM, 8, "log.1"),
    ]
    assert first.read() == []
    assert second.read() == [Moved(f"{logs}/log", f"{logs}/log.1")]
    assert first.read() == [Moved(f"{logs}/log", f"{logs}/log.1")]
    assert second.read() == []
    assert first.read() == [Gone(f"{logs}/log.1")]
    assert second.read() == [Gone(f"{logs}/log.1")]


def check_whose_reader_left_is_told(house: House) -> None:
    here, outside = house.directory("here"), house.directory("outside")
    goes, stays = house.watcher(here), house.watcher(here)
    Path(here, "log").touch()
    os.rename(f"{here}/log", f"{outside}/log")
    goes.read()
    goes.close()
    assert stays.read() == [Appeared(f"{here}/log"), Gone(f"{here}/log")]


def check_an_overflow_is_told_to_all(house: House) -> None:
    logs, elsewhere = house.directory("logs"), house.directory("elsewhere")
    watchers = [house.watcher(logs), house.watcher(logs), house.watcher(elsewhere)]
    overflow_queue(Path(logs))
    assert [Lost() in watcher.read() for watcher in watchers] == [True, True, True]
    assert [watcher.read() for watcher in watchers] == [[], [], []]


def check_hints_are_bounded(house: House) -> None:
    watcher = house.watcher(house.directory("logs"))
    for number in range(HINTS_KEPT + 1):
        watcher.put(Appeared(str(number)))
    assert watcher.read() == [Lost(), Appeared(str(HINTS_KEPT))]


def check_each_is_told_that_its_directory_went(house: House, held: bool) -> None:
    """Also where somebody holds a descriptor, which keeps the kernel from telling: by what is there now."""
    logs = house.directory("logs")
    watchers = [house.watcher(logs), house.watcher(logs)]
    descriptor = os.open(logs, os.O_RDONLY) if held else None
    os.rmdir(logs)
    if not held:
        assert [Lost() in watcher.read() for watcher in watchers] == [True, True]
        assert [watcher.watch({logs}) for watcher in watchers] == [[Lost(logs)]] * 2
    house.directory("logs")
    assert [watcher.watch({logs}) for watcher in watchers] == [[Lost(logs)]] * 2
    for watcher in watchers:
        watcher.read()
    assert [watcher.watch({logs}) for watcher in watchers] == [[]] * 2
    Path(logs, "log").touch()
    assert [watcher.read() for watcher in watchers] == [[Appeared(f"{logs}/log")]] * 2
    if descriptor is not None:
        os.close(descriptor)


def check_a_renamed_directory_is_no_longer_that_path(house: House) -> None:
    logs = house.directory("logs")
    watcher = house.watcher(logs)
    os.rename(logs, f"{logs}.moved")
    house.directory("logs")
    assert Lost() in watcher.read()
    assert watcher.watch({logs}) == [Lost(logs)]
    Path(f"{logs}.moved", "log").touch()
    assert watcher.read() == []


def check_writes_are_no_hints(house: House) -> None:
    log = Path(house.directory("logs"), "log")
    log.touch()
    watcher = house.watcher(str(log.parent))
    log.write_bytes(b"line\n" * 100)
    os.truncate(log, 0)
    assert watcher.read() == []


# --- what the kernel has


def check_one_instance_and_a_watch_for_each_directory(house: House) -> None:
    here, there = house.directory("here"), house.directory("there")
    watchers = [house.watcher(here, there) for _ in range(20)]
    assert len({watcher.fileno() for watcher in watchers}) == 1
    assert house.kernel_watches() == 2


def check_the_last_one_gives_the_instance_back(house: House) -> None:
    first, second = house.watcher(house.directory("logs")), house.watcher(house.directory("logs"))
    first.close()
    assert second.fileno() is not None
    second.close()
    assert second.fileno() is None
    again = house.watcher(house.directory("logs"))
    Path(house.directory("logs"), "log").touch()
    assert again.read() == [Appeared(f"{house.directory('logs')}/log")]


# --- where there is none to be had


class Stingy(INotify):  # type: ignore[misc]
    """A kernel that gives no instance, or no watch for a directory named so, while there is an `error`."""

    error = 0
    instances = True  # whether that is about instances

    def __init__(self, **keywords: bool) -> None:
        if Stingy.error and Stingy.instances:
            raise OSError(Stingy.error, os.strerror(Stingy.error))
        super().__init__(**keywords)

    def add_watch(self, path: str, mask: int) -> int:
        if Stingy.error and os.path.realpath(path).endswith("refused"):
            raise OSError(Stingy.error, os.strerror(Stingy.error))
        watch: int = super().add_watch(path, mask)
        return watch


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> type[Stingy]:
    monkeypatch.setattr(module, "INotify", Stingy)
    monkeypatch.setattr(Stingy, "error", 0)
    monkeypatch.setattr(Stingy, "instances", True)
    return Stingy


def check_no_instance_is_said_once(house: House, kernel: type[Stingy]) -> None:
    logs = house.directory("logs")
    kernel.error = errno.EMFILE
    watchers = [house.watcher(logs) for _ in range(3)]
    for watcher in watchers:
        assert watcher.read() == [Lost()]
        assert watcher.watch({logs}) == [Lost(logs)]
    (notice,) = house.notices
    assert notice.kind.name == "unwatched"
    assert "Too many open files; raise fs.inotify.max_user_instances" in notice.text
    kernel.error = 0
    assert [watcher.watch({logs}) for watcher in watchers] == [[Lost(logs)]] * 3
    assert [watcher.watch({logs}) for watcher in watchers] == [[]] * 3
    Path(logs, "log").touch()
    assert [watcher.read() for watcher in watchers] == [[Appeared(f"{logs}/log")]] * 3


def check_no_watch_is_said_once(house: House, kernel: type[Stingy]) -> None:
    logs, refused = house.directory("logs"), house.directory("refused")
    kernel.instances, kernel.error = False, errno.ENOSPC
    has, has_not = house.watcher(logs), house.watcher(refused)
    for _ in range(3):
        assert (has.watch({logs}), has_not.watch({refused})) == ([], [Lost(refused)])
        house.watcher(logs)
    (notice,) = house.notices
    assert refused in notice.text
    assert "No space left on device; raise fs.inotify.max_user_watches" in notice.text
    Path(logs, "log").touch()
    assert has.read() == [Appeared(f"{logs}/log")]
    kernel.error = 0
    assert has_not.watch({refused}) == [Lost(refused)]
    assert has_not.watch({refused}) == []
    kernel.error = errno.ENOSPC
    house.watcher(house.directory("also refused"))
    assert len(house.notices) == 2  # it is another time


# --- whatever happens, in random order


class Mirror:
    """What a log knows of its directories' names, by hints alone after the first listing."""

    def __init__(self, house: House, directories: set[str], left: set[str]) -> None:
        self.watcher = module.Watcher(house.watches)
        house.watchers.append(self.watcher)
        self.directories: set[str] = set()
        self.names: dict[str, str | None] = {}  # path -> what is in the file, where that is known
        self.followed = 0  # renames of which both ends were told
        self.go(directories, left)

    def go(self, directories: set[str], left: set[str]) -> None:
        """Watch these; those that are new are listed. What `left` them before may still be told: by then
        nobody knew where to."""
        self.left = set(left)
        new, self.directories = directories - self.directories, directories
        assert self.watcher.watch(directories) == list(map(Lost, sorted(new)))
        self.read()
        self.names = {path: text for path, text in self.names.items() if os.path.dirname(path) in directories}
        for directory in new:
            self.names |= {str(path): path.read_text() for path in Path(directory).iterdir()}

    def read(self) -> None:
        for hint in self.watcher.read():
            match hint:
                case Moved(source, target):
                    assert source in self.names or source in self.left, f"nothing was there: {hint}"
                    self.names[target] = self.names.pop(source, None)
                    self.followed += 1
                case Appeared(path):
                    self.names[path] = None
                case Gone(path):
                    assert path in self.names or path in self.left, f"nothing was there: {hint}"
                    self.names.pop(path, None)
                case Lost():
                    raise AssertionError("nothing is lost here")

    def check(self) -> None:
        there = {
            str(path): path.read_text()
            for directory in self.directories
            for path in Path(directory).iterdir()
        }
        assert self.names.keys() == there.keys()
        assert {path: text for path, text in self.names.items() if text not in (None, there[path])} == {}


def check_every_history(tmp_path: Path) -> None:
    """Logs come, go, move and read in any order, while files do: a log's names are those that are there."""
    happened: Counter[str] = Counter()
    for seed in range(HISTORIES):
        root = tmp_path / str(seed)
        root.mkdir()
        happened += _history(random.Random(seed), root)
    assert happened["followed"] >= 5 * HISTORIES, "renames are told with both ends"


def _history(chance: random.Random, root: Path) -> "Counter[str]":
    house, texts, happened = House(root), count(), Counter[str]()
    directories = [house.directory(name) for name in ("a", "b", "c")]
    outside = house.directory("outside")
    left: set[str] = set()  # names that a rename ever took a file from
    mirrors: list[Mirror] = []

    def some() -> set[str]:
        return set(chance.sample(directories, chance.randint(1, 3)))

    def any_path() -> Path:
        return Path(chance.choice([*directories, outside]), f"log.{chance.randrange(4)}")

    def create() -> None:
        if not (path := any_path()).exists():
            path.write_text(str(next(texts)))

    def rename() -> None:
        there = sorted(path for directory in [*directories, outside] for path in Path(directory).iterdir())
        target = any_path()
        if there and not target.exists():
            source = chance.choice(there)
            source.rename(target)
            left.add(str(source))

    def come() -> None:
        mirrors.append(Mirror(house, some(), left))

    def leave() -> None:
        if len(mirrors) > 1:
            mirrors.pop(chance.randrange(len(mirrors))).watcher.close()

    steps: list[Callable[[], object]] = [
        *([create] * 4),
        *([rename] * 8),
        lambda: any_path().unlink(missing_ok=True),
        *([lambda: chance.choice(mirrors).read()] * 4),
        lambda: chance.choice(mirrors).go(some(), left),
        come,
        leave,
    ]
    try:
        for _ in range(3):
            come()
        for _ in range(STEPS):
            chance.choice(steps)()
        for mirror in [*mirrors, *mirrors, *mirrors]:
            mirror.read()  # a name that was left waits until who has read of it reads again
        for mirror in mirrors:
            mirror.check()
            happened["followed"] += mirror.followed
        assert house.kernel_watches() == len(set().union(*(mirror.directories for mirror in mirrors)))
    finally:
        house.close()
    return happened


# --- twins


def broken(method: str, *instead: object) -> dict[str, Patches]:
    """`Watches` with this method replaced by one of these."""
    return patched(Watches, method, *instead)


def made(*watches: type[Watches]) -> dict[str, Patches]:
    """These in its place."""
    return patched(module, "Watches", *watches)


_REAL_TELL, _REAL_END, _REAL_READ = Watches._tell, Watches.end, Watches.read


def tells_everybody(self: Watches, left: object, came: object, **how: bool) -> None:
    """Of all directories, by the paths of others."""
    paths = {watch: next(iter(told.values())) for watch, told in self._directories.items()}
    strict, self._directories = (
        self._directories,
        {watch: dict.fromkeys(self._watchers, paths[watch]) for watch in self._directories},
    )
    _REAL_TELL(self, left, came, **how)  # type: ignore[arg-type]
    self._directories = strict


def tells_twice(self: Watches, left: object, came: object, **how: bool) -> None:
    for _ in range(2):
        _REAL_TELL(self, left, came, **how)  # type: ignore[arg-type]


def knows_no_rename(self: Watches, left: object, came: object, **how: bool) -> None:
    """Each end by itself."""
    if left and came:
        _REAL_TELL(self, left, None)  # type: ignore[arg-type]
        _REAL_TELL(self, None, came)  # type: ignore[arg-type]
    else:
        _REAL_TELL(self, left, came, **how)  # type: ignore[arg-type]


def takes_all_for_new(self: Watches, left: object, came: object, **how: bool) -> None:
    """What came by a rename, too."""
    _REAL_TELL(self, left, came, created=True)  # type: ignore[arg-type]


def ends_for_all(self: Watches, watcher: Watcher, path: str, watch: int) -> None:
    """Removes the watch that another log needs."""
    if watch in self._directories:
        _REAL_END(self, watcher, path, watch)
        if watch in self._directories:
            self._remove(watch)


def gives_up_at_any_read(self: Watches, reader: Watcher) -> None:
    self._moving = {cookie: (left, reader) for cookie, (left, _) in self._moving.items()}
    _REAL_READ(self, reader)


def waits_for_who_left(self: Watches, reader: Watcher) -> None:
    everybody, self._watchers = self._watchers, self._watchers | {each for _, each in self._moving.values()}
    _REAL_READ(self, reader)
    self._watchers = everybody


def overflow_for_one(self: Watches, reader: Watcher) -> None:
    everybody, self._watchers = self._watchers, {reader}
    _REAL_SORT(self, reader)
    self._watchers = everybody


_REAL_SORT = Watches._sort


class Alone(Watcher):
    """Each log has an instance of its own."""

    def __init__(self, watches: Watches | None = None) -> None:
        super().__init__()


def last_path_only(self: Watches, watcher: Watcher, path: str) -> tuple[int, tuple[int, int]]:
    """As if a directory had one path."""
    begun = _REAL_BEGIN(self, watcher, path)
    for paths in self._directories[begun[0]].values():
        paths[:] = [path]
    return begun


_REAL_BEGIN = Watches.begin


def tells_newcomers_the_past(self: Watches, watcher: Watcher, path: str) -> tuple[int, tuple[int, int]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(self, "_sort", nothing)
        return _REAL_BEGIN(self, watcher, path)


def loses_for_the_first(self: Watches, watch: int) -> None:
    for watcher, paths in [*self._directories[watch].items()][:1]:
        watcher.lose(paths)
    self._remove(watch)


def drops_silently(self: Watcher, hint: Hint) -> None:
    self._hints = [*self._hints, hint][-HINTS_KEPT:]


# Watches that differ in one method.
SAYS_EACH = twin(Watches, "says each", "_refused", first=sets(_is_refused=False))
# Any watch will do, also one that stands already.
FORGETS_REFUSALS = twin(Watches, "forgets refusals", "_add", then=sets(_is_refused=False))
NEVER_REMOVES = twin(
    *(Watches, "never removes", "_remove"), instead=lambda self, watch: self._directories.pop(watch)
)
KEEPS_THE_INSTANCE = twin(
    *(Watches, "keeps the instance", "leave"),
    instead=lambda self, watcher: self._watchers.discard(watcher),
)
SILENT = broken("_refused", nothing)

test_promise, test_twin = promises(
    Promise(
        check_what_others_read_is_shown_to_wait,
        None,
        {
            "shows nothing": Patches((Watcher, "has_hints", False)),
            "always": Patches((Watcher, "has_hints", True)),
        },
    ),
    Promise(
        check_each_is_told_what_its_directories_show,
        None,
        broken("_tell", tells_twice, knows_no_rename, tells_everybody, takes_all_for_new),
    ),
    Promise(check_a_directory_under_two_paths, None, broken("begin", last_path_only), (KeyError,)),
    Promise(check_a_rename_that_comes_apart, None, broken("read", gives_up_at_any_read)),
    Promise(check_whose_reader_left_is_told, None, broken("read", waits_for_who_left)),
    Promise(check_an_overflow_is_told_to_all, None, broken("_sort", overflow_for_one)),
    Promise(
        check_hints_are_bounded,
        None,
        {"double": Doubled("following.watcher:HINTS_KEPT"), **patched(Watcher, "put", drops_silently)},
    ),
    Promise(
        check_each_is_told_that_its_directory_went,
        None,
        broken("_lose", loses_for_the_first),
        (KeyError,),
        held=False,
    ),
    Promise(check_each_is_told_that_its_directory_went, None, {}, held=True),
    Promise(check_a_renamed_directory_is_no_longer_that_path, None, {}),
    Promise(check_writes_are_no_hints, None, {}),
    Promise(
        check_one_instance_and_a_watch_for_each_directory,
        None,
        {"alone": Patches((module, "Watcher", Alone))},
    ),
    Promise(check_the_last_one_gives_the_instance_back, None, made(KEEPS_THE_INSTANCE)),
    Promise(check_no_instance_is_said_once, None, SILENT | made(SAYS_EACH), (ValueError,)),
    Promise(check_no_watch_is_said_once, None, SILENT | made(SAYS_EACH, FORGETS_REFUSALS), (ValueError,)),
    Promise(
        check_every_history,
        None,
        broken("begin", tells_newcomers_the_past) | broken("end", ends_for_all) | made(NEVER_REMOVES),
        (KeyError,),
    ),
)
