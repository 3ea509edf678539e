"""gmond.conf: where its gmond sends, in whatever way it is written; mistakes with their place."""

import os
from pathlib import Path

import pytest

from qps_service.errors import ConfigError
from qps_service.outputs.ganglia.gmetric import Origin
from qps_service.outputs.ganglia.gmond_conf import (
    DEEPEST,
    LARGEST,
    LONGEST_HOST,
    Channel,
    Sending,
    read_sending,
)
from tests.limits import Doubled
from tests.promised import Promise, promises

UNICAST = Channel("10.0.0.1", 8649)
GROUP = Channel("239.2.11.71", 8649, 1)

# As Debian's begins, with sections in sections and lists behind it.
DEBIAN = """
/* This configuration is as close to 2.5.x default behavior as possible
   udp_send_channel { host = not.here port = 1 } */
globals {
  daemonize = yes
  max_udp_msg_len = 1472
  host_dmax = 0 /*secs */
}
cluster {
  name = "unspecified"
  url = "http://example/"
  owner = "${USER}"
  latlong = N37+W122
}
/* Feel free to specify as many udp_send_channels as you like. */
udp_send_channel {
  mcast_join = 239.2.11.71
  port = 8649
  ttl = 1
}
udp_recv_channel {
  mcast_join = 239.2.11.71
  port = 8650
}
tcp_accept_channel { port = 8649
  acl { default = "deny" access { ip = 10.0.0.0 mask = 8 action = "allow" } } }
modules {
  module { name = "cpu_module" path = "/usr/lib/ganglia/modcpu.so" params = {"a", 'b'} }
  module { udp_send_channel { host = not.here port = 1 } }
}
include ('{directory}/conf.d/*.conf')
collection_group {
  collect_once = yes
  time_threshold = 1200
  metric { name = "cpu_num" title = "CPU Count" }
}
"""


def read(directory: Path, text: str) -> Sending:
    path = directory / "gmond.conf"
    path.write_text(text)
    return read_sending(str(path))


def test_debians(tmp_path: Path) -> None:
    assert read(tmp_path, DEBIAN.replace("{directory}", str(tmp_path))) == Sending((GROUP,), None)


SEND = "\nudp_send_channel { host = 10.0.0.1 port = 8649 }"
WEB = Origin("web:web", True)
CHANNELS: dict[str, list[Channel]] = {
    "udp_send_channel { host = 10.0.0.1 port = 8649 }": [UNICAST],
    'UDP_SEND_CHANNEL{HOST="10.0.0.1"\nPort=8649}': [UNICAST],
    "udp_send_channel { host = '10.0.0.1' port = 0x21c9 ttl = 5 }": [UNICAST],
    "udp_send_channel { host = 10.0.0.1 acl { host = b port = 2 } port = 8649 }": [UNICAST],
    "udp_send_channel { port = 1 host = a port = 8649 host = 10.0.0.1 }": [UNICAST],
    'udp_send_channel { host = "10\\.0.0.1" port = 8649 unknown = {1, 2} bind_hostname = yes }': [UNICAST],
    "# { \n// }\nudp_send_channel { /* } */ host = 10.0.0.1 # }\n port = 8649 // }\n}": [UNICAST],
    'udp_send_channel "title" { host = fe80::1%eth0 port = 1 }': [Channel("fe80::1%eth0", 1)],
    "udp_send_channel { host = b port = 2 }udp_send_channel{host=10.0.0.1 port=8649}": [
        Channel("b", 2),
        UNICAST,
    ],
    "udp_send_channel { host = 10.0.0.1 port = 8649 }" * 2: [UNICAST],
    "udp_send_channel { host = a mcast_join = 239.2.11.71 port = 8649 mcast_if = eth1 ttl = 3 }": [
        Channel("239.2.11.71", 8649, 3, "eth1")
    ],
    "udp_send_channel { mcast_join = 239.2.11.71 port = 8649 }": [Channel("239.2.11.71", 8649)],
}
HOSTS: dict[str, Origin | None] = {
    "globals { override_hostname = web override_ip = 10.1.2.3 }": Origin("10.1.2.3:web", True),
    "globals { override_hostname = web }": WEB,
    "globals { override_ip = 10.1.2.3 }": None,
    "globals { override_hostname = a }\nglobals { override_hostname = web }": WEB,
    'globals { override_hostname = "<web>" }': Origin("_web_:_web_", True),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, Sending(tuple(channels), None)) for text, channels in CHANNELS.items()),
        *((text + SEND, Sending((UNICAST,), origin)) for text, origin in HOSTS.items()),
    ],
)
def test_channels_and_another_host(tmp_path: Path, text: str, expected: Sending) -> None:
    assert read(tmp_path, text) == expected


def test_includes(tmp_path: Path) -> None:
    """By path and by pattern, in order, beside the file; a pattern may match nothing."""
    (tmp_path / "conf.d").mkdir()
    for number, name in enumerate("cab", start=1):
        (tmp_path / "conf.d" / f"{name}.conf").write_text(
            f"udp_send_channel {{ host = {name} port = {number} }}"
        )
    (tmp_path / "one").write_text("include ('conf.d/none*.conf')\nudp_send_channel { host = one port = 9 }")
    text = "include (\"one\")\ninclude ('conf.d/*.conf')\n"
    hosts = [channel.host for channel in read(tmp_path, text + SEND).channels]
    assert hosts == ["one", "a", "b", "c", "10.0.0.1"]


MISTAKES = {  # and what is said behind the path
    "": ": no udp_send_channel",
    "udp_recv_channel { port = 1 }": ": no udp_send_channel",
    "\nudp_send_channel { port = 1 }": ":2: udp_send_channel: expected host or mcast_join, and port",
    "udp_send_channel { host = a }": ":1: udp_send_channel: expected host or mcast_join, and port",
    "udp_send_channel { host = a\nport = 0 }": ":2: expected a number from 1 to 65535, got '0'",
    "udp_send_channel { host = a port = x }": ":1: expected a number from 1 to 65535, got 'x'",
    "udp_send_channel { port = 1 mcast_join = a ttl=256 }": ":1: expected a number from 0 to 255, got '256'",
    "udp_send_channel { host = a\n\nport = 1": ":3: expected }, got 'the end'",
    "a { b = { 1,": ":1: expected }, got 'the end'",
    "a { }\n}": ":2: expected a name, got '}'",
    "a b c": ":1: expected {, got 'c'",
    "a\n)": ":2: expected = or {, got ')'",
    "a = }": ":1: expected a value, got '}'",
    "a =": ":1: expected a value, got 'the end'",
    'udp_send_channel { host = "${HOST}" port = 1 }': ":1: expected a name, got '${HOST}'",
    "udp_send_channel { host = '' port = 1 }": ":1: expected a name, got ''",
    'a = "b\n\n': ":1: expected a name or a value, got '\"'",
    "\n/* never ends": ":2: expected a name or a value, got '/'",
    "include (a, b)": ":1: expected ), got ','",
    "include (": ":1: expected a file, got 'the end'",
    "include (gmond.conf)": f":1: more than {DEEPEST} files include each other",
}


@pytest.mark.parametrize(("text", "problem"), MISTAKES.items())
def test_mistakes_have_their_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/gmond.conf{problem}"


def check_refused(tmp_path: Path, *, text: str, says: str) -> None:
    (tmp_path / "deep0").write_text(SEND)
    for number in range(1, DEEPEST + 1):
        (tmp_path / f"deep{number}").write_text(f"include (deep{number - 1})")
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, text)


TOO_LONG = "x" * (LONGEST_HOST + 1)
REFUSED = {  # by the limit: what is just too much, and what is said then
    "LARGEST": ("#" * LARGEST + SEND, "gmond.conf: larger than 1048576 bytes$"),
    "DEEPEST": (f"include (deep{DEEPEST - 1})", "more than 10 files include each other$"),
    "LONGEST_HOST": (
        f"globals {{\noverride_hostname = {TOO_LONG} }}{SEND}",
        f"gmond.conf:2: expected at most 128 characters, got '{TOO_LONG}'$",
    ),
}
test_promise, test_twin = promises(
    *(
        Promise(check_refused, None, [Doubled(f"outputs.ganglia.gmond_conf:{name}")], text=text, says=says)
        for name, (text, says) in REFUSED.items()
    )
)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "gmond.conf"
    with pytest.raises(ConfigError, match=r"^cannot read .*/gmond.conf: No such file or directory$"):
        read_sending(str(path))
    with pytest.raises(ConfigError, match=r"^cannot read .*: Is a directory$"):
        read_sending(str(tmp_path))
    with pytest.raises(ConfigError, match=r"^cannot read .*/nowhere: No such file or directory$"):
        read(tmp_path, "include (nowhere)")
    path.write_bytes(bytes(range(256)) * 100)
    with pytest.raises(ConfigError):
        read_sending(str(path))
    path.unlink()
    os.mkfifo(path)  # for which nobody waits
    with pytest.raises(ConfigError, match="no udp_send_channel"):
        read_sending(str(path))


def test_endless_nesting_is_no_recursion(tmp_path: Path) -> None:
    deep = "a {" * 20_000 + "}" * 20_000
    assert read(tmp_path, deep + SEND).channels == (UNICAST,)
