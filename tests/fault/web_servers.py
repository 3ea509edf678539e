"""The real web servers on loopback: how each is configured, started, asked and stopped."""

import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple

from tests.fault.program import GUARD, ROOT, free_port
from tests.fault.servers import IS_ROOT, SERVERS, Command, serving
from tests.fault.web_requests import ASKS, NOTHING, Ask, receive

PYTHON = Path(sys.executable).parent

# What each configuration of them begins with.
NGINX_HEAD = """
worker_processes 1; daemon off; pid nginx.pid; {user}
events {{ }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
"""
APACHE_HEAD = """
ServerRoot {root}
ServerName shop.example
Listen 127.0.0.1:{port}
PidFile apache.pid
Mutex sem
ErrorLog error.log
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
StartServers 1
"""
NGINX = (
    NGINX_HEAD
    + """
    client_header_timeout 500ms;
    client_max_body_size 64k;
    # That of nginx.org's packages.
    log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                    '$status $body_bytes_sent "$http_referer" '
                    '"$http_user_agent" "$http_x_forwarded_for"';
    # Those of ingress-nginx, by default and as its documentation shows it for JSON.
    log_format ingress '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                       '"$http_referer" "$http_user_agent" $request_length $request_time [shop-80] [] '
                       '$upstream_addr $upstream_response_length $upstream_response_time $upstream_status '
                       '$request_id';
    log_format ingress_json escape=json
        '{{"time": "$time_iso8601", "remote_addr": "$proxy_protocol_addr", '
        '"x_forward_for": "$proxy_add_x_forwarded_for", "request_id": "$request_id", '
        '"remote_user": "$remote_user", "bytes_sent": $bytes_sent, "request_time": $request_time, '
        '"status": $status, "vhost": "$host", "request_proto": "$server_protocol", "path": "$uri", '
        '"request_query": "$args", "request_length": $request_length, "duration": $request_time, '
        '"method": "$request_method", "http_referrer": "$http_referer", '
        '"http_user_agent": "$http_user_agent" }}';
    log_format upstream_json escape=json
        '{{"time": "$time_iso8601", "upstream_time": $upstream_response_time, "request": "$request", '
        '"agent": "$http_user_agent", "user": "$remote_user", "status": $status, '
        '"body_bytes_sent": $body_bytes_sent, "upstream_status": $upstream_status}}';
    access_log combined.log combined;
    access_log main.log main;
    access_log ingress.log ingress;
    access_log ingress-json.log ingress_json;
    access_log upstream-json.log upstream_json;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "ok\\n"; }}
        location ~ ^/(status-|broken|hold) {{
            proxy_pass http://127.0.0.1:{origin};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
        }}
    }}
}}
"""
)
APACHE = (
    APACHE_HEAD
    + """
LoadModule reqtimeout_module {modules}/mod_reqtimeout.so
LoadModule rewrite_module {modules}/mod_rewrite.so
RequestReadTimeout header=1
LimitRequestBody 65536
# Those of Debian's apache2.conf.
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" vhost_combined
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
LogFormat "%h %l %u %t \\"%r\\" %>s %O" common
CustomLog common.log common
CustomLog combined.log combined
CustomLog vhost.log vhost_combined
ProxyPassMatch ^/(status-.*|broken|hold)$ http://127.0.0.1:{origin}/$1 upgrade=websocket
RewriteEngine on
RewriteRule !^/(status-|broken|hold) - [R=200,L]
"""
)
LIGHTTPD = """
server.modules = ("mod_accesslog", "mod_rewrite", "mod_proxy")
server.document-root = "{root}"
server.errorlog = "{root}/error.log"
server.bind = "127.0.0.1"
server.port = {port}
server.max-request-size = 64
server.max-read-idle = 1
accesslog.filename = "{root}/access.log"
$HTTP["url"] =~ "^/(status-|broken|hold)" {{
    proxy.server = ("" => (("host" => "127.0.0.1", "port" => {origin})))
    proxy.header = ("upgrade" => "enable")
}} else {{
    url.rewrite-once = ("" => "/page.txt")
}}
"""
HAPROXY = """
global
    log stdout format raw local0
    log 127.0.0.1:{syslog} local0
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    timeout http-request 500ms
frontend shop
    bind 127.0.0.1:{port}
    acl is_passed_on path_beg /status- /broken /hold
    http-request return status 200 content-type text/plain string ok unless is_passed_on
    default_backend origin
backend origin
    server one 127.0.0.1:{origin}
"""


class Site(NamedTuple):
    """Where a server runs, and what it runs with."""

    root: Path
    port: int
    origin: int
    syslog: int

    def write(self, text: str) -> Path:
        """A configuration with these values in it."""
        path = self.root / "configuration"
        path.write_text(text.format(**self._asdict()))
        return path


def nginx(root: Path, configuration: str, **values: object) -> Command:
    """It, with its files in `root`, and a configuration that begins with NGINX_HEAD."""
    path = root / "configuration"
    path.write_text(configuration.format(user="user root;" if IS_ROOT else "", **values))
    return (SERVERS / "sbin/nginx", "-p", root, "-c", path, "-e", "error.log")


def apache(root: Path, configuration: str, **values: object) -> Command:
    """Likewise, with APACHE_HEAD."""
    path = root / "configuration"
    user = "User www-data\nGroup www-data" if IS_ROOT else ""  # it refuses to be root
    modules = SERVERS / "lib/apache2/modules"
    path.write_text(configuration.format(root=root, user=user, modules=modules, **values))
    return (SERVERS / "sbin/apache2", "-f", path, "-DFOREGROUND")


def _nginx(site: Site) -> Command:
    return nginx(site.root, NGINX, port=site.port, origin=site.origin)


def _apache(site: Site) -> Command:
    return apache(site.root, APACHE, port=site.port, origin=site.origin)


def _lighttpd(site: Site) -> Command:
    (site.root / "page.txt").write_text("ok\n")
    configuration = site.write(LIGHTTPD)
    return (SERVERS / "sbin/lighttpd", "-D", "-m", SERVERS / "lib/lighttpd", "-f", configuration)


def _haproxy(site: Site) -> Command:
    return (SERVERS / "sbin/haproxy", "-db", "-f", site.write(HAPROXY))


def _caddy(site: Site) -> Command:
    """With both its logs, which a Caddyfile can't have of one site."""
    logs = {
        name: {
            "writer": {"output": "file", "filename": str(site.root / f"{name}.log")},
            "encoder": {"format": name},
            "include": ["http.log.access"],
        }
        for name in ("json", "console")
    }
    passed_on = {
        "match": [{"path": ["/status-*", "/broken", "/hold"]}],
        "handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{site.origin}"}]}],
    }
    routes = [passed_on, {"handle": [{"handler": "static_response", "body": "ok\n"}]}]
    shop = {
        "match": [{"host": ["shop.example"]}],
        "handle": [{"handler": "subroute", "routes": routes}],
        "terminal": True,
    }
    server = {
        "listen": [f"127.0.0.1:{site.port}"],
        "read_header_timeout": "500ms",
        "automatic_https": {"disable": True},
        "logs": {},
        "routes": [shop],
    }
    configuration = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"writer": {"output": "discard"}}, **logs}},
        "apps": {"http": {"servers": {"shop": server}}},
    }
    (site.root / "configuration").write_text(json.dumps(configuration))
    return (SERVERS / "bin/caddy", "run", "--config", site.root / "configuration")


def _gunicorn(site: Site) -> Command:
    address, log = f"127.0.0.1:{site.port}", site.root / "access.log"
    return (PYTHON / "gunicorn", "-b", address, "--access-logfile", log, "tests.fault.web_application:wsgi")


def _uvicorn(site: Site) -> Command:
    return (PYTHON / "uvicorn", "--port", str(site.port), "--ws", "none", "tests.fault.web_application:asgi")


class Program(NamedTuple):
    """A web server as it comes."""

    command: Callable[[Site], Command]
    stop: signal.Signals  # ends it when it has answered and logged all
    notices: bool  # whether it ends a request whose client has gone
    is_patient: bool = False  # whether it waits for ever for the rest of a request


PROGRAMS = {
    "nginx": Program(_nginx, signal.SIGQUIT, notices=True),
    "apache": Program(_apache, signal.SIGTERM, notices=False),
    "lighttpd": Program(_lighttpd, signal.SIGINT, notices=False),
    "haproxy": Program(_haproxy, signal.SIGUSR1, notices=False),
    "caddy": Program(_caddy, signal.SIGTERM, notices=True),
    "gunicorn": Program(_gunicorn, signal.SIGTERM, notices=False, is_patient=True),
    "uvicorn": Program(_uvicorn, signal.SIGTERM, notices=False, is_patient=True),
}

Received = Mapping[str, list[int]]  # statuses by the ask's name


def serve(name: str, root: Path) -> Received:
    """Start a server, ask all there is to ask, end it; what the clients received. What it printed is in
    `out.log`, and what it sent to syslog in `syslog.log`, as rsyslog writes it."""
    program = PROGRAMS[name]
    root.mkdir()
    with (
        closing(Origin(program.notices)) as origin,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog,
    ):
        syslog.bind(("127.0.0.1", 0))
        site = Site(root, free_port(), origin.port, syslog.getsockname()[1])
        with serving(program.command(site), root, site.port, program.stop, **_environment(site)):
            received = _ask_all(site, origin, program)
        (root / "syslog.log").write_bytes(b"".join(_taken_down(syslog)))
    return received


def _environment(site: Site) -> Mapping[str, str]:
    return {
        "PYTHONPATH": str(ROOT),
        "ORIGIN": str(site.origin),
        **dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(site.root)),
    }


def _ask_all(site: Site, origin: "Origin", program: Program) -> Received:
    # The connection by which it was known to listen is also the one that sends nothing.
    received: dict[str, list[int]] = {NOTHING.name: []}
    with ExitStack() as stack:
        late = []  # the server has to lose its patience; meanwhile others ask
        for asked in sorted(ASKS, key=lambda asked: not asked.waits):
            if not asked.waits or program.is_patient:
                received[asked.name] = _ask(site.port, asked, origin)
            else:
                late.append((asked, stack.enter_context(_connect(site.port))))
                late[-1][1].sendall(asked.sent)
        for asked, connection in late:
            received[asked.name] = receive(connection, asked)
    return received


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=GUARD)


def _ask(port: int, asked: Ask, origin: "Origin") -> list[int]:
    with _connect(port) as connection:
        with suppress(OSError):  # it has said no, and closed, before it had read all
            connection.sendall(asked.sent)
            if asked.ends:
                connection.shutdown(socket.SHUT_WR)
        if asked.leaves == "waiting":
            origin.wait()
        if not asked.leaves and not asked.waits:
            return receive(connection, asked)
    if asked.leaves == "waiting":
        origin.let_go()
    return []


def _taken_down(syslog: socket.socket) -> Sequence[bytes]:
    """The datagrams that came (RFC 3164), as rsyslog writes them by default: the host, and no priority."""
    syslog.setblocking(False)
    lines = []
    with suppress(BlockingIOError):
        while True:
            message = syslog.recv(1 << 16).partition(b">")[2].rstrip(b"\n")
            lines.append(b"%b shop %b\n" % (message[:15], message[16:]))
    return lines


class Origin:
    """What proxies pass requests on to: `/status-404` gets that status, `/broken` none, and `/hold` one when
    its client has gone."""

    def __init__(self, notices: bool) -> None:
        self._notices = notices
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._held, self._gone = threading.Semaphore(0), threading.Semaphore(0)
        self._answered = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until somebody asks for `/hold`."""
        assert self._held.acquire(timeout=GUARD)

    def let_go(self) -> None:
        """Answer whoever was held: their client has gone."""
        self._gone.release()
        assert self._answered.acquire(timeout=GUARD)

    def close(self) -> None:
        """End."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(GUARD)
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(GUARD)
        asked = b""
        while b"\r\n\r\n" not in asked and (got := connection.recv(1 << 16)):
            asked += got
        path = asked.split(b" ")[1] if asked else b"/broken"
        if path == b"/hold":
            self._held.release()
            assert self._gone.acquire(timeout=GUARD)
            with suppress(ConnectionError):
                while self._notices and connection.recv(1 << 16):
                    pass
                connection.sendall(_answer_of(200))
            self._answered.release()
        elif path != b"/broken":
            connection.sendall(_answer_of(int(path.rpartition(b"-")[2])))


def _answer_of(status: int) -> bytes:
    body = b"" if status < 200 or status in (204, 304) else b"ok\n"
    headers = {
        101: b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        301: b"Location: /moved\r\n",
        401: b'WWW-Authenticate: Basic realm="shop"\r\n',
    }.get(status, b"")
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    close = b"" if status == 101 else b"Connection: close\r\n"
    return b"HTTP/1.1 %d Status\r\n%b%b%b\r\n%b" % (status, headers, close, length, body)
