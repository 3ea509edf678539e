"""The log's line format, in the language of the server that writes it. One for scanner and simulator.

    $remote_addr - $remote_user [$time_local] "$request" $status    nginx's log_format (nginx.py)
    %h %l %u %t "%r" %>s %b                                         Apache's LogFormat (apache.py)
    json route=request.uri                                          lines of JSON (json_lines.py)
    ltsv route=uri                                                  labels and values (ltsv.py)
    combined                                                        the combined family (combined.py)
    w3c                                                             what the log itself tells (w3c.py)
    default                                                         a name for one of those, or for several
    auto                                                            the lines tell (detection.py)

In lines of text a field runs up to the first place where the literal stands that follows it, the last one to
the end of the line. A field between double quotes may hold quotes behind a backslash, as Apache writes them
(mod_log_config). So a line can be matched from left to right without ever looking back, which also keeps the
time for a hostile line proportional to its length. `line.py` has the whole of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from qps_service.errors import FormatError
from qps_service.formats import json_lines, ltsv, nginx, w3c
from qps_service.formats.log_format import HOST, Field, LogFormat, Member
from qps_service.formats.nginx import ROLES

__all__ = [
    "AUTO",
    "AUTO_ORDER",
    "DEFAULT",
    "LIST_LIMIT",
    "NAMES",
    "PRESETS",
    "ROLES",
    "Field",
    "LogFormat",
    "Member",
    "Preset",
    "as_list",
    "compile_format",
]


class Preset(NamedTuple):
    """A name for formats."""

    texts: tuple[str, ...]  # several where a server writes lines in several: they are a list then
    what: str  # whose lines they are
    example: str
    source: str | None = None  # where its server says so


DEFAULT = r"$ip_address\t$method $route\t$status_code\t$response_bytes"
PRESETS = {
    "default": Preset(
        (DEFAULT,),
        "tabs between the fields; runs of blanks are taken for tabs too, as in a log copied from a terminal",
        "203.0.113.7\tGET /help?a\t200\t512",
    ),
    "combined": Preset(
        (
            '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
            '"$http_user_agent"',
        ),
        "the combined family: what most servers write, see below",
        '203.0.113.7 - - [24/Nov/2026:14:50:08 +0100] "GET /help?a HTTP/1.1" 200 512 "-" "curl/8.5"',
        "https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format",
    ),
    json_lines.NAME: Preset(
        (json_lines.TEXT,),
        "JSON objects, as Caddy, Traefik, Envoy, and nginx with `escape=json` write them",
        '{"request":{"method":"GET","host":"example.org","uri":"/help?a"},"size":512,"status":200}',
    ),
    ltsv.NAME: Preset(
        (ltsv.TEXT,),
        "labels and values between tabs (Labeled Tab-separated Values)",
        "time:24/Nov/2026:14:50:08 +0100\thost:203.0.113.7\treq:GET /help?a HTTP/1.1\tstatus:200\tsize:512",
        "http://ltsv.org",
    ),
    # With what syslog puts before it, or without. Headers that are captured have no quotes in them (8.6).
    "haproxy": Preset(
        (
            "$client [$time_local] $frontend $backend/$server $tr/$tw/$tc/$ttr/$duration_ms $status "
            "$bytes_sent $cc $cs $tsc $actconn/$feconn/$beconn/$srv_conn/$retries "
            '$srv_queue/$rest "$request"',
        ),
        "HAProxy with `option httplog` or `httpslog`",
        "Nov 24 14:50:08 lb haproxy[9]: 203.0.113.7:33317 [24/Nov/2026:14:50:08.655] web~ app/a1 "
        '10/0/30/69/109 200 512 - - ---- 1/1/1/1/0 0/0 {example.org} {} "GET /help?a HTTP/1.1"',
        "https://docs.haproxy.org/3.0/configuration.html#8.2.3",
    ),
    "alb": Preset(
        (
            "$type $time_iso8601 $elb $client $target $request_processing_time $duration_s "
            '$response_processing_time $status $target_status $received_bytes $bytes_sent "$request" $rest',
        ),
        "Application Load Balancers of AWS; schemes and hosts go",
        "https 2026-11-24T14:50:08.186641Z app/shop/50dc6c495c0c9188 203.0.113.7:2817 10.0.0.1:80 "
        '0.086 0.048 0.037 200 200 0 512 "GET https://example.org:443/help?a HTTP/1.1" "curl/8.5" '
        "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2",
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html",
    ),
    "elb": Preset(
        (
            "$time_iso8601 $elb $client $backend $request_processing_time $duration_s "
            '$response_processing_time $status $backend_status $received_bytes $bytes_sent "$request" $rest',
        ),
        "Classic Load Balancers of AWS; schemes and hosts go",
        "2026-11-24T14:50:08.945958Z shop 203.0.113.7:2817 10.0.0.1:80 0.000073 0.001048 0.000057 "
        '200 200 0 512 "GET http://example.org:80/help?a HTTP/1.1" "curl/8.5" - -',
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/access-log-collection.html",
    ),
    "s3": Preset(
        (
            "$owner $bucket [$time_local] $remote_addr $requester $request_id $operation $key "
            '"$request" $status $error_code $bytes_sent $object_size $duration_ms $rest',
        ),
        "Amazon S3's server access log",
        "79a59df900b949e5 shop [24/Nov/2026:14:50:08 +0000] 203.0.113.7 79a59df900b949e5 3E57427F3E "
        'REST.GET.OBJECT help "GET /shop/help?a HTTP/1.1" 200 - 512 512 7 6 "-" "curl/8.5" -',
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html",
    ),
    "envoy": Preset(
        (
            '[$time_iso8601] "$request" $status $response_flags $bytes_received $bytes_sent '
            "$duration_ms $rest",
        ),
        "Envoy's default",
        '[2026-11-24T14:50:08.310Z] "GET /help?a HTTP/2" 200 - 0 512 226 100 "203.0.113.7" "curl/8.5" '
        '"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "example.org" "10.0.0.1:80"',
        "https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage",
    ),
    "istio": Preset(
        (
            '[$time_iso8601] "$request" $status $response_flags $response_code_details '
            '$connection_termination_details "$upstream_transport_failure_reason" '
            "$bytes_received $bytes_sent $duration_ms $rest",
        ),
        "Envoy as Istio sets it up, with text",
        '[2026-11-24T14:50:08.409Z] "GET /help?a HTTP/1.1" 200 - via_upstream - "-" 0 512 4 4 "-" '
        '"curl/8.5" "84961386-6d84-929d-98bd-c5aee93b5c88" "example.org" "10.0.0.1:80"',
        "https://istio.io/latest/docs/tasks/observability/logs/access-log/",
    ),
    # Behind the level, or whatever a logger's own format puts before the client; on a terminal in colours.
    "uvicorn": Preset(
        ('$client - "$request" $status $phrase', '$client - "$request" $escape[${color}m$status $phrase'),
        "uvicorn's default",
        'INFO:     203.0.113.7:52716 - "GET /help?a HTTP/1.1" 200 OK',
        "https://github.com/encode/uvicorn/blob/master/uvicorn/logging.py",
    ),
    # And `standard`, which lacks two fields: qps_service.formats.nginx reads it by this one.
    "nginx-proxy-manager": Preset(
        (
            "[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host "
            '"$request_uri" [Client $remote_addr] [Length $body_bytes_sent] $rest',
        ),
        "Nginx Proxy Manager, lines of both of its formats",
        '[24/Nov/2026:14:50:08 +0000] - 200 200 - GET https example.org "/help?a" [Client 203.0.113.7] '
        '[Length 512] [Gzip -] [Sent-to 10.0.0.1] "curl/8.5" "-"',
        "https://github.com/NginxProxyManager/nginx-proxy-manager/blob/develop/docker/rootfs/etc/nginx/"
        "conf.d/include/log-proxy.conf",
    ),
    # The time that it took is filled up with blanks to six digits (%6tr): those with the most come first.
    "squid": Preset(
        tuple(
            f"$msec{' ' * blanks}$duration_ms $client_and_code/$status $bytes_sent "
            "$request_method $request_uri $rest"
            for blanks in range(6, 0, -1)
        ),
        "Squid's own format; schemes and hosts go",
        "1795531808.373    124 203.0.113.7 TCP_MISS/200 512 GET http://example.org/help?a - "
        "HIER_DIRECT/192.0.2.80 text/html",
        "https://wiki.squid-cache.org/Features/LogFormat",
    ),
    # With `log-micros` in microseconds; with `memory-report` there are more braces before the variables.
    "uwsgi": Preset(
        tuple(
            f"$process vars in $size}} [$time] $request_method $request_uri => generated $bytes_sent bytes "
            f"in $duration_{unit} {word}$via ($protocol $status) $rest"
            for unit, word in (("ms", "msecs"), ("us", "micros"))
        ),
        "uWSGI's default",
        "[pid: 9|app: 0|req: 1/1] 203.0.113.7 () {40 vars in 685 bytes} [Tue Nov 24 14:50:08 2026] "
        "GET /help?a => generated 512 bytes in 2 msecs (HTTP/1.1 200) 2 headers in 79 bytes",
        "https://uwsgi-docs.readthedocs.io/en/latest/LogFormat.html",
    ),
    "django": Preset(
        ('[$time_local] "$request" $status $bytes_sent',),
        "Django's `runserver`",
        '[24/Nov/2026 14:50:08] "GET /help?a HTTP/1.1" 200 512',
        "https://docs.djangoproject.com/en/stable/ref/logging/#django-server",
    ),
    "php-fpm": Preset(
        ('$remote_addr - $user_and_time "$request" $status',),
        "PHP-FPM's `access.log`",
        '203.0.113.7 -  24/Nov/2026:14:50:08 +0100 "GET /help.php" 200',
        "https://www.php.net/manual/en/install.fpm.configuration.php",
    ),
}
COMBINED = "combined"  # its text is how such a line is written; more than that is read
# What servers call their shape of the family, or are called themselves.
COMBINED_ALIASES = (
    *(
        "common",
        "vhost_combined",
        "main",
        "gunicorn",
        "hypercorn",
        "ingress-nginx",
        "lighttpd",
        "ovh",
        "traefik",
    ),
)
AUTO = "auto"
# What that chooses from, the more specific first: the later ones fit some lines of those before, too.
AUTO_ORDER = (
    *("json", ltsv.NAME, w3c.NAME, "istio", "envoy", "django", "combined", "haproxy", "alb"),
    *("elb", "s3", "nginx-proxy-manager", "squid", "uwsgi", "uvicorn", "php-fpm", "default"),
)
NAMES = (*PRESETS, *COMBINED_ALIASES, w3c.NAME, AUTO)
LIST_LIMIT = 8  # formats of a log: a line that fits none is tried with each


def compile_format(text: str) -> LogFormat:
    """The format that `text` names or spells out. Raises FormatError."""
    if text == AUTO:
        return LogFormat(AUTO, (), (), is_lenient=False, roles=frozenset())
    if text == COMBINED or text in COMBINED_ALIASES:
        read = _read(PRESETS[COMBINED].texts[0])
        return read._replace(text=text, is_combined=True, roles=read.roles | {HOST})
    if text == w3c.NAME:
        return w3c.unread()
    if text in PRESETS:
        listed = [each for spelled in PRESETS[text].texts for each in _read(spelled).listed]
        return as_list([each._replace(text=text) for each in listed])
    return _read(text)


def as_list(formats: Sequence[LogFormat]) -> LogFormat:
    """The formats of one log, as one: the first that gives a request counts a line. Raises ValueError."""
    if not 1 <= len(formats) <= LIST_LIMIT:
        raise ValueError(f"expected 1 to {LIST_LIMIT} formats")
    for each in formats:
        if len(formats) > 1 and not (each.pieces or each.members):
            raise ValueError(f"expected {each.text} to stand alone: it finds out by itself what lines are")
    first, *others = (each for one in formats for each in one.listed)
    return first._replace(others=tuple(others))


def _read(text: str) -> LogFormat:
    if json_lines.is_named(text):
        return json_lines.read(text)
    if ltsv.is_ltsv(text):
        return ltsv.read(text)
    if "%" in text or "logformat" in text.lower():
        from qps_service.formats import apache  # a few formats need it

        if apache.is_directive(text):
            return apache.read(text)
    if nginx.is_directive(text) or nginx.has_names(text):
        # A log copied from a terminal has blanks where the tabs were.
        return nginx.read(text, lenient=text == DEFAULT)
    if "%" in text:
        return apache.read(text)
    if "$" in text:
        return nginx.read(text)
    expected = f"expected a format with $names or %directives, or one of {', '.join(NAMES)}"
    raise FormatError(text, 0, f"{expected}{_nearest(text)}")


def _nearest(text: str) -> str:
    """The name that was meant, perhaps."""
    from difflib import get_close_matches  # nobody needs it but for this

    names = get_close_matches(text.strip().lower(), NAMES, 1)
    return f"; did you mean {names[0]}?" if names else ""
