"""The outputs in force: those that always are, and those that come and go with the configuration."""

from collections.abc import Callable, Iterator, Sequence

from qps_service.config import OutputConfig
from qps_service.outputs import Output


class Outputs:
    """Iterates over all of them."""

    def __init__(self, fixed: Sequence[Output], make: Callable[[OutputConfig], Output] | None = None) -> None:
        """`make` never fails: an output that can't work says so, and tries again."""
        self._fixed = list(fixed)
        self._make = make
        self._chosen: dict[OutputConfig, Output] = {}

    def __iter__(self) -> Iterator[Output]:
        yield from self._fixed
        yield from self._chosen.values()

    def reconfigure(self, configs: Sequence[OutputConfig]) -> None:
        """Go on with these; those that are as they were stay, and open their files anew."""
        before, self._chosen = self._chosen, {}
        for config in configs:
            if config in before:
                before[config].reopen()
        # The new ones may want the address of those that go.
        for config, output in before.items():
            if config not in configs:
                output.close()
        if self._make:
            self._chosen = {config: before.get(config) or self._make(config) for config in configs}

    def close(self) -> None:
        """Deliver what can be delivered now; nothing comes after."""
        for output in self:
            output.close()
