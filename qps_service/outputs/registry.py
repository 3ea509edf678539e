"""A configured output, made. Its module is loaded where it is wanted: most services use none of them."""

from collections.abc import Sequence
from importlib import import_module

from qps_service.configuration.outputs import kind_of
from qps_service.configuration.types import OutputConfig
from qps_service.notices.kinds import Notify
from qps_service.outputs.base import HasFiles, Output


def make_output(config: OutputConfig, notify: Notify, inherited: Sequence[int] = ()) -> Output:
    """The output that `config` asks for. It never fails: one that can't work says so, and tries again.
    `inherited` are descriptors of sockets that systemd listens on for the one that answers."""
    kind = kind_of(config)
    module, _, name = kind.factory.partition(":")
    make = getattr(import_module(module), name)
    output: Output = make(config, notify, inherited) if kind.answers else make(config, notify)
    if isinstance(output, HasFiles):  # what is wrong with them is said now
        output.reopen()
    return output
