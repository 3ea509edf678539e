"""A progress bar for what takes long: on a terminal, where rich is installed, and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from qps_service.service.process import interrupts_held_back


class Reading(Protocol):
    """A file that is being read."""

    @property
    def place(self) -> int:
        """Bytes read so far."""


class Progress:
    """No bar."""

    def begin(self, name: str, size: int | None) -> None:
        """The next file; `size` in bytes, None where it is not known."""

    def reach(self, file: Reading) -> None:
        """It was read so far."""


class _Bar(Progress):
    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task: Any = None
        self._size: int | None = None

    def begin(self, name: str, size: int | None) -> None:
        self._size = size
        self._task = self._bar.add_task(name, total=size)

    def reach(self, file: Reading) -> None:
        if self._size is not None:
            self._bar.update(self._task, completed=file.place)


@contextmanager
def progress_on(stream: TextIO) -> Iterator[Progress]:
    """A bar on `stream` while the context lasts, if somebody can see it there; it leaves nothing behind."""
    if not stream.isatty():
        yield Progress()
        return
    try:
        import rich.console
        import rich.progress
    except ImportError:
        yield Progress()
        return
    columns = (
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(binary_units=True),
        rich.progress.TransferSpeedColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    bar = rich.progress.Progress(*columns, console=rich.console.Console(file=stream), transient=True)
    with interrupts_held_back():  # it draws in a thread of its own
        bar.start()
    try:
        yield _Bar(bar)
    finally:
        bar.stop()
