"""Which preset the lines of a log fit, in words."""

import gzip
import json
from collections.abc import Callable, Sequence

import pytest

from qps_service.formats import detection
from qps_service.formats.detection import VOTES, Choice, Votes, choose, fits
from qps_service.formats.presets import AUTO_ORDER, PRESETS, compile_format
from tests.promised import Patches, Promise, promises

COMMON = b'1.2.3.4 - - [24/Nov/2026:14:50:08 +0000] "GET /a HTTP/1.1" 200 512'
COMBINED = COMMON + b' "-" "curl/8"'
VHOST = COMBINED.replace(b"1.2.3.4 -", b"1.2.3.4 www.example.org")
DEFAULT = b"1.2.3.4\tGET /a\t200\t512"
JSON = b'{"request":{"method":"GET","uri":"/a"},"status":200,"size":512}'
FIELDS = b"#Fields: cs-method cs-uri-stem sc-status"
TLS = COMBINED.replace(b"GET /a HTTP/1.1", rb"\x16\x03\x01")
# Of a client who wants lines to be read in another way: what it says stands first in its own line.
SAID = b'#Fields: cs-uri-stem sc-status - - [24/Nov/2026:14:50:08 +0000] "GET / HTTP/1.1" 200 5 "-" "-"'
BROWSER = COMMON + b' "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129"'
OBJECT = b'{"status":"200","url":"/b"}'
# What servers say of themselves in the same file.
CADDY = b'{"level":"info","ts":1795514400.1,"logger":"tls","msg":"storage cleaned","status":"ok"}'
TRAEFIK = b'time="2026-11-24T14:50:08Z" level=info msg="Configuration loaded" status=200'
GUNICORN = b"[2026-11-24 14:50:08 +0000] [7] [INFO] Listening at: http://127.0.0.1:8000 (7)"
APACHE = b"[Tue Nov 24 14:50:08.123456 2026] [mpm_event:notice] [pid 7:tid 1] AH00489: Apache/2.4 configured"
# nginx's has a path as the client chose it: it may look like a line of any format.
NGINX = (
    b'2026/11/24 14:50:08 [error] 9#9: *1 open() "/srv/\tstatus:200\turi:/b\t" failed (2: No such file or '
    b'directory), client: 1.2.3.4, server: , request: "GET /%09status:200%09uri:/b%09 HTTP/1.1", host: "x"'
)
OWN = [
    *(CADDY, TRAEFIK, GUNICORN, APACHE, NGINX, b"web-1  | " + NGINX),
    json.dumps({"log": NGINX.decode()}).encode(),
]

Choose = Callable[[Sequence[bytes]], Choice]


Case = tuple[list[bytes], str | None, str]  # lines, the format's name, the reason


def check_choice(choose: Choose, case: Case) -> None:
    choice = choose(case[0])
    assert (choice.format.text if choice.format else None, choice.reason) == case[1:]


NONE = "none of {} lines fits a format that has a name"
CASES: list[Case] = [
    ([COMBINED], "combined", "1 of 1 lines fit combined"),
    ([COMMON] * 2, "combined", "2 of 2 lines fit combined"),
    ([DEFAULT + b"\r"], "default", "1 of 1 lines fit default"),
    ([JSON], "json", "1 of 1 lines fit json"),
    ([b"\xef\xbb\xbf" + JSON], "json", "1 of 1 lines fit json"),
    (
        [COMMON, COMBINED, b"?", COMBINED, DEFAULT],
        "combined",
        '3 of 4 lines fit combined, 1 default; 1 fit none; format = ["combined", "default"] counts both',
    ),
    ([VHOST] * 9 + [COMMON], "combined", "10 of 10 lines fit combined"),
    # Each tenth line of another format is told how to be counted, if it can be.
    ([DEFAULT, JSON], "json", '1 of 2 lines fit json, 1 default; format = ["json", "default"] counts both'),
    (
        [COMMON] * 9 + [JSON],
        "combined",
        '9 of 10 lines fit combined, 1 json; format = ["json", "combined"] counts both',
    ),
    ([COMMON] * 10 + [JSON], "combined", "10 of 11 lines fit combined, 1 json"),
    ([FIELDS, b"GET /a 200", JSON], "w3c", "2 of 3 lines fit w3c, 1 json"),
    # Who speaks no HTTP comes first on many a morning.
    ([TLS], "combined", "1 of 1 lines fit combined"),
    ([b"", b" ", COMBINED], "combined", "1 of 1 lines fit combined"),
    # A server's own messages have no vote, however many they are.
    *(([own] * 500 + [COMMON] * 2, "combined", "2 of 2 lines fit combined; 500 fit none") for own in OWN),
    ([b"#Software: x", FIELDS, b"GET /a 200", b"GET /a 2000"], "w3c", "3 of 3 lines fit w3c; 1 fit none"),
    ([CADDY, JSON] * 2, "json", "2 of 2 lines fit json; 2 fit none"),
    ([COMMON] * VOTES + [JSON] * 500, "combined", f"{VOTES} of {VOTES} lines fit combined"),
    # A few odd lines do not outvote the others.
    ([COMBINED] * 5 + [JSON] * 68, "json", "68 of 73 lines fit json, 5 combined"),
    ([], None, "there is no line yet"),
    ([b"", b"\r", b"\0\0\0"], None, "there is no line yet"),
    ([b"hello", b"world"], None, NONE.format(2)),
    ([b"hello"] * 200, None, NONE.format(200)),
    ([b'{"hello": 1}'], None, NONE.format(1)),
    ([COMBINED.replace(b" 200 ", b" OK ")], None, NONE.format(1)),
    (f"{COMMON.decode()}\n".encode("utf-16").split(b"\n"), None, "it is in UTF-16, expected UTF-8"),
    (gzip.compress(COMMON).split(b"\n"), None, "it is compressed with gzip"),
    ([b"\xfd7zXZ\0x"], None, "it is compressed with xz"),
    ([b"BZh91AY"], None, "it is compressed with bzip2"),
    ([b"\x28\xb5\x2f\xfdx"], None, "it is compressed with zstd"),
    ([b"\x7fELF\0\0"], None, "it is binary"),
    # After a power cut zeros may stand before a log that is sound, or before each of its lines.
    ([b"\0\0\0", COMMON], "combined", "1 of 1 lines fit combined"),
    ([b"\0\0\0" + COMMON + b"\r", b"\0\xef\xbb\xbf" + COMMON], "combined", "2 of 2 lines fit combined"),
    ([b"#Software: IIS", b"GET /a 200"], "w3c", "1 of 1 lines fit w3c; 1 fit none"),
    ([b"GET /a 200", FIELDS], "w3c", "1 of 1 lines fit w3c; 1 fit none"),
    ([JSON.replace(b"512", b"512.0"), JSON.replace(b"512", b'"1.2 kB"')], "json", "2 of 2 lines fit json"),
    ([b"status:200\tsize:1.2 kB\treq:GET /a HTTP/1.1"], "ltsv", "1 of 1 lines fit ltsv"),
    *(
        ([COMMON.replace(b"512", size)], "combined", "1 of 1 lines fit combined")
        for size in (b"0.004", b"+2")
    ),
    # Its blanks might be fields of a load balancer's with nothing in them.
    (
        [b'Nov 24 14:50:08 web app: INFO:     1.2.3.4:7 - "GET /a HTTP/1.1" 200 OK'],
        "uvicorn",
        "1 of 1 lines fit uvicorn",
    ),
    # Behind a prefix, whose directives have a vote, too.
    (
        [b"web-1  | " + line for line in (b"#Version: 1.0", FIELDS, b"GET /a 200", b"GET /a 2000")],
        "w3c",
        "3 of 3 lines fit w3c; 1 fit none",
    ),
    ([SAID, BROWSER, BROWSER], "combined", "3 of 3 lines fit combined"),
    ([b"\0" + SAID, BROWSER], "combined", "2 of 2 lines fit combined"),
    ([COMMON.replace(b"HTTP/1.1", b"1.1")], "combined", "1 of 1 lines fit combined"),
    ([FIELDS, b"GET /%b 404" % OBJECT], "w3c", "2 of 2 lines fit w3c"),
    ([DEFAULT.replace(b"/a", b"/" + OBJECT)], "default", "1 of 1 lines fit default"),
    ([b"web-1  | " + OBJECT + b"\t "], "json", "1 of 1 lines fit json"),
]


TWINS: dict[int, object] = {
    len(CASES) - 6: Patches((detection, "_is_of_others", lambda *_: False)),
    7: Patches((detection, "AUTO_ORDER", AUTO_ORDER[::-1])),
    8: Patches((Votes, "_advice", lambda *_: "")),
    9: lambda lines: choose(lines[1:]),  # nine others
    13: lambda lines: choose(lines[-2:]),  # as many as count
    17: Patches((detection, "_is_message", lambda *_: False)),
}
test_promise, test_twin = promises(
    *(
        Promise(check_choice, choose, [TWINS[number]] if number in TWINS else [], case=case)
        for number, case in enumerate(CASES)
    )
)


def test_every_preset_can_be_chosen() -> None:
    assert set(AUTO_ORDER) == {*PRESETS, "w3c"}


@pytest.mark.parametrize(
    ("line", "names"), [(COMBINED, ["combined"]), (TLS, ["combined"]), (b"?", []), (JSON, ["json"])]
)
def test_what_a_line_fits(line: bytes, names: list[str]) -> None:
    assert [name for name in PRESETS if fits(compile_format(name), line)] == names


def test_what_stands_before_is_no_directive_if_a_client_may_have_said_it() -> None:
    votes = Votes()
    votes.add([BROWSER], fields=SAID)
    votes.add([b"GET /a 200"], fields=FIELDS)
    assert votes.choice().reason == "1 of 2 lines fit w3c, 1 combined"
