"""Where reports go: one module an output, each a pure renderer and a transport."""

from typing import Protocol

from qps_service.model import Report


class OutputClosed(Exception):  # noqa: N818  the reader's wish, not an error
    """Whoever read this output has gone; the program has nobody left to report to."""


class Output(Protocol):
    """Takes reports. A failing output keeps its trouble to itself, except for OutputClosed."""

    def emit(self, report: Report) -> None:
        """Hand one report over."""

    def flush(self) -> None:
        """Try again to deliver what was held back; called at every look."""

    def close(self) -> None:
        """Deliver what can be delivered now; nothing comes after."""
