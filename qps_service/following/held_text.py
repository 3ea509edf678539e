"""A file that has the text of one that is open: a mirror, an edited copy, or that very file on another
device.

What the open one holds is read there, to its end, by its own descriptor; the other file begins after it.
"""

from collections.abc import Callable, Iterable

from qps_service.files.fingerprint import Match, common, compare, fingerprint_of
from qps_service.files.kernel import Files
from qps_service.files.recognition import (
    HELD_LIMIT,
    KnownPart,
    best_part,
    known_part,
    line_start,
    part_of,
    tail_of,
)
from qps_service.files.sources import Source, common_start
from qps_service.following.change import Change, Look, decide
from qps_service.following.generation import Generation
from qps_service.following.known_files import KnownFiles
from qps_service.values.positions import Identity, Position


def is_renumbered(generation: Generation, identity: Identity, source: Source) -> bool:
    """Whether a file is the one that is open, on a device that got another number with a mount."""
    held = generation.identity
    if held.device == identity.device or held[1:] != identity[1:]:
        return False
    # Where nothing but the inode's number is the same, all of the text must be, too.
    return identity.version is not None or compare(generation.position, source.read) is Match.FULL


def part_of_held(
    files: Files, generation: Generation, identity: Identity, source: Source, *, anew: bool = False
) -> KnownPart | None:
    """How much of a file stands in one that is open, and is read there. `anew`: whether it was created where
    the log is."""
    original, size = generation.source, source.seen().size
    was_cut = is_cut(generation.position, original)
    # What was read of it before that, or what is read there next.
    former = part_of(generation.position, source.read, size, anew=anew) if was_cut else None
    agreed = 0 if was_cut else common(generation.position, source.read)
    if agreed or was_cut:
        agreed = common_start(original, source, agreed)
    if not was_cut and is_renumbered(generation, identity, source):
        return KnownPart(line_start(source.read, agreed))
    if not agreed and (anew or was_cut):
        return former
    end = line_start(original.read, original.seen().size)
    part = known_part(
        source.read,
        size,
        agreed=agreed,
        compared=agreed,
        tail=tail_of(original.read, end, limit=HELD_LIMIT),
        end=end,
        has_name=has_name(files, generation),
        anew=anew,
    )
    return best_part([former, part])


def part_of_any(
    files: Files,
    known_files: KnownFiles,
    held: Iterable[Generation],
    identity: Identity,
    source: Source,
    *,
    has_name: Callable[[Position], bool],
    anew: bool = False,
) -> KnownPart | None:
    """How much of a file stands in those that are open, or was read before. `has_name` tells whether a file
    that was let go is still there; `anew` as above."""
    parts = [part_of_held(files, each, identity, source, anew=anew) for each in held]
    return best_part([*parts, known_files.known_part(source.read, source.seen().size, has_name, anew=anew)])


def begin_at(source: Source, fresh: Position, offset: int) -> Position:
    """`fresh` with everything before `offset` left out."""
    prefix, marker, marks = fingerprint_of(source.read, offset)
    tail = tail_of(source.read, offset)
    return fresh._replace(offset=offset, begun=offset, prefix=prefix, marker=marker, marks=marks, tail=tail)


def has_name(files: Files, generation: Generation) -> bool:
    """Whether an open file can be found, under the name that the kernel tells: not so where it was deleted,
    or its file system was unmounted."""
    path = generation.source.path()
    return path is not None and files.is_at(path, generation.key)


def is_cut(held: Position, source: Source) -> bool:
    """Whether what was read of the file does not stand in it any longer."""
    seen, back = source.seen(), len(held.marker)
    look = Look(*seen.key, seen.size, source.read(back, held.offset - back))
    return decide(held, look) is Change.TRUNCATED
