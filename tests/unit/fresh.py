"""What an interpreter has loaded that did nothing but one of these things."""

import sys
from collections.abc import Callable


def read_a_configuration(path: str) -> None:
    """As `check` and `run` do, before an output is made."""
    import qps_service.commands.check
    import qps_service.commands.run  # noqa: F401  it brings all that the service needs
    from qps_service.configuration.loader import Flags, load

    load(Flags(config=path), {})


def name_a_metric_of_ganglia() -> None:
    """One that has a hash."""
    from qps_service.outputs.ganglia.names import name_of

    name_of("a", b"")


def loaded_by(thing: Callable[..., None], *arguments: str) -> set[str]:
    """The names of the modules."""
    from pathlib import Path
    from subprocess import run

    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", __name__, thing.__name__, *arguments]
    return set(run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split())


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write("\n".join(sys.modules))
