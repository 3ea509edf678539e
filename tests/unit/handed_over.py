"""What tests of outputs hand over, and what hostile requests put into it."""

from collections.abc import Mapping

from qps_service.outputs.base import TakesReports
from qps_service.reporting.report import make_report
from qps_service.values.counts import Counts, Key
from qps_service.values.latency import NO_LATENCIES, Latency, LatencyKey
from qps_service.values.reports import Overview, Report, Standing, Window

AT = 1_473_414_194  # Unix seconds
TEN_SECONDS = 10_000_000_000

OVERVIEW = Overview(
    logs=(), commits=0, commit_failures=0, output_failures={}, version="1", scanner="native scanner, avx2"
)
STANDING = Standing("access", {}, {}, 0, 0, 0, {}, 0, 0, None)

HOSTILE = (
    *(b"/a:1|c\nqps.access.requests:1000000|c", b"/a|#route:/b,status:200"),
    *(b"/a 1 1\nqps.access.requests 1000000 1473414194\n", b"/\r\n# TYPE x counter\nx 1\n"),
    *(b'/",status="200"} 7 #', b"/{}=,", b'/"', b"/\\", b"/\\n", b"/\n", b"/ ", b"/\\xff", b"/\xff"),
    *(b"/\xfe", b"/\x00", b"/../../etc/passwd", b"/a;b=c", b"/%0a%0d\r\n", b"/caf\xc3\xa9", b"/\xe2\x80\xae"),
    *(b"/\xf0\x9f\x98\x80", b"/\xff\x00\x1b[31m", b"/<>&/../", b"/" + b"x" * 4096),
    *(b"/" + b"\xe2\x80\xae" * 1300, b"", b"@0.1", b"/a b", b"/a?b", b"/a/b", b"/a_b", b"/a//b"),
)


def emit(output: TakesReports, *reports: Report, overview: Overview = OVERVIEW, now: int = 0) -> None:
    """One window's reports."""
    output.emit(reports, overview, now)


Latencies = Mapping[LatencyKey, Latency]


def report(
    counts: Mapping[Key, Counts],
    latencies: Latencies = NO_LATENCIES,
    *,
    log: str = "access",
    rejected: int = 0,
) -> Report:
    """A window of ten seconds."""
    rejects = {"malformed": rejected} if rejected else {}
    window = Window(log, 0, TEN_SECONDS, counts, rejects, latencies=latencies)
    return make_report(window, sequence=1, at=AT, named=False)


def standing(
    counts: Mapping[Key, Counts],
    latencies: Latencies = NO_LATENCIES,
    *,
    log: str = "access",
    rejected: int = 0,
) -> Standing:
    """A log that has counted these in all, and nothing else to tell."""
    rejects = {"malformed": rejected} if rejected else {}
    told = STANDING._replace(log=log, counts=counts, rejects=rejects, routes=len(counts))
    return told._replace(latencies=latencies)


def overview(*standings: Standing) -> Overview:
    """The service with these logs."""
    return OVERVIEW._replace(logs=standings)
