"""What tests of outputs hand over, and when."""

from collections.abc import Mapping

from qps_service.outputs.base import Output
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Overview, Report, Standing

OVERVIEW = Overview(
    logs=(), commits=0, commit_failures=0, output_failures={}, version="1", scanner="native scanner, avx2"
)


def emit(output: Output, *reports: Report, overview: Overview = OVERVIEW, now: int = 0) -> None:
    """One window's reports."""
    output.emit(reports, overview, now)


def standing(log: str, requests: Mapping[Key, int]) -> Standing:
    """A log that has counted these, and nothing else to tell."""
    counts = {key: Counts(count, 0) for key, count in requests.items()}
    return Standing(log, counts, {}, 0, 0, 0, 0, 0, 0, None)
