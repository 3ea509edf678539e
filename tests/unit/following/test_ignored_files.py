"""Files that are not to be read are known again, and memory of them is bounded."""

from typing import Any

from qps_service.files.kernel import Seen
from qps_service.following.ignored_files import IGNORED_LIMIT, IgnoredFiles
from qps_service.values.positions import Identity, IgnoredFile
from tests.limits import Doubled
from tests.promised import Promise, promises, twin

SIZE, MODIFIED, CHANGED = 500, 1_000, 2_000


def seen(
    device: int, inode: int, *, size: int = SIZE, modified: int = MODIFIED, changed: int = CHANGED
) -> Seen:
    return Seen(device, inode, size, modified, changed, True, "-rw-r-----", 0, 0)


def ignored(
    device: int, inode: int, version: int | None, *, digest: bytes = b"", size: int = SIZE
) -> IgnoredFile:
    return IgnoredFile(device, inode, version, CHANGED, size, MODIFIED, digest)


def known_under_another_number(make: Any, *, version: int | None) -> None:
    """Its device was numbered anew: by the inode's version, or else by size and time."""
    files = make([ignored(1, 5, version)])
    assert files.recall(Identity(2, 5, version), seen(2, 5))
    assert not files.recall(Identity(2, 6, version), seen(2, 6))
    if version is None:
        assert not files.recall(Identity(2, 5, None), seen(2, 5, size=SIZE + 1))
        assert not files.recall(Identity(2, 5, None), seen(2, 5, modified=MODIFIED + 1))
    else:
        assert not files.recall(Identity(2, 5, version + 1), seen(2, 5))


def known_beside_a_namesake(make: Any, *, version: int | None) -> None:
    """A file on another disk has the same inode number: that one was looked at later."""
    files = make([ignored(1, 5, version), ignored(2, 5, 77, size=9)])
    assert files.recall(Identity(1, 5, version), seen(1, 5))
    assert files.recall(Identity(2, 5, 77), seen(2, 5, size=9))
    assert not files.recall(Identity(1, 5, 78), seen(1, 5))


def counted_once_when_renumbered(make: Any, *, version: int | None) -> None:
    """What is looked at under its new number is one file; others stay."""
    files = make([ignored(1, 5, version), ignored(1, 6, version)])
    files.add(ignored(2, 5, version))
    assert {each[:2] for each in files.all()} == {(2, 5), (1, 6)}
    files.add(ignored(2, 6, version, size=9) if version is None else ignored(2, 6, 78))
    assert {each[:2] for each in files.all()} == {(2, 5), (1, 6), (2, 6)}


def known_by_its_text(make: Any) -> None:
    """Whatever its numbers; of a file that was written anew, by the new one alone."""
    files = make([ignored(1, 5, 7, digest=b"one")])
    assert files.has_text(b"one")
    files.add(ignored(1, 5, 7, digest=b"two"))
    assert files.has_text(b"two")
    assert not files.has_text(b"one")
    assert not files.has_text(b"")


def forgotten_when_too_many(make: Any) -> None:
    files = make()
    files.bound(3)
    for number in range(9):
        files.add(ignored(1, number, 7, digest=b"%d" % number))
        files.add(ignored(1, 100, number, digest=b"rewritten %d" % number))
    assert {each.inode for each in files.all()} == {7, 8, 100}
    assert not files.recall(Identity(1, 6, 7), seen(1, 6))
    assert not files.has_text(b"6")
    assert len(files._by_digest) == len(files._by_inode) == 3


def bounded(make: Any) -> None:
    files = make()
    for number in range(IGNORED_LIMIT + 5):
        files.add(ignored(1, number, 7))
    assert len(files.all()) == IGNORED_LIMIT


def told_when_it_changed(make: Any) -> None:
    """The ledger gets all, and only where something is new."""
    files = make([ignored(1, 5, 7)])
    assert files.take() is None
    files.add(ignored(1, 5, 7))
    assert files.take() is None
    files.add(ignored(1, 6, 7))
    assert files.take() == (ignored(1, 5, 7), ignored(1, 6, 7))
    assert files.take() is None
    assert files.is_unchanged(seen(1, 5))
    assert not files.is_unchanged(seen(1, 5, changed=CHANGED + 1))


ByDevice = twin(IgnoredFiles, "ByDevice", "recall", instead=lambda self, identity, _: self.has(identity))
ByInode = twin(
    IgnoredFiles, "ByInode", "recall", instead=lambda self, identity, _: identity.inode in self._by_inode
)
KeepsTexts = twin(
    IgnoredFiles, "KeepsTexts", "_drop", instead=lambda self, ignored: self._files.pop(ignored[:2], None)
)
KeepsRenumbered = twin(
    IgnoredFiles, "KeepsRenumbered", "add", instead=lambda self, ignored: self._put(ignored)
)
AlwaysNews = twin(IgnoredFiles, "AlwaysNews", "take", instead=IgnoredFiles.all)


class ByTheLatest(IgnoredFiles):
    """Looks at the last file with an inode number alone."""

    def recall(self, identity: Identity, seen: Seen) -> bool:
        known = self._by_inode.get(identity.inode)
        return known is not None and known.version == identity.version


test_known_again, test_twin = promises(
    *(
        Promise(check, IgnoredFiles, twins, version=version, label=str(version))
        for check, twins in (
            (known_under_another_number, [ByDevice, ByInode]),
            (known_beside_a_namesake, [ByTheLatest, ByInode]),
            (counted_once_when_renumbered, [KeepsRenumbered]),
        )
        for version in (7, None)
    ),
    Promise(known_by_its_text, IgnoredFiles, [KeepsTexts]),
    Promise(forgotten_when_too_many, IgnoredFiles, [KeepsTexts]),
    Promise(bounded, IgnoredFiles, [Doubled("following.ignored_files:IGNORED_LIMIT")]),
    Promise(told_when_it_changed, IgnoredFiles, [AlwaysNews]),
)
