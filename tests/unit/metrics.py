"""Windows to be sent as metrics, and what hostile requests put into them."""

from collections.abc import Mapping

from qps_service.reporting.report import make_report
from qps_service.values.counts import Counts, Key
from qps_service.values.reports import Overview, Report, Standing, Window
from tests.unit.handed_over import OVERVIEW

AT = 1_473_414_194  # Unix seconds
NOW = 5_000 * 1_000_000_000

HOSTILE = (
    b"/a:1|c\nqps.access.requests:1000000|c",
    b"/a|#route:/b,status:200",
    b"/a 1 1\nqps.access.requests 1000000 1473414194\n",
    b"/\r\n# TYPE x counter\nx 1\n",
    *(
        b'/",status="200"} 7 #',
        b"/{}=,",
        b'/"',
        b"/\\",
        b"/\\n",
        b"/\n",
        b"/ ",
        b"/\\xff",
        b"/\xff",
        b"/\xfe",
        b"/\x00",
    ),
    *(
        b"/../../etc/passwd",
        b"/a;b=c",
        b"/%0a%0d\r\n",
        b"/caf\xc3\xa9",
        b"/\xe2\x80\xae",
        b"/\xf0\x9f\x98\x80",
    ),
    *(b"/\xff\x00\x1b[31m", b"/<>&/../", b"/" + b"x" * 4096, b"/" + b"\xe2\x80\xae" * 1300, b"", b"@0.1"),
    *(b"/a b", b"/a?b", b"/a/b", b"/a_b", b"/a//b"),
)


def report(counts: Mapping[Key, Counts], *, log: str = "access", rejected: int = 0) -> Report:
    """A window of ten seconds."""
    window = Window(log, 0, 10_000_000_000, counts, {"malformed": rejected} if rejected else {})
    return make_report(window, sequence=1, at=AT, named=False)


def standing(counts: Mapping[Key, Counts], *, log: str = "access", rejected: int = 0) -> Standing:
    """What has been counted in all."""
    return Standing(
        log=log,
        counts=counts,
        rejects={"malformed": rejected} if rejected else {},
        rotations=0,
        losses=0,
        loss_bytes=0,
        folded=0,
        routes=len(counts),
        pending=0,
        last_line_age=None,
    )


def overview(*standings: Standing) -> Overview:
    return OVERVIEW._replace(logs=standings)
