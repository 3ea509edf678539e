"""What can go wrong in a way that the user can mend.

    QpsError                the root; its text is what the user reads
    |-- UsageError          the command line contradicts itself or the configuration (exit 2)
    |-- ConfigError         the configuration is wrong; carries every problem found (exit 1)
    |   `-- FormatError     a log format is wrong; knows the place
    |-- LedgerUnreadableError  there is a ledger, but it can't be read now (exit 1)
    `-- StateHeldError      another process uses the same state directory (exit 3)

Faults of the log itself (missing, unreadable, malformed lines) are not exceptions: the service
lives through them, and says so.
"""

from collections.abc import Iterable

from qps_service.text.caret import point

EXIT_OK = 0
EXIT_PROBLEM = 1
EXIT_USAGE = 2
EXIT_STATE_HELD = 3
EXIT_NOTHING = 4
EXIT_INTERRUPTED = 130  # as a shell says of what SIGINT ended

# What each means, for every command; docs/make_reference.py makes the table of it.
EXITS = {
    EXIT_OK: "it is done, and all is well",
    EXIT_PROBLEM: "a problem: what was to be read or written is wrong, missing or out of reach",
    EXIT_USAGE: "the command line is wrong",
    EXIT_STATE_HELD: "another process holds the state directory",
    EXIT_NOTHING: "there is nothing of what was asked for",
    EXIT_INTERRUPTED: "Ctrl-C",
}


class QpsError(Exception):
    """Root of everything raised on purpose."""

    exit_code = EXIT_PROBLEM

    @property
    def brief(self) -> str:
        """The same on one line."""
        return "; ".join(str(self).splitlines())


class UsageError(QpsError):
    """The command line asks for what cannot be."""

    exit_code = EXIT_USAGE


class ConfigError(QpsError):
    """One or more problems in the configuration; each names its key path. What stands below the first line of
    one shows the place."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    @property
    def brief(self) -> str:
        """The problems on one line, without the places shown."""
        return "; ".join(problem.partition("\n")[0] for problem in self.problems)


class FormatError(ConfigError):
    """A log format that cannot be read; `position` counts characters of `text` from 0. The reason comes
    first, then the line of the format that is at fault, with a caret under the place."""

    def __init__(self, text: str, position: int, reason: str) -> None:
        self.text = text
        self.position = position
        self.reason = reason
        first = text.rfind("\n", 0, position) + 1
        where = f"character {position - first + 1}"
        if "\n" in text.strip():
            where = f"line {text.count(chr(10), 0, position) + 1}, {where}"
        shown = point(text[first:position], text[position:].partition("\n")[0].rstrip("\r"))
        lines = [f"{reason} ({where})", *(f"  {line}" for line in shown.splitlines())]
        super().__init__(["\n".join(lines) if text.strip() else reason])


class StateHeldError(QpsError):
    """The state directory belongs to a running process."""

    exit_code = EXIT_STATE_HELD

    def __init__(self, directory: str, pid: int) -> None:
        self.pid = pid
        super().__init__(f"the ledger in {directory} is held by {f'PID {pid}' if pid else 'another process'}")


class LedgerUnreadableError(QpsError):
    """There is a ledger, and how far the logs were read stands in it, but it cannot be read now."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot read the ledger {path}: {reason}")
