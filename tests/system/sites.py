"""A guest's web servers: Debian's nginx and Apache with virtual hosts, and what is reported of them."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from tests.system.guest import Guest
from tests.system.journal import Entry
from tests.system.service import is_report, rows

Row = tuple[str, str, str, int]  # log, method, route, status

FORMATS = """\
log_format timed '$remote_addr - $remote_user [$time_local] "$request" '
    '$status $body_bytes_sent $request_time';
log_format json escape=json '{"time":"$time_iso8601","request":"$request","status":$status,'
    '"body_bytes_sent":$body_bytes_sent,"request_time":$request_time}';
log_format own '$request_time $status $body_bytes_sent $request_method $request_uri';
"""
NGINX = """\
server {{ listen 80; server_name {0}.example; access_log /var/log/nginx/{0}.access.log {1};
    location / {{ return 200; }} location /missing {{ return 404; }} }}
"""
APACHE = """\
<VirtualHost *:8080>
    ServerName {0}.example
    DocumentRoot /var/www/html
    {1}
</VirtualHost>
"""
LOGGED = "CustomLog ${APACHE_LOG_DIR}/intranet_access.log combined"


class Site(NamedTuple):
    """A virtual host."""

    name: str
    log: str  # what `setup` names its log, or the path with wildcards
    port: int
    asked: int  # how many times for /; for /missing once


NGINX_SITES = {"shop": "timed", "api": "json", "pay": "own"}
SITES = (
    Site("default", "nginx", 80, 2),
    *(Site(name, name, 80, 3 + number) for number, name in enumerate(NGINX_SITES)),
    Site("default", "apache2", 8080, 6),
    Site("intranet", "intranet", 8080, 7),
    Site("wiki", "apache2-2", 8080, 8),  # in Debian's other_vhosts_access.log
)
LATER = (Site("late", "late", 80, 9), Site("new", "new", 8080, 10))


def serve(guest: Guest) -> None:
    """Install both and have them serve: nginx at port 80, Apache at 8080."""
    guest.systemctl("mask", "--runtime", "apache2")  # until it has another port
    guest.install("nginx", "apache2", "curl")
    guest.run("sed", "-i", r"s/\b80\b/8080/", "/etc/apache2/ports.conf", f"{_SITES}/000-default.conf")
    guest.write("/etc/nginx/conf.d/00-formats.conf", FORMATS)
    for name, log_format in NGINX_SITES.items():
        guest.write(f"/etc/nginx/conf.d/{name}.conf", NGINX.format(name, log_format))
    guest.write(f"{_SITES}/intranet.conf", APACHE.format("intranet", LOGGED))
    guest.write(f"{_SITES}/wiki.conf", APACHE.format("wiki", ""))
    guest.systemctl("unmask", "--runtime", "apache2")
    guest.systemctl("restart", "nginx", "apache2")


def add(guest: Guest) -> None:
    """One virtual host more of each."""
    guest.write("/etc/nginx/conf.d/late.conf", NGINX.format("late", "own"))
    guest.write(f"{_SITES}/new.conf", APACHE.format("new", LOGGED.replace("intranet", "new")))
    guest.systemctl("restart", "nginx", "apache2")  # a reload is not waited for


def stop(guest: Guest) -> None:
    """Nobody serves any longer."""
    guest.systemctl("disable", "--now", "nginx", "apache2")


def ask(guest: Guest, asked: Iterable[Site]) -> Counter[Row]:
    """Ask for pages of these sites; the rows that come of it."""
    sent: Counter[Row] = Counter()
    script = ""
    for site in asked:
        url = f"http://127.0.0.1:{site.port}"
        urls = f"'{url}/?page=[1-{site.asked}]' {url}/missing"
        script += f"curl --silent --header 'Host: {site.name}.example' {urls}\n"
        sent[site.log, "GET", "/", 200] += site.asked
        sent[site.log, "GET", "/missing", 404] += 1
    guest.run("sh", "-e", "-c", script)
    return sent


class Reported:
    """What reports have, as they come."""

    def __init__(self) -> None:
        self.rows: Counter[Row] = Counter()
        self.windows: set[int] = set()  # their numbers

    def takes(self, entry: Entry) -> int:
        """Take in an entry of the journal; the requests that were reported so far."""
        for row in rows(entry) if is_report(entry) else ():
            key = entry["QPS_LOG"], str(row["method"]), str(row["route"]), int(str(row["status"]))
            self.rows[key] += int(str(row["requests"]))
            self.windows.add(int(entry["QPS_SEQUENCE"]))
        return self.rows.total()


_SITES = "/etc/apache2/sites-enabled"
