"""A log, whoever follows it, and the ledger: one after the other, by a clock of the test's own."""

from pathlib import Path

from qps_service.configuration.types import LogConfig
from qps_service.files.kernel import Files
from qps_service.following.resume import InheritedFile, Resume
from qps_service.notices.kinds import Notice
from qps_service.service.pipeline import LogPipeline
from tests.ledgers import SECOND, opened


class FollowedLog:
    """Called `access`. Nothing is read or committed but when that is asked for."""

    make: type[LogPipeline] = LogPipeline
    epoch = 0  # Unix nanoseconds, when its clock was at 0
    boot = "boot"

    def __init__(self, path: Path, files: Files | None = None) -> None:
        """The ledger stands beside the log."""
        self.path = path
        self.now = 1000 * SECOND
        self.notices: list[Notice] = []
        self._files = files or Files()
        self.start()

    def config(self) -> LogConfig:
        raise NotImplementedError

    def start(self, *handed: InheritedFile) -> None:
        """The next process, which goes on where the ledger says."""
        self.ledger = opened(self.path.with_name("ledger.db"), boot=self.boot)
        at = self.epoch + self.now
        resume = Resume.at(self.ledger.restore("access", now=self.now, at=at), self.now, at)
        resume = resume._replace(handed=handed)
        self.pipeline = self.make(self.config(), self.now, self.notices.append, self._files, resume=resume)

    def write(self, text: bytes, path: Path | None = None) -> None:
        """At the log's end, or at that of another file."""
        with (path or self.path).open("ab") as file:
            file.write(text)

    def read(self, *, seconds: int = 61) -> None:
        """Let time pass and read everything, of which the ledger hears nothing yet."""
        self.now += seconds * SECOND
        for _ in self.pipeline.read(self.now):
            pass

    def commit(self) -> None:
        """No window ends; files may be let go."""
        self.ledger.commit(self.pipeline.entries(0, self.now, self.epoch + self.now), sequence=None)
        self.pipeline.release(committed=True)

    def look(self) -> None:
        self.read()
        self.commit()

    def stop(self) -> None:
        """Right behind the last commit, or at a kill: what was read since then is read again."""
        self.pipeline.close()
        self.ledger.close()

    def restart(self) -> None:
        self.stop()
        self.start()
