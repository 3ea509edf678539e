"""A configured output, made. The modules are loaded where they are wanted: most services use none of them."""

from qps_service.config import OutputConfig
from qps_service.notices import Say
from qps_service.outputs import Output


def make_output(config: OutputConfig, say: Say) -> Output:
    """The output that `config` asks for. It never fails: one that can't work says so, and tries again."""
    raise NotImplementedError(config, say)
