"""Which methods are told apart. Pure.

Promise: a registered method always has a place, whatever came before it; of the names that clients invent at
most INVENTED_LIMIT have one, and none of theirs is a registered one's. A name is for good: those that an
earlier process counted under keep theirs, be they more. All others are OTHER.
"""

from collections.abc import Iterable

from qps_service.values.counts import OTHER

# IANA's HTTP Method Registry (https://www.iana.org/assignments/http-methods), and `-`, which logs have where
# the server could not read the request.
REGISTERED = frozenset(
    b"""
    ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY
    MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND PROPPATCH PUT
    QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF
    VERSION-CONTROL -
    """.split()
)
# A cache's PURGE and BAN, say. Each multiplies rows, and scanners try any number.
INVENTED_LIMIT = 8
INVENTED_LENGTH = 32  # bytes; the longest registered one has 17


class Methods:
    """The names that methods are counted under."""

    def __init__(self, known: Iterable[bytes] = ()) -> None:
        """`known` were counted under before."""
        # Each name to itself: what is kept is one object, however many rows it is in.
        self._names = {method: method for method in (OTHER, *REGISTERED)}
        self._names.update((method, self._names.get(method, method)) for method in known)

    def of(self, method: bytes) -> bytes:
        """The name for a request with this method."""
        if found := self._names.get(method):
            return found
        invented = len(self._names) - len(REGISTERED) - 1
        if invented >= INVENTED_LIMIT or len(method) > INVENTED_LENGTH:
            return OTHER
        return self._names.setdefault(method, method)
