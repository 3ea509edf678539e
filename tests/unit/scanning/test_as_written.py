"""Lines as servers, loggers and what stands between them write them, though no RFC would have them so.

Each is from a public report, a project's documentation or its source, with other names and addresses.
"""

import re

from qps_service.formats import json_lines, json_members, line, named_fields, presets, wrapping
from qps_service.formats.log_format import DECIDING
from qps_service.formats.presets import Preset
from qps_service.scanning import pure
from tests.promised import Patches, promises
from tests.unit.conftest import MakeScanner, by_each
from tests.unit.scanning.test_scanners import check_decides

Expected = tuple[bytes, bytes, int, int | None] | str
Row = tuple[str, bytes, Expected]

A: Expected = (b"GET", b"/a", 200, 5)
UNSIZED: Expected = (b"GET", b"/a", 200, None)
DECIDES = b'"method":"GET","uri":"/a","status":200'
OK = DECIDES + b',"bytes_sent":5'


def rows(text: str, expected: Expected, *lines: bytes) -> list[Row]:
    return [(text, each, expected) for each in lines]


ODD_JSON = [
    # nginx with escape=json: an empty variable, or - for it, without quotes; lists of upstreams.
    *rows(
        "json",
        A,
        b'{ %b, "upstream_time": }' % OK,
        b'{"upstream_response_time": , %b}' % OK,
        b'{"upstream_response_time":,%b,"upstream_addr":}' % OK,
        b'{"upstream_response_time": -, %b}' % OK,
        b'{"upstream_response_time": 0.001, 0.002, %b}' % OK,
        b'{"upstream_response_time":0.001, 0.002 : 0.1, -,%b}' % OK,
        b'{%b,"upstream_addr": 127.0.0.1:8080, 127.0.0.1:8081 }' % OK,
        b'{"agent": Mozilla/5.0 (X11; Linux) {x}, like, "host": h.example, %b}' % OK,
        b'{"request_time":0.000,"args":a=1&b={2},"up":{"time":,"status": },%b}' % OK,
        b'{"agent":"\\x22quoted\\x22",%b}' % OK,  # without escape=json
        # Quotes that nobody escaped, or one too many or too few.
        b'{"downstream_Etag":""5dcb9c2d-0"",%b}' % OK,
        b'{"If-None-Match":"W/"5dcb9c2d"","x":{"ETag":["W/"1"","W/"2""],"y":1},%b}' % OK,
        b'{"agent":"My "quoted" agent",%b,"referer":"a "b"" }' % OK,
        b'{%b,"body":"{"a": [1,"x"], "b": {}}","end":1}' % OK,
        b'{"type":"access",time":"2026-11-24T10:00:00Z",%b}' % OK,  # a template of Echo for Go
        b'{"host":h.example","x":1,%b}' % OK,
        b"{%b,}" % OK,
        b'{"a":1,,%b,"b"}' % OK,
        b'{"list":[a b, {"c":1} d],"other":[1,],"objects":[{"x":y z},{"q"}],%b}' % OK,
        # What stands before and behind; an object within quotes is a text.
        b"%b {%b} took 5 ms" % (b"escape=json", OK),
        b'{%b}{"status":500}' % OK,
        b"{%b}," % OK,
        b'{"request_body":"{\\"status\\": \\"500\\", \\"uri\\": \\"/x\\"}, \\"status\\":501",%b}' % OK,
        b'{"a":"}, \\"status\\":500}",%b}' % OK,
        # Cut off behind the size, wherever that is: 1,024 bytes of syslog.
        b"{%b," % OK,
        b'{%b,"agent":"Mozilla/5.0 (compatible; Goo' % OK,
        b'{%b,"agent":"x\\' % OK,
        b'{%b,"headers":{"Accept":["text/html","*' % OK,
        b'{%b,"agent' % OK,
        b'{%b,"tls":{"version":772' % OK,
    ),
    # A size that may be cut is none, and neither is a list.
    *rows(
        "json",
        UNSIZED,
        b'{%b,"bytes_sent":5' % DECIDES,
        b'{%b,"bytes_sent":"5' % DECIDES,
        b'{%b,"bytes_sent":}' % DECIDES,
        b'{%b,"bytes_sent":-}' % DECIDES,
        b'{%b,"bytes_sent":5 5, "x":1}' % DECIDES,
        b'{%b,"bytes_sent"' % DECIDES,
        b'{"method":"GET","status":200,"uri":"/a',
        b'{"method":"GET","uri":"/a","status":200',
        b'{"uri":"/a","status":200,"method":"GET',
    ),
    # A list has no points but in nginx's times: none of it stands behind a comma.
    ("json", b'{"uri":"/a","status":502, 200,"size":5, 6,"x":1}', (b"-", b"/a", 502, 5)),
    # What decides is no JSON.
    ("json", b'{"method": GET, "uri": /a?b={c},d, "status":"200"}', UNSIZED),
    ("json", b'{"method":"GET","uri":"/a"b","c","status":200}', (b"GET", b'/a"b', 200, None)),
    ("json", b'{"uri":"/a"b" ,"status":200}', (b"-", b'/a"b', 200, None)),
    ("json", b'{"uri":"/a" b,"status":200}', (b"-", b"/a", 200, None)),
    ("json", b'{"uri":/a\\u0041,"status": 200.0 }', (b"-", b"/a\\u0041", 200, None)),
    ("json", b'{"uri":"/a","status":200.00,"size":5}', (b"-", b"/a", 200, 5)),
    ("json", b'{"uri":"/a","status": ,"response_code":404}', (b"-", b"/a", 0, None)),
    ("json", b'{"uri":"/a","status":nul', "status"),
    (
        "json method=request.method route=request.uri",
        b'{"request":{"x":a={1}2,"method":"GET","uri":"/a"},"status":200}',
        UNSIZED,
    ),
    # A client of a server that escapes nothing can add a member, and the first counts.
    ("json", b'{"uri":"/a","status":"404","x":"","status":200}', (b"-", b"/a", 404, None)),
    *rows(
        "json",
        "status",
        b'{"uri":"/a","status":200.5}',
        b'{"uri":"/a","status":20',
        b'{"uri":"/a","status":"2',
    ),
    *rows(
        "json",
        "fields",
        b'{"uri":"/a","status":',
        b'{"uri":"/a","status":"',
        b'{"status":200,"uri":"',
        b'{"x":{"status":200,"uri":"/a"}}',
        b'{"x":[{"status":200,"uri":"/a"}]}',
        b'{"x":"\\","status":200,"uri":"/a"}',
        b"[200]",
        b"{}",
        b"{status:200,uri:/a}",
    ),
]

NAMES = [
    # Kong's file-log, and APISIX's; pino-http; the registry; ECS, with dots and nested; Serilog.
    *rows(
        "json",
        A,
        b'{"request":{"method":"GET","uri":"/a","url":"http://h:8000/a","size":"75"},"upstream_uri":"/x",'
        b'"response":{"status":200,"size":"5","headers":{}},"latencies":{"request":3},"started_at":1795514400425}',
        b'{"level":30,"time":1795514400425,"req":{"id":1,"method":"GET","url":"/a?b","headers":{"host":"h"}},'
        b'"res":{"statusCode":200,"headers":{}},"responseTime":3,"size":5,"msg":"request completed"}',
        b'{"http.request.method":"GET","http.request.uri":"/a","http.response.status":200,"size":5,"level":"info"}',
        b'{"@timestamp":"2026-11-24T10:00:00Z","http":{"request":{"method":"GET","body":{"bytes":9}},'
        b'"response":{"status_code":200,"body":{"bytes":5}}},"url":{"original":"/a?b","path":"/a","query":"b"}}',
        b'{"http.request.method":"GET","url.path":"/a","http.response.status_code":200,'
        b'"http.response.body.bytes":5}',
        b'{"@t":"2026-11-24T10:00:00Z","RequestMethod":"GET","RequestPath":"/a","StatusCode":200,"length":5}',
        # Echo, gin by zap, hlog, morgan, Tomcat, Fastly, json-logging, logstash, Fluent Bit, HAProxy's users
        b'{"time":"2026-11-24T10:00:00Z","method":"GET","uri":"/a?b","status":200,"bytes_in":0,"bytes_out":5}',
        b'{"level":"info","ts":1795514400.5,"msg":"/a","status":200,"method":"GET","path":"/a","size":5}',
        b'{"method":"GET","url":"/a","status":200,"size":5,"duration":0.31}',
        b'{"method":"GET","url":"/a","status":200,"content_length":"5","response_time":3.1}',
        b'{"time":"[24/Nov/2026:10:00:00 +0000]","request":"GET /a HTTP/1.1","statusCode":"200","size":"5"}',
        b'{"url":"/a","request_method":"GET","response_status":200,"size":5}',
        b'{"type":"request","request":"/a?b","method":"GET","response_status":200,"size":5}',
        b'{"@timestamp":"2026-11-24T10:00:00Z","method":"GET","url":"/a","status_code":200,"content_length":5}',
        b'{"date":1795514400.5,"host":"192.0.2.1","user":"-","method":"GET","path":"/a","code":"200","size":"5"}',
        b'{"http_method":"GET","http_request":"/a","http_status_code":200,"response_size":5}',
        # OpenTelemetry before 1.20, Datadog
        b'{"http.method":"GET","http.target":"/a?b","http.status_code":200,"size":5}',
        b'{"http":{"method":"GET","url":"/a","status_code":200},"duration":7,"size":5}',
        b'{"http_request":"GET /a HTTP/1.1","http_status":"200","bytes":5}',
        b'{"request": {"uri":"\\/a","method":"GET"}, "response": {"status_code": 200, "size":5}}',
        # Apache's, as many have it: `request` is %U
        b'{ "time":"[24/Nov/2026:10:00:00 +0000]", "remoteIP":"192.0.2.1", "request":"/a", "query":"?b",'
        b' "method":"GET", "status":"200", "bytes":"5" }',
        # A name of a server counts before those of people.
        b'{"code":"E1","length":9,"url":"/x","bytes":7,"request":{"method":"GET","uri":"/a"},"status":200,"size":5}',
        b'{"code":1,"DownstreamStatus":200,"DownstreamContentSize":5,"url":"/x","RequestMethod":"GET",'
        b'"RequestPath":"/a","length":7}',
        b'{"code":"x","response_code":200,"bytes":9,"bytes_sent":5,"url":"/x","path":"/a","method":"GET"}',
        b'{"http_status":1,"status":200,"url":"/x","request_uri":"/a","uri":"/i.php","request_method":"GET",'
        b'"length":9,"body_bytes_sent":5}',
        b'{"request":"/x","uri":"/a","method":"GET","status":200,"size":5}',
    ),
    ("json", b'{"msg":"failed","url":"/a","code":"ECONNRESET"}', "status"),
]

CRI = b"2026-11-24T11:00:00.493035218+01:00 stdout F "
STAMP = b"2026-11-24T10:00:00.123456789Z "  # docker logs -t
PREFIXES = (
    CRI,
    b"2026-11-24T10:00:00Z stderr P ",
    b"web-1  | ",
    b"\x1b[36mweb-1  | \x1b[0m",
    b"\x1b[36;1mweb_1  |\x1b[0m ",
    b"my.web_1 | ",
    b"web.1.x7k2@node    | ",
    STAMP,
    b"2026-11-24T10:00:00.123456789+01:00 ",
    b"web-1  | " + STAMP,
    b"[pod/web-5d7/nginx] ",
    b"[pod/web-5d7/nginx] " + STAMP,
    b"MESSAGE=",
    b"<190>Nov 24 10:00:00 lb nginx: ",
    b"Nov  4 10:00:00 lb haproxy[1234]: ",
    b"2026-11-24T10:00:00+0000 host nginx[7]:   ",
    b"Tue 2026-11-24 10:00:00 UTC host nginx[7]: ",
    b"<190>1 2026-11-24T10:00:00.1Z host nginx 7 access - ",
    b'<14>1 2026-11-24T10:00:00Z - - - - [a@1 b="c \\] d"][e@2 f="g"] \xef\xbb\xbf',
    b"\0" * 100,
)
CONSOLE = b"2026/11/24 10:00:00.123\tINFO\thttp.log.access.log0\thandled request\t"  # Caddy's
NPM = '[$time_local] $status - $request_method $scheme $host "$request_uri" $bytes_sent'
TEXTS = (  # formats that begin with something else than an address, which takes whatever stands before it
    (NPM, b'[24/Nov/2026:10:00:00 +0000] 200 - GET https h.example "/a" 5'),
    ('"$request" $status $bytes_sent', b'"GET /a HTTP/1.1" 200 5'),
    ("$status $method $uri $bytes_sent", b"200 GET /a 5"),
    ("ltsv", b"status:200\tsize:5\treq:GET /a HTTP/1.1"),
    ("json", b"{%b}" % OK),
)
FIRST = b"192.0.2.1 - - [24/Nov/2026:10:00:00 +0000] "
COMBINED = FIRST + b'"GET /a HTTP/1.1" 200 5 "-" "My \\"quoted\\" \xc3\xa9"'
INNER = (
    *TEXTS,
    ("combined", COMBINED),
    ("common", FIRST + b'"GET /a HTTP/1.1" 200 5'),
    ("default", b"192.0.2.1\tGET /a\t200\t5"),
    ("default", b"192.0.2.1   GET /a 200  5"),
    ("$remote_addr $request_method $uri $status $bytes_sent", b"192.0.2.1 GET /a 200 5"),
    ("$bytes_sent $status $request_method $uri", b"5 200 GET /a"),
    ('%h %v %u %t "%r" %>s %b', FIRST + b'"GET /a HTTP/1.1" 200 5'),
    ("json", CONSOLE + b"{%b}" % OK),
)


def escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\t", b"\\t")


def in_docker(text: bytes, end: bytes = b"\\n") -> bytes:
    """As its json-file has it, by jsonlog.go."""
    return b'{"log":"%b%b","stream":"stdout","time":"2026-11-24T10:00:00.123456789Z"}' % (escaped(text), end)


AROUND: list[Row] = [
    *((text, prefix + each, A) for text, each in TEXTS for prefix in PREFIXES),
    *((text, in_docker(each), A) for text, each in INNER),
    *((text, b'{"_PID":"7","MESSAGE":"%b","PRIORITY":"6"}' % escaped(each), A) for text, each in INNER),
    ("combined", b'{"MESSAGE":"odd","log":"%b"}' % escaped(COMBINED), A),
    ("json", CONSOLE + b"{%b}" % OK, A),
    ("json", b"{%b}" % OK + b" " + CRI, A),
    ("combined", in_docker(COMBINED, b"\\r\\n"), A),
    ("combined", in_docker(COMBINED, b"") + b"\r", A),
    ("combined", in_docker(COMBINED).replace(b"stdout", b'stdout","attrs":{"tag":"web"},"x":"'), A),
    ("combined", b'{"stream":"stdout",' + in_docker(COMBINED)[1:], A),
    ("combined", in_docker(COMBINED)[:-70], A),  # the disk was full
    ("json", in_docker(b"{%b}" % OK)[:-1] + b',"kubernetes":{"pod_name":"web"}}', A),
    ("json", in_docker(b'{%b,"x":}' % OK), A),
    # What has a status of its own is no wrapper; nothing is unwrapped twice, or from within a line.
    ("json", b'{"log":"{\\"uri\\":\\"/x\\",\\"status\\":500}",%b}' % OK, A),
    ("json", in_docker(in_docker(b"{%b}" % OK)), "fields"),
    ("combined", in_docker(CRI + COMBINED), A),  # the address is anything up to a hyphen
    ("combined", b"odd " + in_docker(COMBINED), "fields"),
    (NPM, b'[x] odd - GET https h "/a" 5 ' + CRI + TEXTS[0][1], "status"),
    *rows(
        "combined",
        "fields",
        in_docker(b"starting"),
        b'{"log":null}',
        b'{"log":["x"]}',
        b'{"log":5}',
        b'{"lo":"x"}',
    ),
    *rows(
        NPM,
        "fields",
        *(
            odd + TEXTS[0][1]
            for odd in (
                *(b"odd ", b"a b c d e f g: ", b"a b:", b"web-1  |x", b"web-1| ", b"-web | "),
                *(b"2026-11-24T10:00:00.123456Z ", STAMP[:-2], b"MESSAGE: ", b"\x1b[36web | ", b"<1>"),
            )
        ),
        *(
            odd + TEXTS[0][1]
            for odd in (b"2026-11-24 stdout F ", b"2026-11-24T1 stdin F ", b"2026-11-24T1 stdout X ")
        ),
        *(STAMP[:length] for length in range(1, len(STAMP), 3)),
        *(CRI[:length] for length in range(1, len(CRI) + 1, 3)),
        *(PREFIXES[-2][:length] for length in range(1, len(PREFIXES[-2]), 3)),
    ),
    *rows(NPM, "status", *(odd + TEXTS[0][1] for odd in (b"[pod/] ", b"[pod/a b] ", b"[pod] "))),
]

OWN = "ltsv route=path status=code bytes=sent"
LTSV = [
    *rows(
        "ltsv",
        A,
        # ltsv.org's, Apache's and nginx's recipes; openresty's with a tab at its end; log2ltsv's
        b"host:127.0.0.1\tident:-\tuser:-\ttime:[10/Jul/2026:13:27:05 +0200]\treq:GET /a HTTP/1.1\tstatus:200"
        b"\tsize:5\treferer:http://h.example/\tua:Mozilla/5.0 (X11; rv:59.0) Gecko",
        b"time:24/Nov/2026:10:00:00 +0000\thost:192.0.2.1\treq:GET /a?b=c:d HTTP/1.1\tstatus:200"
        b"\tsize:5\treqtime:0.030\tcache:-\truntime:-\tapptime:0.028\tvhost:h.example",
        b"time_ngx:13/Dec/2026:12:20:51\tstatus:200\tmethod:GET\tscheme:http\tpath:/a\tbytes_sent:5\tx:-\t",
        b"time:2026-11-24T10:00:00+00:00\tuser:-\tstatus:200\tsize:5\tmethod:GET\turi:/a\tapptime:0",
        b"size:5\turi:/a\tstatus:200\tmethod:GET",
        b"status:200\tsize:5\turi:/a?b:c\tmethod:GET\treqtime",
        b"junk\t:\t\tstatus:200\tsize:5\turi:/a\tmethod:GET\tstatus:500\turi:/b",
        b"request_method:GET\trequest_uri:/a\tstatus:200\tbody_bytes_sent:5\tbytes_sent:300",
        b"uri:/x\treq:GET /a HTTP/1.1\tstatus:200\tsize:5",
        b"req:/a\tmethod:GET\tstatus:200\tsize:5",
        b"status:200\tsize:5\treq:GET /a HTTP/1.1\r",
        b"\xef\xbb\xbfstatus:200\tsize:5\treq:GET  /a  HTTP/1.1 ",
    ),
    *rows(
        "ltsv", UNSIZED, *(b"status:200\treq:GET /a\tsize:" + each for each in (b"-", b"", b"+5", b"5 \tx:"))
    ),
    ("ltsv", b"status:-\treq:-", (b"-", b"-", 0, None)),
    ("ltsv", b"status:\treq:GET /a", (b"GET", b"/a", 0, None)),
    ("ltsv", b"status:null\treq:GET /a", "status"),
    # Empty at the end, be it that the line is cut there: nothing, unless another label of the role tells.
    *rows("ltsv", (b"GET", b"/a", 0, None), b"req:GET /a\tstatus:", b"req:GET /a\tsize:\tstatus:\r"),
    *rows("ltsv", (b"-", b"-", 200, None), b"status:200\treq:", b"method:GET\tstatus:200\turi:"),
    *rows(
        "ltsv",
        UNSIZED,
        *(
            b"status_code:200\tmethod:GET\turi:/a\t" + each
            for each in (b"status:", b"req:", b"uri:", b"method:")
        ),
    ),
    (OWN, b"method:PUT\tpath:/a\turi:/b\tcode:404\tstatus:200\tsent:7\tsize:9", (b"PUT", b"/a", 404, 7)),
    (OWN, b"req:GET /b\tpath:/a:b\tcode:404", (b"-", b"/a:b", 404, None)),
    *rows("ltsv", "status", b"status:20\treq:GET /a", b"req:GET /a\tstatus:2000", b"status: 200\treq:GET /a"),
    *rows(
        "ltsv",
        "fields",
        b"req:GET /a\tstatus",
        b"req:GET /a",
        b"status:200",
        b"status 200\turi /a",
        b"\t:\t",
    ),
]

SAID = CONSOLE.replace(b"access.log0", b"error").replace(b"INFO", b"ERROR")
MESSAGES: list[Row] = [  # of Caddy's, about a request that has a line of its own
    *rows(
        "json",
        "fields",
        *(
            b'{"logger":"%b","msg":"dial tcp: refused",%b}' % (logger, OK)
            for logger in (b"http.log.error", b"http.log.error.log0", b"http.handlers.reverse_proxy")
        ),
        b'{%b,"logger":"http\\u002elog.error"}' % OK,
        in_docker(b'{"logger":"http.log.error",%b}' % OK),
        SAID + b"{%b}" % OK,
        CRI + SAID + b"{%b}" % OK,
        SAID.replace(b"log.error", b"handlers.x") + b"{%b}" % OK,
    ),
    *rows(
        "json",
        A,
        *(
            b'{"logger":%b,%b}' % (logger, OK)
            for logger in (
                *(b'"http.log.access"', b'"http.log.access.log0"', b'"http.log.erro"', b'"http"', b"null"),
                b"5",
            )
        ),
        b'{"x":{"logger":"http.log.error"},%b}' % OK,
        b'{%b,"msg":"\thttp.log.error"}' % OK,
        b"http.log.error {%b}" % OK,
        b'{%b,"logger":"http.log.error' % OK,  # cut
    ),
    ("ltsv", b"logger:http.log.error\tstatus:200\tsize:5\treq:GET /a", A),
]

ROWS = {"odd JSON": ODD_JSON, "names": NAMES, "around": AROUND, "ltsv": LTSV, "messages": MESSAGES}


def check_rows(make: MakeScanner, kind: str) -> None:
    for text, written, expected in ROWS[kind]:
        try:
            check_decides(make, text, written, expected)
        except AssertionError as error:
            raise AssertionError(f"{text}: {written!r}: {error}") from error


NEVER = re.compile(rb"$.")
REVERSED = {role: paths[::-1] for role, paths in json_lines.CANDIDATES.items()}


PREFIXES_OF = wrapping._PREFIXES
REAL_VALUES = named_fields.values_of
TWINS = {
    "odd JSON": {
        "what is no JSON ends the line": Patches(
            (json_members, "_ON", NEVER), (json_members, "_ON_OUTMOST", NEVER)
        ),
        "any brace closes": Patches((json_members, "_ON", re.compile(rb',(?=[ ]*")|\}'))),
        "an object begins its line": Patches((json_members, "_BEGIN", re.compile(rb"\A\{"))),
        "what may be cut is measured": Patches((named_fields, "DECIDING", (*DECIDING, "bytes"))),
        "a status has no fraction": Patches((named_fields, "_WHOLE", NEVER)),
    },
    "names": {
        name: Patches((presets, "PRESETS", {"json": Preset((text,), "", "")}))
        for name, text in (
            ("the plainest names first", json_lines.text_of("json", REVERSED)),
            ("without a name", json_lines.TEXT.replace(" route=url.path ", " ") + " route=unknown"),
        )
    },
    "around": {
        "nothing is taken off": Patches((line, "unwrap", lambda written: None)),
        "a field takes docker's object": Patches((pure, "begins_with_field", lambda pieces: False)),
        "docker's stream is the line": Patches((wrapping, "MEMBERS", (b"stream", *wrapping.MEMBERS[1:]))),
        "the journal's object is not known": Patches((wrapping, "MEMBERS", wrapping.MEMBERS[:1])),
        "an object begins anywhere": Patches((wrapping, "_OBJECT", re.compile(rb'[^{]*\{"'))),
        **{
            f"without prefix {number}": Patches(
                (wrapping, "_PREFIXES", PREFIXES_OF[:number] + PREFIXES_OF[number + 1 :])
            )
            for number in range(len(PREFIXES_OF))
        },
    },
    "ltsv": {
        "the last of a label counts": Patches(
            (named_fields, "values_of", lambda written: dict(_pairs(written)))
        ),
        "what is empty at the end says nothing, either": Patches(
            (named_fields, "values_of", lambda written: REAL_VALUES(re.sub(rb"[^\t]*:$", b"", written)))
        ),
        "what is empty at the end is a value": Patches(
            (named_fields, "values_of", lambda written: REAL_VALUES(written + b"\t"))
        ),
    },
    "messages": {
        "messages are requests": Patches((named_fields, "MESSAGES", (b"?",))),
        "debugging is requests": Patches((named_fields, "MESSAGES", named_fields.MESSAGES[:1])),
        "all of http is messages": Patches((named_fields, "MESSAGES", (b"http",))),
        "the console's are requests": Patches((named_fields, "is_message", lambda before: False)),
    },
}


def _pairs(written: bytes) -> list[tuple[bytes, bytes]]:
    split = (field.partition(b":") for field in written.split(b"\t"))
    return [(label, text) for label, _, text in split]


test_promise, test_twin = promises(
    *(promise for kind in ROWS for promise in by_each(check_rows, TWINS[kind], kind=kind))
)
