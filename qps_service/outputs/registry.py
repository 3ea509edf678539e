"""A configured output, made. The modules are loaded where they are wanted: most services use none of them."""

from collections.abc import Sequence
from typing import assert_never

from qps_service.configuration.types import (
    GangliaConfig,
    GraphiteConfig,
    JsonConfig,
    OutputConfig,
    PrometheusConfig,
    StatsdConfig,
    TextfileConfig,
)
from qps_service.notices.kinds import Say
from qps_service.outputs.base import Output


def make_output(config: OutputConfig, say: Say, inherited: Sequence[int] = ()) -> Output:
    """The output that `config` asks for. It never fails: one that can't work says so, and tries again.
    `inherited` are descriptors of sockets that systemd listens on for Prometheus."""
    match config:
        case GangliaConfig():
            from qps_service.outputs.ganglia.output import GangliaOutput

            return GangliaOutput(config, say)
        case StatsdConfig():
            from qps_service.outputs.statsd import StatsdOutput

            return StatsdOutput(config, say)
        case GraphiteConfig():
            from qps_service.outputs.graphite import GraphiteOutput

            return GraphiteOutput(config, say)
        case JsonConfig(path):
            from qps_service.outputs.json_lines import JsonOutput

            output = JsonOutput(path, say)
            output.reopen()
            return output
        case PrometheusConfig():
            from qps_service.outputs.prometheus.output import PrometheusOutput

            return PrometheusOutput(config, say, inherited)
        case TextfileConfig():
            from qps_service.outputs.textfile import TextfileOutput

            return TextfileOutput(config, say)
    assert_never(config)
