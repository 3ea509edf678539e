"""Names of metrics in Ganglia, and other texts that are safe there. Pure.

gmond takes names as they come: a `"`, `<` or `&` breaks its XML for every host that it knows. gmetad makes
file names of them: a `/` breaks the RRD files of the whole host, and `../` leaves their directory. Here a
name is `qps_<log>_<route>_<status>` of letters, digits, `_`, `.` and `-`, whatever a route holds, and
distinct metrics have distinct names.

A name depends on its log, route and status alone, so it is the same in every process, whichever came first.
A `/` is written as `_`, a `_` as two, a placeholder's `:` as `-`, where the route can be read back from that:

    access  /                  200   qps_access_root_200
    access  /help              200   qps_access_help_200
    access  /api/user_profile  404   qps_access_api_user__profile_404
    access  /users/:id         200   qps_access_users_-id_200
    access  other              200   qps_access_other_200
    access  (all routes)             qps_access_total, qps_access_p50, _p95, _p99

Every other route, and one that is too long, keeps of its text what can be kept, with three `_` and a hash
behind it, which those above never have: `/a//b` becomes `qps_access_a_b___<16 hex digits>_200`.
"""

import re

from qps_service.text.escape import show
from qps_service.values.counts import OTHER

MOST = 200  # bytes; with `.rrd` it is a file name, of which 255 are allowed
# What stands behind the name of a counter; no other name ends so.
COUNT = "_count"
_ROOM = MOST - len(COUNT)

# No segment is empty, or begins or ends with `_`: a run of `_` in a name is one `/`, or a `_` for each two.
# None begins with `-`, which stands for a placeholder's `:`.
_PLAIN = re.compile(rb"(?:/(?::(?!_)|(?![_-]))[A-Za-z0-9_.-]*[A-Za-z0-9.-])+")
_SPECIAL = {b"/": "root", OTHER: "other"}  # `/root` and `/other` have a hash
_OUTSIDE = re.compile(r"[^A-Za-z0-9.-]+")
# gmetad hands titles on as they came, to pages and to the shell of who makes graphs: no escaping helps there.
_UNSAFE_IN_TITLE = re.compile(r"[^A-Za-z0-9 _./~+=@,-]")
_TITLE = 200  # characters; an element of gmond's XML has room for five times that
_UNSAFE_IN_HOST = re.compile(r"[^A-Za-z0-9_.:-]")


def name_of(log: str, route: bytes | None = None, status: int = 0, quantile: int = 0) -> str:
    """The name of a route's metric with one status, or, without a route, of all the log's requests: of how
    many there are, or how long so many of a thousand took."""
    end = "total" if route is None else f"{status:03d}"
    if quantile:
        end = f"p{quantile // 10}"
    if (plain := _plain(log, route)) and len(name := f"qps_{plain}_{end}") <= _ROOM:
        return name
    text = _OUTSIDE.sub("_", (route or b"").decode("ascii", "replace")).strip("_")
    end = f"___{_hash(log, route, status)}_{end}"
    return "_".join(filter(None, ("qps", log.rstrip("_"), text)))[: _ROOM - len(end)].rstrip("_") + end


def title_of(route: bytes | None, status: int) -> str:
    """What is shown for it, at most 200 characters; different routes may look alike in it."""
    text = "all routes" if route is None else f"{show(route[:_TITLE])[: _TITLE - 4]} {status:03d}"
    return _UNSAFE_IN_TITLE.sub("_", text)


def safe_host(text: str) -> str:
    """A host's name without what no host's name has."""
    return _UNSAFE_IN_HOST.sub("_", text)


def _plain(log: str, route: bytes | None) -> str | None:
    """Log and route, in a form that they can be read back from, if they have one."""
    if log.endswith("_"):
        return None
    parts = [log]
    if route in _SPECIAL:
        parts.append(_SPECIAL[route])
    elif route is not None:
        if not _PLAIN.fullmatch(route) or route[1:].decode() in _SPECIAL.values():
            return None
        parts += route[1:].decode().replace(":", "-").split("/")
    return "_".join(part.replace("_", "__") for part in parts)


def _hash(log: str, route: bytes | None, status: int) -> str:
    """64 bits: whoever sends requests chooses routes, and shall not find one with the name of another."""
    # What hashlib takes it from; hashlib itself would cost 4 MB for OpenSSL.
    from _blake2 import blake2b

    # A log's name has no line breaks.
    what = f"{log}\n{'' if route is None else status}\n".encode() + (route or b"")
    return blake2b(what, digest_size=8).hexdigest()
