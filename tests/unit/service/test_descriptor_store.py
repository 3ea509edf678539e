"""What systemd keeps for the service, and what it hands back. Datagrams are plain values here."""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from qps_service.service import systemd
from qps_service.service.descriptor_store import DescriptorStore
from qps_service.service.systemd import StoredName, Supervisor, handed_back, parse_stored_name, stored_name
from qps_service.values.positions import Identity
from tests.ledgers import position
from tests.promised import Promise, promises, twin

# --- keeping


def keeps_and_drops_by_name(supervisor: type[Supervisor]) -> None:
    """The descriptor goes with its name, in one datagram; dropping wants the name alone."""
    datagrams: list[tuple[str, list[int]]] = []
    told = supervisor(lambda text, descriptors: datagrams.append((text, list(descriptors))), None)
    told.keep(7, "access@0@1-2")
    told.drop("access@0@1-2")
    told.status("x")
    assert datagrams == [
        ("FDSTORE=1\nFDNAME=access@0@1-2\nFDPOLL=0", [7]),
        ("FDSTOREREMOVE=1\nFDNAME=access@0@1-2", []),
        ("STATUS=x", []),
    ]


# --- a log that goes


def keeps_nothing_of_a_log_that_went(store: type[DescriptorStore]) -> None:
    """All that is kept of a log is dropped, and nothing of another; the same files can be kept once more."""
    told: list[str] = []
    names = {"access": "access", "other": "other"}
    kept = store(Supervisor(lambda text, _: told.append(text.partition("\n")[0]), None), [], names)
    first, second = position(1, 3), position(2, 3)
    kept.of("access").keep(7, first)
    kept.of("access").keep(8, second)
    kept.of("other").keep(9, first)
    kept.drop("access")
    kept.drop("access")
    kept.drop("never there")
    assert told == ["FDSTORE=1"] * 3 + ["FDSTOREREMOVE=1"] * 2
    kept.of("access").keep(7, first)
    kept.of("other").drop(first)
    assert told[5:] == ["FDSTORE=1", "FDSTOREREMOVE=1"]


def keeps_a_file_under_its_logs_new_name(store: type[DescriptorStore], handed: list[int]) -> None:
    """Before the old one is dropped, so that no moment is without it."""
    told: list[tuple[str, list[int]]] = []
    files = [(handed[0], "old@0@1-2"), (handed[1], "new@5@1-3"), (handed[2], "gone@0@1-4")]
    supervisor = Supervisor(lambda text, fds: told.append((text, list(fds))), None)
    kept = store(supervisor, files, {"old": "new", "new": "new"})
    assert told == [
        ("FDSTORE=1\nFDNAME=new@0@1-2\nFDPOLL=0", [handed[0]]),
        ("FDSTOREREMOVE=1\nFDNAME=old@0@1-2", []),
        ("FDSTOREREMOVE=1\nFDNAME=gone@0@1-4", []),
    ]
    assert [(each.descriptor, each.begun) for each in kept.take("new")] == [(handed[0], 0), (handed[1], 5)]
    kept.drop("new")
    assert [text.partition("=")[2] for text, _ in told[3:]] == ["1\nFDNAME=new@0@1-2", "1\nFDNAME=new@5@1-3"]


def keeps_files_of_names_to_come(store: Callable[..., DescriptorStore], handed: list[int]) -> None:
    """Which logs patterns made only the ledger knows; what is of none goes when that is known."""
    told: list[str] = []
    files = [(handed[0], "shop@0@1-2"), (handed[1], "old@5@1-3"), (handed[2], "no name")]
    kept = store(Supervisor(lambda text, _: told.append(text), None), files, {}, others=True)
    assert told == ["FDSTOREREMOVE=1\nFDNAME=no name"]
    assert [(each.descriptor, each.begun) for each in kept.take("shop")] == [(handed[0], 0)]
    kept.of("shop").drop(position(1, 2)._replace(identity=Identity(1, 2, None)))
    kept.drop("old")
    assert told[1:] == ["FDSTOREREMOVE=1\nFDNAME=shop@0@1-2", "FDSTOREREMOVE=1\nFDNAME=old@5@1-3"]


class KnowsOneName(DescriptorStore):
    """What has another is dropped."""

    def __init__(
        self, supervisor: Supervisor, handed: Iterable[tuple[int, str]], logs: Mapping[str, str]
    ) -> None:
        super().__init__(supervisor, handed, {name: now for name, now in logs.items() if name == now})


class BelievesItKept(DescriptorStore):
    """What was dropped still counts as kept."""

    def drop(self, log: str) -> None:
        before = dict(self._kept.get(log, {}))
        super().drop(log)
        self._kept.setdefault(log, {}).update(before)


FILES = [
    StoredName("access", 0, 2049, 131),
    StoredName("access", 131, 2049, 0),
    StoredName("access", 0, 20491, 31),
    StoredName("a-1.b_2", 1, 2, 3),
    StoredName("a", 11, 2, 3),
    StoredName("a" * 64, 2**64 - 1, 2**64 - 1, 2**64 - 1),
]


OTHERS = [
    *("", "stored", "unknown", "@0@1-2", "access@0@1", "access@0@1-", "access@0@1-2-3", "access@0@1-2\n"),
    *("access@-1@1-2", "access@00@1-2", "access@²@1-2", "a b@0@1-2", f"{'a' * 65}@0@1-2"),
    f"access@{10**20}@1-2",
]


def a_name_tells_its_file(make: Callable[[str, int, int, int], str]) -> None:
    """Each file has its own name, which sd_notify(3) permits and which tells the file; others' are none."""
    names = [make(*file) for file in FILES]
    for name in names:
        assert re.fullmatch(r"[ -9;-~]{1,255}", name)
    assert [parse_stored_name(name) for name in names] == FILES
    assert [name for name in OTHERS if parse_stored_name(name)] == []


# --- what is handed back


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Three open files side by side, which an exec would hand on, and which stand for 3, 4 and 5."""
    descriptors = []
    for number in range(700, 703):
        with (tmp_path / f"{number}").open("w") as file:
            descriptors.append(fcntl.fcntl(file, fcntl.F_DUPFD, number))
    assert descriptors == [700, 701, 702]
    assert systemd.FIRST_HANDED == 3
    monkeypatch.setattr(systemd, "FIRST_HANDED", 700)
    yield [*descriptors]
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def environment_of(count: str = "3", pid: str = "42", names: str | None = "a:b:c") -> dict[str, str]:
    """What systemd sets for process 42."""
    environment = {"LISTEN_FDS": count, "LISTEN_PID": pid}
    return environment if names is None else {**environment, "LISTEN_FDNAMES": names}


Take = Callable[[Mapping[str, str], int], list[tuple[int, str]]]


def hands_each_back(take: Take, handed: list[int]) -> None:
    """Each descriptor comes with its name, and no child inherits it; what is another's stays as it is."""
    assert take(environment_of(pid="43"), 42) == []
    assert [os.get_inheritable(descriptor) for descriptor in handed] == [True, True, True]
    files = [os.fstat(descriptor).st_ino for descriptor in handed]
    taken = take(environment_of(), 42)
    assert [(os.fstat(number).st_ino, name) for number, name in taken] == list(zip(files, "abc", strict=True))
    assert not any(os.get_inheritable(number) for number, _ in taken)
    # The next files, the state directory's lock first of all, get lower numbers.
    assert all(number >= systemd.MOVED_UP for number, _ in taken)
    assert not {*handed} & {number for number, _ in taken}
    for descriptor in handed:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def leaves_inheritable(environment: Mapping[str, str], pid: int) -> list[tuple[int, str]]:
    """Every child would hold the logs open."""
    taken = handed_back(environment, pid)
    for descriptor, _ in taken:
        os.set_inheritable(descriptor, True)
    return taken


def leaves_them_where_they_are(environment: Mapping[str, str], pid: int) -> list[tuple[int, str]]:
    """A log on a file system that hangs would keep the lock of a process that dies."""
    taken = handed_back(environment, pid)
    return [(os.dup2(number, 700 + at, inheritable=False), name) for at, (number, name) in enumerate(taken)]


def takes_from_another(environment: Mapping[str, str], pid: int) -> list[tuple[int, str]]:
    """An environment that was inherited from another process counts."""
    return handed_back({**environment, "LISTEN_PID": str(pid)}, pid)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:c"},
        {"LISTEN_PID": "42", "LISTEN_FDNAMES": "a:b:c"},
        *(environment_of(pid=pid) for pid in ("", "042")),
        *(environment_of(count=count) for count in ("", "-3", "3.0", "9" * 5000)),
        *(environment_of(names=names) for names in (None, "", "a:b", "a:b:c:d")),
        environment_of(count="0", names=""),
        environment_of(count="²", names="a:b"),
        environment_of(count="4", names="a:b:c:closed"),
    ],
)
@pytest.mark.usefixtures("handed")
def test_an_ill_formed_environment_hands_over_nothing(environment: dict[str, str]) -> None:
    assert handed_back(environment, 42) == []


# --- each with its twins

# What comes back is called `stored`, and cannot be dropped alone.
KeepsNameless = twin(
    Supervisor, "KeepsNameless", "keep", instead=lambda self, number, _: self._notify("FDSTORE=1", number)
)
# Without its name, what is to be removed is anybody's.
DropsAll = twin(Supervisor, "DropsAll", "drop", instead=lambda self, _: self._notify("FDSTOREREMOVE=1"))
# Forgets what it had systemd keep.
StaysInTheStore = twin(
    DescriptorStore, "StaysInTheStore", "drop", instead=lambda self, log: self._kept.pop(log, None)
)

test_promise, test_twin = promises(
    Promise(keeps_and_drops_by_name, Supervisor, [KeepsNameless, DropsAll]),
    Promise(keeps_nothing_of_a_log_that_went, DescriptorStore, [StaysInTheStore, BelievesItKept]),
    Promise(keeps_a_file_under_its_logs_new_name, DescriptorStore, [KnowsOneName]),
    Promise(
        keeps_files_of_names_to_come,
        DescriptorStore,
        {"named ones": lambda supervisor, files, names, **_: DescriptorStore(supervisor, files, names)},
    ),
    Promise(
        a_name_tells_its_file,
        stored_name,
        {
            "another separator": "{}@{}@{}:{}".format,
            "no beginning": "{0}@{2}-{3}".format,
            "nothing between the numbers": "{}@{}@{}{}".format,
            "zeros": "{}@{:020}@{:020}-{:020}".format,
        },
    ),
    Promise(
        hands_each_back, handed_back, [leaves_inheritable, leaves_them_where_they_are, takes_from_another]
    ),
)


def test_a_stored_name_is_the_same_in_every_version() -> None:
    assert stored_name("access", 512, 2049, 131) == "access@512@2049-131"
