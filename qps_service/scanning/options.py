"""How the lines of a log are to be counted: one value for whatever counts them."""

from collections.abc import Callable
from typing import NamedTuple

from qps_service.formats.log_format import HOST
from qps_service.formats.presets import LogFormat
from qps_service.values.counts import Scanned


class ScanOptions(NamedTuple):
    """What a scanner is made for; scanners with equal options can take each other's place."""

    log_format: LogFormat
    max_line: int  # bytes of a line without its end; longer ones are rejected
    keep_query: bool = False  # whether a target has its query
    span: int = 0  # seconds that are counted together, where the times of requests are wanted; 0 where not
    keep_host: bool = False  # whether a target has its virtual host before it, and a blank between

    @property
    def counted(self) -> LogFormat:
        """The format, without what nobody wants."""
        return self.log_format if self.keep_host else self.log_format.without(HOST)


Spill = Callable[[Scanned], None]  # takes over what was counted whenever it becomes too much to keep
