"""Whether a file that is no log of its own is a log's: one that it had, or a copy of its text.

Asked of a file that a pattern of names found, before it is followed as another log. Its name tells nothing:
app-2.log may be a rotation of app.log, or another application's.
"""

from collections.abc import Iterable
from contextlib import suppress

from qps_service.files.fingerprint import begins_alike
from qps_service.files.kernel import Files, Seen
from qps_service.files.recognition import TAIL_LIMIT, is_proven, proves
from qps_service.files.sources import Source, open_seen
from qps_service.following.generation import Generation
from qps_service.following.known_files import KnownFiles, Resemblance
from qps_service.following.read_texts import are_alike


def is_kin(
    files: Files,
    known_files: KnownFiles,
    held: Iterable[Generation],
    path: str,
    seen: Seen,
    *,
    by_text: bool,
) -> bool | None:
    """Whether the file at `path` is held, or was read, or with `by_text` has the text of one that is or was;
    None where it has no whole line yet, or one that proves nothing."""
    held = tuple(held)
    if any(generation.key == seen.key for generation in held):
        return True
    if not by_text and not known_files.knows(seen):
        return False
    if (opened := open_seen(files, path, seen)) is None:
        return None
    source, identity = opened
    try:
        recalled = known_files.recall(identity, source.seen().size, source.read)
        # Without a version and a text it has but an inode's number of a file that was read.
        if recalled and (recalled.position.offset or identity.version is not None):
            return True
        return _has_text(known_files, held, source) if by_text else False
    except OSError:
        return None
    finally:
        with suppress(OSError):
            source.close()


def _has_text(known_files: KnownFiles, held: Iterable[Generation], source: Source) -> bool | None:
    start = source.read(TAIL_LIMIT, 0)
    if b"\n" not in start:
        return None
    resemblance, _ = known_files.resembles(source.read, lambda _: True)
    if resemblance in (Resemblance.COPY, Resemblance.CONTINUED):
        return True
    is_alike = resemblance is Resemblance.ALIKE
    for generation in held:
        alike = are_alike(source.read, generation.source.read)
        if alike or begins_alike(generation.position, source.read):
            if is_proven(source.read, generation.position) or proves(start):
                return True
            is_alike = True
    return None if is_alike else False
