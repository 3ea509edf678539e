"""A file for node_exporter's textfile collector (https://github.com/prometheus/node_exporter#textfile-collector).

Promise: whoever opens it finds one report's figures, whole; a process that is killed leaves nothing that
grows in number. A file that can't be written, or would be larger than `max_answer`, is said once, and tried
again at the next report: until then the old one stays, and node_exporter tells its age
(node_textfile_mtime_seconds).
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from qps_service.configuration.types import TextfileConfig
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import TakesReports
from qps_service.outputs.prometheus.exposition import TooLarge, pieces, within
from qps_service.text.escape import show_path
from qps_service.values.reports import Overview, Report

# node_exporter is another user, and the service's umask lets nobody in.
MODE = 0o644


class TextfileOutput(TakesReports):
    """Replaces the file at each report."""

    name = "textfile"

    def __init__(self, config: TextfileConfig, notify: Notify) -> None:
        self.trouble = Trouble(notify, f"{show_path(config.path)} is written again")
        self._path, self._most = config.path, config.max_answer
        # One name, which the next process takes over; node_exporter reads only what ends in .prom.
        self._new = f"{config.path}.new"

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Put a new file in its place."""
        try:
            self._remove_new()
            self._write(within(self._most, pieces(overview)))
            os.rename(self._new, self._path)
        except TooLarge as error:
            self.trouble.failed(f"{show_path(self._path)} stays as it is: {error}")
            self._remove_new()
        except OSError as error:
            self.trouble.failed(f"cannot write {show_path(self._path)}: {error.strerror}")
            with suppress(OSError):
                self._remove_new()
        else:
            self.trouble.works()

    def _write(self, text: Iterable[bytes]) -> None:
        # What others put under this name meanwhile, a link or a pipe, is not opened.
        with open(self._new, "xb") as file:
            os.fchmod(file.fileno(), MODE)
            file.writelines(text)

    def _remove_new(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._new)
