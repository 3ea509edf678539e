"""From the raw request target to the route that is counted.

One rule so far: the query string and the fragment are dropped, because `/search?q=a` and
`/search?q=b` are one route, and because whoever sends requests chooses the query.
"""

import re

_ROUTE_END = re.compile(rb"[?#]")


def route_of(target: bytes) -> bytes:
    """`target` up to its first `?` or `#`; a target that is nothing else stays as it is."""
    return _ROUTE_END.split(target, maxsplit=1)[0] or target
