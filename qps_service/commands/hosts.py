"""The virtual hosts that lines tell, and what is to be said of them where they are dropped, or kept."""

from collections import Counter
from collections.abc import Callable

from qps_service.configuration.settings import BY_KEY
from qps_service.counting.routes import Routes
from qps_service.formats.presets import LogFormat
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner
from qps_service.text.escape import show
from qps_service.values.counts import UNREAD, Scanned
from qps_service.values.positions import Directives

KEEP = 'host = "keep"'
SHOWN = 3  # names


def add_host(add: Callable[..., object]) -> None:
    """The argument for subcommands without configuration."""
    setting = BY_KEY["host"]
    add("--host", choices=("drop", "keep"), default=setting.default, help=setting.help)


def said_of_hosts(
    log_format: LogFormat, text: bytes, max_line: int, *, keep: bool, fields: bytes = b""
) -> str | None:
    """What is to be said of the hosts in these lines, `fields` being the `#Fields` above them; None for
    nothing."""
    hosts = _hosts_in(log_format, text, max_line, fields)
    some = ", ".join(show(host) for host, _ in hosts.most_common(SHOWN))
    number = f"{len(hosts)}, such as {some}" if len(hosts) > SHOWN else some
    if keep:
        return number or "none is told: routes begin with -/"
    return f"dropped: {number}; {KEEP} makes them a part of routes" if len(hosts) > 1 else None


def _hosts_in(log_format: LogFormat, text: bytes, max_line: int, fields: bytes) -> Counter[bytes]:
    """Those that requests are for."""
    found: list[Scanned] = []
    scanner = make_scanner(ScanOptions(log_format, max_line, keep_host=True), found.append)
    scanner.directives = Directives(0, fields)
    scanner.scan(text)
    routes = Routes(keep_host=True)
    hosts: Counter[bytes] = Counter()
    for each in (*found, scanner.take()):
        for _, target, _, requests, _ in each.rows:
            host, slash, _ = routes.of(target).partition(b"/")
            if slash and host != UNREAD:
                hosts[host] += requests
    return hosts
