"""gmond's packets, byte for byte as Debian 12's gmetric (3.7.2) sends them; the one that is there is
asked in tests/fault/test_ganglia.py."""

import pytest

from qps_service.outputs.ganglia import gmetric
from qps_service.outputs.ganglia.gmetric import BOTH, POSITIVE, Metric, Origin, metadata, value
from tests.promised import Patches, Promise, promises

HERE = Origin("vm", spoof=False)
OTHER = Origin("10.1.2.3:web.example", spoof=True)
EXTRA = (("GROUP", "access"), ("DESC", "desc here"), ("TITLE", "title"))

# gmetric -n a.b -v 1.5 -t double -u req/s -s both -x 10 -d 3600 -g access -D 'desc here' -T title
FULL = (
    b"\0\0\0\x80\0\0\0\2vm\0\0\0\0\0\3a.b\0\0\0\0\0\0\0\0\6double\0\0\0\0\0\3a.b\0\0\0\0\5req/s\0\0\0"
    b"\0\0\0\3\0\0\0\n\0\0\x0e\x10\0\0\0\3\0\0\0\5GROUP\0\0\0\0\0\0\6access\0\0"
    b"\0\0\0\4DESC\0\0\0\tdesc here\0\0\0\0\0\0\5TITLE\0\0\0\0\0\0\5title\0\0\0"
)
VALUE = b"\0\0\0\x85\0\0\0\2vm\0\0\0\0\0\3a.b\0\0\0\0\0\0\0\0\2%s\0\0\0\0\0\0031.5\0"
# The same of a gmond.conf with override_hostname and override_ip: gmetric -n a -v 1 -t double -s positive
SPOOFED = (
    b"\0\0\0\x80\0\0\0\x1410.1.2.3:web.example\0\0\0\1a\0\0\0\0\0\0\1\0\0\0\6double\0\0\0\0\0\1a\0\0\0\0\0\0\0"
    b"\0\0\0\1\0\0\0<\0\0\0\0\0\0\0\1\0\0\0\nSPOOF_HOST\0\0\0\0\0\x1410.1.2.3:web.example"
)
SPOOFED_VALUE = (
    b"\0\0\0\x85\0\0\0\x1410.1.2.3:web.example\0\0\0\1a\0\0\0\0\0\0\1\0\0\0\2%s\0\0\0\0\0\0011\0\0\0"
)


def check_bytes() -> None:
    """Ours are gmetric's."""
    assert metadata(HERE, Metric("a.b", "req/s", BOTH, 10, 3600, EXTRA)) == FULL
    assert value(HERE, "a.b", "1.5") == VALUE
    assert metadata(OTHER, Metric("a", "", POSITIVE, 60, 0, ())) == SPOOFED
    assert value(OTHER, "a", "1") == SPOOFED_VALUE


def unpadded(text: str) -> bytes:
    raw = text.encode("ascii")
    return len(raw).to_bytes(4) + raw


test_packets_are_gmetrics, test_wrong_padding_is_caught = promises(
    Promise(check_bytes, None, [Patches((gmetric, "_string", unpadded))])
)


def test_what_is_not_ascii_never_gets_into_a_packet() -> None:
    with pytest.raises(UnicodeEncodeError):
        value(HERE, "caf\u00e9", "1")
