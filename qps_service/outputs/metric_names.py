"""Text that an attacker may have written -> a name that a monitoring system takes. Pure.

Promise: a name has allowed characters alone, is never empty and never longer than its limit. It depends on
its text and nothing else, so that it stays the same whatever else there is, and after a restart. Two texts
never share a name, but for one chance in 2^32.

    /help         _help                    each / becomes _
    /user/:id     _user_-id                each /: becomes _-, for placeholders
    /my_page      _my__page                each _ becomes __
    /a.b          _a_b-38bbc83b            any other byte becomes _, and a hash follows

The hash follows wherever the text can't be read back from the name: where a byte was lost, where the name
had to be cut, and in the odd cases (`/-id`, `//`) that would look like others. A name that ends by itself as
if it had one gets one. So it is with flat names; others keep / where it is allowed, and _, and /: becomes /-.
"""

import re
from zlib import crc32

from qps_service.values.counts import Counted

_HASHED = re.compile(rb"-[0-9a-f]{8}\Z")
_HASH_LENGTH = 9  # with its dash

_FLAT = ((b"_", b"__"), (b"/:", b"_-"), (b"/", b"_"))
_DEEP = ((b"/:", b"/-"),)


class Alphabet:
    """The characters that a system takes in a name, and how many."""

    def __init__(self, allowed: str, limit: int, *, flat: bool) -> None:
        """`allowed` is a class of ASCII characters as in a regular expression, with `_`, `-`, `0-9` and `a-f`
        among them; `limit` is in characters; `flat`, whether / becomes _."""
        is_allowed = re.compile(f"[{allowed}]".encode()).fullmatch
        self._table = bytes(each if is_allowed(bytes([each])) else ord("_") for each in range(256))
        self.limit = limit
        self._written = _FLAT if flat else _DEEP
        back = {name: text for text, name in self._written}
        self._back = lambda found: back[found[0]]
        self._pairs = re.compile(b"|".join(map(re.escape, back)))

    def spell(self, text: bytes) -> str:
        """The name of `text`."""
        name = text
        for raw, written in self._written:
            name = name.replace(raw, written)
        name = name.translate(self._table)
        is_clear = self._pairs.sub(self._back, name) == text and not _HASHED.search(name)
        if not name or not is_clear or len(name) > self.limit:
            # A checksum will do: who makes two routes share a name could have asked for the other at once.
            name = (name or b"_")[: self.limit - _HASH_LENGTH] + b"-%08x" % crc32(text)
        return name.decode("ascii")


# Between dots. Graphite makes files of these, whose names may have 255 bytes; lines of StatsD are to fit into
# datagrams, several into one.
_WORD = Alphabet("A-Za-z0-9_-", 64, flat=False)
_ROUTE = Alphabet("A-Za-z0-9_-", 150, flat=True)


def path_of_log(prefix: str, log: str) -> str:
    """What the names of a log's metrics begin with, in StatsD and Graphite."""
    return f"{prefix}.{_WORD.spell(log.encode())}"


def path_of_key(log: str, key: Counted) -> str:
    """What the names of one key's metrics begin with; `log` is its log's path."""
    return f"{log}.{_WORD.spell(key.method)}.{_ROUTE.spell(key.route)}.{key.status:03d}"
