"""The log's line format, in the language of the server that writes it. One for scanner and simulator.

    $remote_addr - $remote_user [$time_local] "$request" $status    nginx's log_format (nginx.py)
    %h %l %u %t "%r" %>s %b                                         Apache's LogFormat (apache.py)
    json route=request.uri                                          lines of JSON (json_lines.py)
    combined                                                        the combined family (combined.py)
    w3c                                                             what the log itself tells (w3c.py)
    default                                                         a name for one of those
    auto                                                            the lines tell (detection.py)

In lines of text a field runs up to the first place where the literal stands that follows it, the last one to
the end of the line. A field between double quotes may hold quotes behind a backslash, as Apache writes them
(mod_log_config). So a line can be matched from left to right without ever looking back, which also keeps the
time for a hostile line proportional to its length. `line.py` has the whole of it.
"""

from qps_service.errors import FormatError
from qps_service.formats import json_lines, nginx, w3c
from qps_service.formats.log_format import Field, LogFormat, Member
from qps_service.formats.nginx import ROLES

__all__ = [
    "AUTO",
    "AUTO_ORDER",
    "DEFAULT",
    "NAMES",
    "PRESETS",
    "ROLES",
    "Field",
    "LogFormat",
    "Member",
    "compile_format",
]

DEFAULT = r"$ip_address\t$method $route\t$status_code\t$response_bytes"
PRESETS = {
    "default": DEFAULT,
    "combined": '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"',
    json_lines.NAME: json_lines.TEXT,
}
COMBINED = "combined"  # its text is how such a line is written; more than that is read
# What servers call their shape of the family, or are called themselves.
ALIASES = ("common", "vhost_combined", "main", "gunicorn", "ingress-nginx", "lighttpd", "ovh", "traefik")
AUTO = "auto"
AUTO_ORDER = ("json", w3c.NAME, "combined", "default")  # what that chooses from, the more specific first
NAMES = (*PRESETS, *ALIASES, w3c.NAME, AUTO)


def compile_format(text: str) -> LogFormat:
    """The format that `text` names or spells out. Raises FormatError."""
    if text == AUTO:
        return LogFormat(AUTO, (), (), is_lenient=False, roles=frozenset())
    if text == COMBINED or text in ALIASES:
        return nginx.read(PRESETS[COMBINED])._replace(text=text, is_combined=True)
    if text == w3c.NAME:
        return w3c.unread()
    return _read(PRESETS.get(text, text))._replace(text=text)


def _read(text: str) -> LogFormat:
    if json_lines.is_named(text):
        return json_lines.read(text)
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
    raise FormatError(text, 0, f"expected a format with $names or %directives, or one of {', '.join(NAMES)}")
