"""What tests run in a process of its own: python -m tests.unit.commands.programs NAME ARGUMENT ...

Each imports what it needs itself: one of them tells what was imported.
"""

import os
import sys
from contextlib import nullcontext, suppress


def says_imports(*arguments: str) -> None:
    """A command line, and then on standard error all modules that it imported."""
    from qps_service import cli

    with suppress(SystemExit):
        cli.main(list(arguments))
    print(*sys.modules, file=sys.stderr)  # noqa: T201


def imports_all(*arguments: str) -> None:
    """The same with a broken twin: whichever subcommand is asked for, all are imported."""
    from qps_service import cli

    make = cli.make_parser
    cli.make_parser = lambda *_, **__: make()
    says_imports(*arguments)


def takes_no_signal(*arguments: str) -> None:
    """A broken twin of `simulate`: stops are not held back while it writes."""
    from qps_service import cli
    from qps_service.commands import simulate

    simulate._stops_held_back = nullcontext  # type: ignore[assignment]
    sys.exit(cli.main(list(arguments)))


def holds_back() -> None:
    """Ends by SIGINT, but not before it went on, though the progress bar has a thread of its own."""
    import signal
    import threading
    import time

    from qps_service.commands.progress import progress_on
    from qps_service.service.process import interrupts_held_back

    with progress_on(sys.stderr), interrupts_held_back():
        assert threading.active_count() > 1
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            pass
        os.write(1, b"went on\n")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
