"""Where servers write whose configuration is not read: their packages' own places, and what their lines tell.

Sources: Debian's and the projects' packages, and their documentation.
"""

from collections.abc import Iterable, Iterator

from qps_service.files.rotated_names import is_compressed, siblings
from qps_service.setup.found import Reader

# By the server's name. Of a pattern, what looks like a rotated file of another match is none.
PLACES = (
    ("Caddy", ("/var/log/caddy/*.log",)),
    ("lighttpd", ("/var/log/lighttpd/*access*.log",)),
    ("HAProxy", ("/var/log/haproxy.log",)),
    ("Traefik", ("/var/log/traefik/*access*.log", "/var/log/traefik.log")),
    ("Envoy", ("/var/log/envoy/*access*.log",)),
    ("H2O", ("/var/log/h2o/*access*.log",)),
    ("Varnish", ("/var/log/varnish/varnishncsa.log",)),
    ("OpenLiteSpeed", ("/usr/local/lsws/logs/*access.log",)),
    ("gunicorn", ("/var/log/gunicorn/*access*.log",)),
    ("nginx", ("/var/log/nginx/*access.log", "/usr/local/openresty/nginx/logs/*access.log")),
    ("Apache", ("/var/log/apache2/*access.log", "/var/log/httpd/*access_log")),
)


def candidates(reader: Reader, but_not_of: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Servers, but not these, and files that may be logs of theirs."""
    left_out = set(but_not_of)
    for server, patterns in PLACES:
        if server in left_out:
            continue
        for pattern in patterns:
            found = reader.matches(pattern)
            rotated = {other for path in found for other in siblings(path, found)}
            yield from ((server, path) for path in found if path not in rotated and not is_compressed(path))
