"""A file for node_exporter's textfile collector (https://github.com/prometheus/node_exporter#textfile-collector).

Promise: whoever opens it finds one report's figures, whole. Nobody else who may write to its directory keeps
it from being written, or says where, by taking a name first. A process that is killed leaves one file at
most, which the next one removes. A file that can't be written, or would be larger than `max_answer`, is said
once, and tried again at the next report: until then the old one stays, and node_exporter tells its age
(node_textfile_mtime_seconds).

node_exporter reads all files of its directory as one text, and refuses it where two of them have one series.
So each series has the file's path for a label: no two services share it, whatever their logs are called.
"""

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from qps_service.configuration.types import TextfileConfig
from qps_service.notices.kinds import Notify
from qps_service.notices.trouble import Trouble
from qps_service.outputs.base import TakesReports
from qps_service.outputs.prometheus.exposition import Histograms, TooLarge, pieces, within
from qps_service.text.escape import show_path
from qps_service.values.reports import Overview, Report

# node_exporter is another user, and the service's umask lets nobody in.
MODE = 0o644
_RANDOM = 8  # bytes of a name that nobody can guess
_END = ".new"  # node_exporter reads only what ends in .prom


class TextfileOutput(TakesReports):
    """Replaces the file at each report."""

    name = "textfile"

    def __init__(self, config: TextfileConfig, notify: Notify) -> None:
        self.trouble = Trouble(notify, f"{show_path(config.path)} is written again")
        self._path, self._most = config.path, config.max_answer
        self._histograms = Histograms(config.latency, config.latency_bounds)
        self._labels = {"file": show_path(config.path)}
        self._has_cleared = False

    def emit(self, reports: Sequence[Report], overview: Overview, now: int) -> None:
        """Put a new file in its place."""
        new = f"{self._path}.{os.urandom(_RANDOM).hex()}{_END}"
        try:
            self._clear()
            text = pieces(overview, labels=self._labels, histograms=self._histograms)
            self._write(new, within(self._most, text))
            os.rename(new, self._path)
        except TooLarge as error:
            self.trouble.failed(f"{show_path(self._path)} stays as it is: {error}")
        except OSError as error:
            self.trouble.failed(f"cannot write {show_path(self._path)}: {error.strerror}")
        else:
            self.trouble.works()
        finally:
            with suppress(OSError):
                os.unlink(new)

    def _write(self, new: str, text: Iterable[bytes]) -> None:
        # What others put under this name meanwhile, a link or a pipe, is not opened.
        with open(new, "xb") as file:
            os.fchmod(file.fileno(), MODE)
            file.writelines(text)

    def _clear(self) -> None:
        """Once: remove what an earlier process of this user left when it was killed."""
        if self._has_cleared:
            return
        directory, base = os.path.split(self._path)
        left = re.compile(rf"{re.escape(base)}\.[0-9a-f]{{{2 * _RANDOM}}}{re.escape(_END)}")
        with suppress(
            OSError
        ):  # the directory may be hidden from us, and the file can be written all the same
            for name in filter(left.fullmatch, os.listdir(directory)):
                path = os.path.join(directory, name)
                if os.lstat(path).st_uid == os.geteuid():
                    os.unlink(path)
            self._has_cleared = True
