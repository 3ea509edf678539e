"""What rotations make of a log's name."""

import os
import re
from collections.abc import Iterable
from functools import lru_cache

from qps_service.files.compression import COMPRESSIONS
from qps_service.files.dated_names import dated, is_dated

MARKS = "-._"  # one of them follows what a log's name has before its extension, in the name of each rotation
_ROTATED = r"[.\-_]\d[\dTZ.:_\-]*(?<!\.Z)"  # .Z is what compress(1) makes
_WORDS = r"\.(?:old|prev|bak|rotated)"
_BASES = 4096  # logs whose patterns are kept
_COMPRESSED = tuple(each.suffix for each in COMPRESSIONS)


def is_sibling(base: str, name: str) -> bool:
    """Whether `name` is what a rotation may make of the log named `base`, compressed or not.

    `access.log` becomes access.log.1, access.log-20261123, access.log.1726000000.2, access.log.old,
    or, with the extension kept, access-20261123.log and access.1.log; each may get .gz and the like.
    A name without a digit, such as access.log.lock or access.log-errors, is another log; so is
    access2.log. The compressed log itself, access.log.gz, is none: nobody compresses what is written to.
    Of a `base` with a date, access-%Y-%m-%d.log, all that it stands for are, and what becomes of these.
    """
    return bool(siblings(base, [name]))


def siblings(base: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that are one of its. A directory may have thousands, and hundreds of logs that ask."""
    stem, rotated = _rotated(base)
    return [name for name in names if name.startswith(stem) and rotated.fullmatch(plain_name(name))]


def is_compressed(name: str) -> bool:
    """Whether the name is that of a compressed file."""
    return name.endswith(_COMPRESSED)


def plain_name(name: str) -> str:
    """What a compressed file was called before it was compressed; other names as they are."""
    return os.path.splitext(name)[0] if is_compressed(name) else name


def stands_for(path: str, other: str) -> int:
    """Whether a path with dates stands for another one, or for what a rotation made of its file: how many
    characters of the name, without its extension and what a rotation added. Of several paths, the one with
    most has it: a-2026-10.log is of a-%Y-%m.log, and no rotation of a-%Y.log's a-2026.log."""
    *folders, base = path.split(os.sep)
    *others, name = other.split(os.sep)
    plain, (stem, rotated) = plain_name(name), _rotated(base)
    if len(folders) != len(others) or not (name == base or is_sibling(base, name)):
        return 0
    if not all(dated(one).is_one(each) for one, each in zip(folders, others, strict=True)):
        return 0
    found = rotated.fullmatch(plain) if is_dated(base) else None
    return len(found["own"] if found else stem)


def stem_of(base: str) -> str:
    """How all its siblings begin."""
    return dated(base).begins if is_dated(base) else os.path.splitext(base)[0]


@lru_cache(_BASES)
def _rotated(base: str) -> tuple[str, re.Pattern[str]]:
    """How the rotated names of the log named `base` begin, and what they are when they are not compressed."""
    stem, extension = os.path.splitext(base)
    if is_dated(base):
        if is_dated(extension):
            stem, extension = base, ""
        between = rf"(?:{_ROTATED})?" if extension else ""
        pattern = rf"(?P<own>{dated(stem).pattern}){between}{re.escape(extension)}(?:{_ROTATED}|{_WORDS})?"
        return dated(base).begins, re.compile(pattern, re.ASCII)
    pattern = rf"{re.escape(base)}(?:{_ROTATED}|{_WORDS})"
    if extension:
        pattern += rf"|{re.escape(stem)}{_ROTATED}{re.escape(extension)}"
    return stem, re.compile(pattern)
