"""The requests of a made-up log: drawn at random, the same for the same seed, in batches or not."""

from collections.abc import Sequence
from itertools import accumulate, product
from math import log
from random import Random
from typing import NamedTuple

from qps_service.formats.durations import UNITS
from qps_service.formats.presets import Field, LogFormat
from qps_service.values.counts import Key

METHODS = {b"GET": 95, b"POST": 5}  # name -> weight, here and below
ROUTES = {b"/": 50, b"/library": 20, b"/blog": 20, b"/questions": 5}
STATUSES = {200: 90, 404: 5, 500: 1}
SIZES = range(64, 1025)  # bytes of a response

KINDS = tuple(Key(*names) for names in product(METHODS, ROUTES, STATUSES))
WEIGHTS = tuple(METHODS[kind.method] * ROUTES[kind.route] * STATUSES[kind.status] for kind in KINDS)

# How long requests take: log-normal, around a median in microseconds, as times of servers are.
MEDIANS = {b"/": 20_000, b"/library": 80_000, b"/blog": 45_000, b"/questions": 250_000}
FACTORS = {2: 1.0, 4: 0.3, 5: 4.0}  # of the median, by class of status
SPREAD = 0.7  # the standard deviation of its logarithm
LOCATIONS = tuple(log(MEDIANS[kind.route] * FACTORS[kind.status // 100]) for kind in KINDS)

# Lines drawn at once: enough that the set-up of a draw costs nothing a line, few enough (1 ms of
# work) that drawing holds up neither a rotation nor a signal.
BLOCK = 1024


class Block(NamedTuple):
    """Lines and what each of them is, side by side."""

    kinds: list[int]  # indexes into KINDS
    sizes: list[int]  # bytes of the response
    lines: list[bytes]  # with their newlines
    durations: Sequence[int] = ()  # nanoseconds; none where the format has no field for them


class Traffic:
    """The requests, drawn at random. Fields of the format that it knows nothing of are `-`."""

    def __init__(self, log_format: LogFormat, random: Random) -> None:
        self._random = random
        self._cumulated = list(accumulate(WEIGHTS))
        self._renderers = [_template(log_format, kind).format for kind in KINDS]
        pieces = [piece for piece in log_format.written if isinstance(piece, Field)]
        names = {member.path.decode(): member.unit for member in log_format.members if member.unit}
        units = [piece.unit or names.get(piece.name) for piece in pieces if piece.role == "duration"]
        self._unit = units[0] if units else None

    def block(self) -> Block:
        """The next BLOCK lines."""
        kinds = self._random.choices(range(len(KINDS)), cum_weights=self._cumulated, k=BLOCK)
        sizes = self._random.choices(SIZES, k=BLOCK)
        octets = iter(self._random.randbytes(4 * BLOCK))
        addresses = zip(octets, octets, octets, octets, strict=True)
        render = self._renderers
        durations = self._durations(kinds) if self._unit else []
        took = [_in_unit(duration, self._unit) for duration in durations] if self._unit else [""] * BLOCK
        lines = [
            render[kind](*address, size, text).encode()
            for kind, address, size, text in zip(kinds, addresses, sizes, took, strict=True)
        ]
        return Block(kinds, sizes, lines, durations)

    def _durations(self, kinds: Sequence[int]) -> list[int]:
        """Nanoseconds, in whole microseconds."""
        draw = self._random.lognormvariate
        return [1000 * int(draw(LOCATIONS[kind], SPREAD)) for kind in kinds]


def _in_unit(duration: int, unit: str) -> str:
    """As a number of this unit."""
    zeros = UNITS[unit]
    whole, rest = divmod(duration, 10**zeros)
    return f"{whole}.{rest:0{zeros}d}"[: -3 or None] if zeros > 3 else f"{whole}"


def _template(log_format: LogFormat, kind: Key) -> str:
    """For `str.format`: the address's four bytes are arguments 0 to 3, the size is 4, how long it took 5."""
    method, route = kind.method.decode(), kind.route.decode()
    slots = {
        **dict.fromkeys(("ip_address", "remote_addr", "%a", "%h"), "{0}.{1}.{2}.{3}"),
        "method": method,
        "route": route,
        "request": f"{method} {route} HTTP/1.1",
        "status": str(kind.status),
        "bytes": "{4}",
        "host": "example.org",
        "duration": "{5}",
    }
    pieces = (
        slots.get(piece.role or piece.name, "-")
        if isinstance(piece, Field)
        else piece.decode().replace("{", "{{").replace("}", "}}")
        for piece in log_format.written
    )
    return "".join(pieces) + "\n"
