"""What tests of outputs hand over, and when."""

from qps_service.model import Overview, Report
from qps_service.outputs import Output

OVERVIEW = Overview(
    logs=(), commits=0, commit_failures=0, output_failures={}, version="1", scanner="native scanner, avx2"
)


def emit(output: Output, *reports: Report, overview: Overview = OVERVIEW, now: int = 0) -> None:
    """One window's reports."""
    output.emit(reports, overview, now)
