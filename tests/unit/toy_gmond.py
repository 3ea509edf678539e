"""What gmond knows, shows and forgets. tests/fault/test_ganglia.py holds the real one to the same."""

from typing import NamedTuple

SECOND = 1_000_000_000


class Known(NamedTuple):
    """What was announced of a metric."""

    units: str
    slope: int
    tmax: int
    dmax: int
    extra: dict[str, str]
    at: int  # nanoseconds


class ToyGmond:
    """Takes packets; the clock is the test's."""

    def __init__(self) -> None:
        self.metadata: dict[str, Known] = {}
        self.values: dict[str, str] = {}
        self.hosts: set[tuple[str, bool]] = set()
        self.announced = 0  # metadata packets since the last restart

    def take(self, packet: bytes, now: int) -> str:
        """Read it to its last byte; the metric's name."""
        assert len(packet) < 1450
        reader = _Reader(packet)
        kind, host, name, spoof = reader.number(), reader.text(), reader.text(), bool(reader.number())
        self.hosts.add((host, spoof))
        if kind == 128:
            assert (reader.text(), reader.text()) == ("double", name)
            units, slope, tmax, dmax = reader.text(), reader.number(), reader.number(), reader.number()
            extra = {reader.text(): reader.text() for _ in range(reader.number())}
            self.metadata[name] = Known(units, slope, tmax, dmax, extra, now)
            self.announced += 1
        else:
            assert (kind, reader.text()) == (133, "%s")
            self.values[name] = reader.text()
        assert reader.rest == b""
        return name

    def restart(self) -> None:
        """Forget all."""
        self.metadata, self.values, self.announced = {}, {}, 0

    def shown(self, now: int) -> dict[str, str]:
        """What its XML has: values that were announced, not longer ago than dmax."""
        return {
            name: text
            for name, text in self.values.items()
            if (known := self.metadata.get(name)) and now - known.at <= known.dmax * SECOND
        }


class _Reader:
    def __init__(self, packet: bytes) -> None:
        self._packet, self._at = packet, 0

    @property
    def rest(self) -> bytes:
        return self._packet[self._at :]

    def number(self) -> int:
        self._at += 4
        return int.from_bytes(self._packet[self._at - 4 : self._at])

    def text(self) -> str:
        begin = self._at + 4
        end = begin + self.number()
        self._at = end + -end % 4
        assert self._packet[end : self._at] == bytes(self._at - end)
        return self._packet[begin:end].decode("ascii")
