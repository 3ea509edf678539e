"""What rotations make of a log's name."""

import os
import re

from qps_service.files.compression import COMPRESSIONS

_ROTATED = r"[.\-_]\d[\dTZ.:_\-]*"
_WORDS = r"\.(?:old|prev|bak|rotated)"
_COMPRESSED = tuple(each.suffix for each in COMPRESSIONS)


def is_sibling(base: str, name: str) -> bool:
    """Whether `name` is what a rotation may make of the log named `base`, compressed or not.

    `access.log` becomes access.log.1, access.log-20261123, access.log.1726000000.2, access.log.old,
    or, with the extension kept, access-20261123.log and access.1.log; each may get .gz and the like.
    A name without a digit, such as access.log.lock or access.log-errors, is another log; so is
    access2.log. The compressed log itself, access.log.gz, is none: nobody compresses what is written to.
    """
    name = plain_name(name)
    if re.fullmatch(re.escape(base) + rf"(?:{_ROTATED}|{_WORDS})", name):
        return True
    stem, extension = os.path.splitext(base)
    return bool(extension and re.fullmatch(re.escape(stem) + _ROTATED + re.escape(extension), name))


def is_compressed(name: str) -> bool:
    """Whether the name is that of a compressed file."""
    return name.endswith(_COMPRESSED)


def plain_name(name: str) -> str:
    """What a compressed file was called before it was compressed; other names as they are."""
    return os.path.splitext(name)[0] if is_compressed(name) else name
