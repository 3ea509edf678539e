"""gmond's packets: what a metric is, and its value. Pure.

Both begin with a number that tells them apart, then the host, the metric's name, and whether the host is
another than the sender (`spoof`). All is in XDR: big-endian, in steps of four bytes (RFC 4506). The
structures are those of Ganglia's lib/gm_protocol.x since 3.1; tests hold the bytes against the real
gmetric's.

    metadata (gmetadata_full)  128 host name spoof | type name units slope tmax dmax | (key value)...
    value (gmetric_string)     133 host name spoof | "%s" text

gmond prints these strings into its XML as they came: keep `"`, `<` and `&` out of them. An element of its
XML has room for 1,023 bytes, and a packet for 1,472.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_METADATA = (128).to_bytes(4)
_VALUE = (133).to_bytes(4)

# From one poll to the next a metric...
POSITIVE = 1  # ...only grows, and gmetad shows how fast (RRDtool's COUNTER, which takes whole numbers alone)
BOTH = 3  # ...changes as it likes


class Origin(NamedTuple):
    """Whose metrics they are."""

    host: str  # where `spoof`: address and name, with a colon between
    spoof: bool  # whether gmond is to take this for the sender, and not who it sees


class Metric(NamedTuple):
    """What gmond has to know of a metric; all text is ASCII."""

    name: str
    units: str
    slope: int  # POSITIVE or BOTH
    tmax: int  # seconds from one value to the next, at most
    dmax: int  # seconds after the last metadata when gmond forgets it
    extra: Sequence[tuple[str, str]]  # GROUP, DESC, TITLE


def metadata(origin: Origin, metric: Metric) -> bytes:
    """Announces a metric, a number. gmond shows no value of a metric that was not announced."""
    # The real gmetric tells of a spoofed host here, too.
    extra = [*metric.extra, *([("SPOOF_HOST", origin.host)] if origin.spoof else [])]
    numbers = (metric.slope, metric.tmax, metric.dmax, len(extra))
    return b"".join(
        (
            _METADATA,
            _identity(origin, metric.name),
            _constant("double"),
            _string(metric.name),
            _constant(metric.units),
            *(number.to_bytes(4) for number in numbers),
            *(_string(text) for pair in extra for text in pair),
        )
    )


def value(origin: Origin, name: str, text: str) -> bytes:
    """The current value of a metric, as text."""
    return _VALUE + _identity(origin, name) + _constant("%s") + _string(text)


def _identity(origin: Origin, name: str) -> bytes:
    return _constant(origin.host) + _string(name) + origin.spoof.to_bytes(4)


def _string(text: str) -> bytes:
    raw = text.encode("ascii")
    return len(raw).to_bytes(4) + raw + bytes(-len(raw) % 4)


_constant = lru_cache(8)(_string)  # for what is in nearly every packet
