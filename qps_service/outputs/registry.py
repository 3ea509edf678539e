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
from qps_service.notices.kinds import Notify
from qps_service.outputs.base import Output


def make_output(config: OutputConfig, notify: Notify, inherited: Sequence[int] = ()) -> Output:
    """The output that `config` asks for. It never fails: one that can't work says so, and tries again.
    `inherited` are descriptors of sockets that systemd listens on for Prometheus."""
    match config:
        case GangliaConfig():
            from qps_service.outputs.ganglia.output import GangliaOutput

            return GangliaOutput(config, notify)
        case StatsdConfig():
            from qps_service.outputs.statsd import StatsdOutput

            return StatsdOutput(config, notify)
        case GraphiteConfig():
            from qps_service.outputs.graphite import GraphiteOutput

            return GraphiteOutput(config, notify)
        case JsonConfig(path):
            from qps_service.outputs.json_lines import JsonOutput

            output = JsonOutput(path, notify)
            output.reopen()
            return output
        case PrometheusConfig():
            from qps_service.outputs.prometheus.output import PrometheusOutput

            return PrometheusOutput(config, notify, inherited)
        case TextfileConfig():
            from qps_service.outputs.textfile import TextfileOutput

            return TextfileOutput(config, notify)
    assert_never(config)
