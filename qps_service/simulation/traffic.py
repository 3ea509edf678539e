"""The requests of a made-up log: drawn at random, the same for the same seed, in batches or not."""

from itertools import accumulate, product
from random import Random
from typing import NamedTuple

from qps_service.formats.presets import Field, LogFormat
from qps_service.values.counts import Key

METHODS = {b"GET": 95, b"POST": 5}  # name -> weight, here and below
ROUTES = {b"/": 50, b"/library": 20, b"/blog": 20, b"/questions": 5}
STATUSES = {200: 90, 404: 5, 500: 1}
SIZES = range(64, 1025)  # bytes of a response

KINDS = tuple(Key(*names) for names in product(METHODS, ROUTES, STATUSES))
WEIGHTS = tuple(METHODS[kind.method] * ROUTES[kind.route] * STATUSES[kind.status] for kind in KINDS)

# Lines drawn at once: enough that the set-up of a draw costs nothing a line, few enough (1 ms of
# work) that drawing holds up neither a rotation nor a signal.
BLOCK = 1024


class Block(NamedTuple):
    """Lines and what each of them is, side by side."""

    kinds: list[int]  # indexes into KINDS
    sizes: list[int]  # bytes of the response
    lines: list[bytes]  # with their newlines


class Traffic:
    """The requests, drawn at random. Fields of the format that it knows nothing of are `-`."""

    def __init__(self, log_format: LogFormat, random: Random) -> None:
        self._random = random
        self._cumulated = list(accumulate(WEIGHTS))
        self._renderers = [_template(log_format, kind).format for kind in KINDS]

    def block(self) -> Block:
        """The next BLOCK lines."""
        kinds = self._random.choices(range(len(KINDS)), cum_weights=self._cumulated, k=BLOCK)
        sizes = self._random.choices(SIZES, k=BLOCK)
        octets = iter(self._random.randbytes(4 * BLOCK))
        addresses = zip(octets, octets, octets, octets, strict=True)
        render = self._renderers
        lines = [
            render[kind](*address, size).encode()
            for kind, address, size in zip(kinds, addresses, sizes, strict=True)
        ]
        return Block(kinds, sizes, lines)


def _template(log_format: LogFormat, kind: Key) -> str:
    """For `str.format`: the address's four bytes are arguments 0 to 3, the size is 4."""
    method, route = kind.method.decode(), kind.route.decode()
    slots = {
        **dict.fromkeys(("ip_address", "remote_addr", "%a", "%h"), "{0}.{1}.{2}.{3}"),
        "method": method,
        "route": route,
        "request": f"{method} {route} HTTP/1.1",
        "status": str(kind.status),
        "bytes": "{4}",
        "host": "example.org",
    }
    pieces = (
        slots.get(piece.role or piece.name, "-")
        if isinstance(piece, Field)
        else piece.decode().replace("{", "{{").replace("}", "}}")
        for piece in log_format.written
    )
    return "".join(pieces) + "\n"
