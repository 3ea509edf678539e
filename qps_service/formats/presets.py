"""The log's line format, in the language of the server that writes it. One for scanner and simulator.

    $remote_addr - $remote_user [$time_local] "$request" $status    nginx's log_format (nginx.py)
    %h %l %u %t "%r" %>s %b                                         Apache's LogFormat (apache.py)
    json route=request.uri                                          lines of JSON (json_lines.py)
    ltsv route=uri                                                  labels and values (ltsv.py)
    combined                                                        a name for one of those
    auto                                                            the first lines tell (detection.py)

In lines of text a field runs up to the first place where the literal stands that follows it, the last one to
the end of the line. A field between double quotes may hold quotes behind a backslash, as Apache writes them
(mod_log_config). So a line can be matched from left to right without ever looking back, which also keeps the
time for a hostile line proportional to its length. `line.py` has the whole of it.
"""

from qps_service.errors import FormatError
from qps_service.formats import json_lines, ltsv, nginx
from qps_service.formats.log_format import Field, LogFormat, Member
from qps_service.formats.nginx import ROLES

__all__ = ["AUTO", "DEFAULT", "NAMES", "PRESETS", "ROLES", "Field", "LogFormat", "Member", "compile_format"]

DEFAULT = r"$ip_address\t$method $route\t$status_code\t$response_bytes"
PRESETS = {
    "default": DEFAULT,
    # The Common Log Format and NCSA's extension of it, as Apache and nginx write them.
    "common": '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent',
    "combined": '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"',
    json_lines.NAME: json_lines.TEXT,
    ltsv.NAME: ltsv.TEXT,
}
AUTO = "auto"
NAMES = (*PRESETS, AUTO)


def compile_format(text: str) -> LogFormat:
    """The format that `text` names or spells out. Raises FormatError."""
    if text == AUTO:
        return LogFormat(AUTO, (), (), is_lenient=False, roles=frozenset())
    return _read(PRESETS.get(text, text))._replace(text=text)


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
    raise FormatError(text, 0, f"expected a format with $names or %directives, or one of {', '.join(NAMES)}")
