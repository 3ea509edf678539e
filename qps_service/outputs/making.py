"""A configured output, made. The modules are loaded where they are wanted: most services use none of them."""

from qps_service.config import GraphiteConfig, JsonConfig, OutputConfig, StatsdConfig, TextfileConfig
from qps_service.notices import Say
from qps_service.outputs import Output


def make_output(config: OutputConfig, say: Say) -> Output:
    """The output that `config` asks for. It never fails: one that can't work says so, and tries again."""
    match config:
        case StatsdConfig():
            from qps_service.outputs.statsd import StatsdOutput

            return StatsdOutput(config, say)
        case GraphiteConfig():
            from qps_service.outputs.graphite import GraphiteOutput

            return GraphiteOutput(config, say)
        case JsonConfig(path):
            from qps_service.outputs.reports_json import JsonOutput

            output = JsonOutput(path, say)
            output.reopen()
            return output
        case TextfileConfig():
            from qps_service.outputs.textfile import TextfileOutput

            return TextfileOutput(config, say)
    raise NotImplementedError(config, say)
