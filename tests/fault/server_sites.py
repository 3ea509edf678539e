"""Configurations of nginx and Apache with each way to say where requests are logged, and the real servers for
them."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from tests.fault.program import GUARD, free_port
from tests.fault.servers import IS_ROOT, SERVERS, serving

NGINX = SERVERS / "sbin/nginx"
APACHE = SERVERS / "sbin/apache2"


class Site(NamedTuple):
    """A configuration, what is asked of it, and what can't be followed of what that changes."""

    name: str
    files: Mapping[str, str]  # below its directory; the first is the server's own
    asks: Sequence[str]  # host and path
    left: frozenset[str] = frozenset()  # files, below its directory
    never: frozenset[str] = frozenset()  # what would be written to if something else were asked
    is_apache: bool = False

    def lay(self, root: Path, port: int) -> None:
        """Write its files."""
        for directory in ("log", "logs"):
            (root / directory).mkdir(parents=True)
        for name, text in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("@PORT@", str(port)).replace("@ROOT@", str(root)))

    def unreached(self, root: Path) -> set[str]:
        """What it names and nobody asked for."""
        return {str(root / name) for name in self.never}

    def changed(self, root: Path) -> set[str]:
        """The files that requests were written to."""
        found = [*(root / "log").rglob("*"), *(root / "logs").rglob("*")]
        return {
            str(path) for path in found if path.is_file() and not path.is_symlink() and path.stat().st_size
        }


def _nginx(
    name: str, http: str, asks: str, left: Sequence[str] = (), never: Sequence[str] = (), **files: str
) -> Site:
    text = f"""
daemon off; worker_processes 1; pid nginx.pid; {"user root;" if IS_ROOT else ""}
events {{ worker_connections 16; }}
http {{
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
{http}
}}
"""
    more = {each.replace("__", "/").replace("_", "."): text for each, text in files.items()}
    return Site(name, {"conf/nginx.conf": text, **more}, asks.split(), frozenset(left), frozenset(never))


def _server(name: str, inside: str = "") -> str:
    return f"    server {{ listen 127.0.0.1:@PORT@; server_name {name}; {inside} }}\n"


NGINX_SITES = (
    _nginx(
        "inherited",
        "access_log log/all.log;\n"
        + _server("a")
        + _server("b", "access_log log/b.log;")
        + _server("c", "access_log off;"),
        "a/ b/ c/",
    ),
    _nginx(
        "replaced by level",
        "access_log log/all.log; access_log log/twice.log;\n"
        + _server(
            "a",
            "access_log log/a.log;"
            "location /own { access_log log/own.log; location /own/in { access_log log/in.log; } }"
            "location /none { access_log off; location /none/but { access_log log/but.log; } }"
            "location /if { if ($arg_x) { access_log log/if.log; } }"
            "location /limit { limit_except GET { access_log log/never.log; deny all; } }",
        )
        + _server("b"),
        "a/ a/own a/own/in/x a/none a/none/but a/if?x=1 b/",
        never=["log/never.log"],
    ),
    _nginx(
        "includes",
        "include sites/*.conf; include one.inc;\n",
        "a/ b/ c/ d/",
        conf__sites__a_conf=_server("a", "include ../conf/sites/inner.inc;"),
        conf__sites__b_conf=_server("b", "access_log log/b.log;"),
        conf__sites__inner_inc="access_log log/inner.log; # the last line without an end",
        conf__sites___hidden_conf=_server("hidden", "access_log log/hidden.log;"),
        conf__one_inc=_server("c", "access_log log/c.log;") + _server("d", "access_log @ROOT@/logs/d.log;"),
    ),
    _nginx(
        "formats",
        """
    log_format main '$remote_addr - $remote_user [$time_local] "$request" ' # a comment with ' and {
                    '$status $body_bytes_sent "$http_referer" '
                    "\\"$http_user_agent\\" $request_time";
    log_format js escape=json '{"time":"$time_iso8601","request":"$request","status":$status,'
                              '"body_bytes_sent":$body_bytes_sent}';
    log_format odd $host\\t$request_method\\t$uri\\t$status;
"""
        + _server("a", "access_log log/main.log main;")
        + _server("b", "access_log log/js.log js;")
        + _server("c", "access_log log/odd.log odd;"),
        "a/ b/ c/",
    ),
    _nginx(
        "several a server",
        "log_format short '$request_method $uri $status';"
        + _server("a", "access_log log/one.log; access_log log/two.log short; access_log /dev/null;")
        + _server("b", "access_log syslog:server=127.0.0.1:9,facility=local7 combined; access_log log/b.log;")
        + _server("c", "access_log syslog:server=127.0.0.1:9;"),
        "a/ b/ c/",
    ),
    _nginx(
        "conditions and buffers",
        "map $status $fails { ~^[23] 0; default 1; }"
        + _server(
            "a",
            "access_log log/some.log combined if=$fails;access_log log/late.log combined buffer=4k flush=1m;",
        )
        + _server("b", "access_log log/none.log combined if=$arg_x;"),
        "a/missing b/?x=1",
    ),
    _nginx(
        "compressed",
        _server("a", "access_log log/a.log.gz combined gzip=1 flush=1m;")
        + _server("b", "access_log log/b.log;"),
        "a/ b/",
        left=["log/a.log.gz"],
    ),
    _nginx(
        "variables",
        "root @ROOT@; map $host $dir { default none; d log; e logs; }"
        "map $dir $file { default $dir/$base.log; }"
        + _server("a b", "access_log log/$host.log;")
        + _server("c", "access_log log/${server_name}x.log; access_log log/plain.log;")
        + _server("d e", "set $base chosen; access_log $file;")
        + _server(".F.example g", "access_log log/$server_name.log;"),
        "a/ b/ c/ d/ e/ f.example/ x.f.example/ g/",
        never=["none/chosen.log"],
    ),
    _nginx(
        "answered before a location",
        _server("a", "access_log log/a-bad.log; location / { access_log log/a.log; }")
        + _server(
            "b", "access_log log/b.log; return 301 http://a$request_uri; location / { access_log off; }"
        )
        + _server(
            "c",
            "access_log log/c.log; rewrite ^/old /new permanent; location / { access_log log/c-rest.log; }",
        )
        + _server(
            "d", "access_log log/d.log; if ($arg_x) { return 403; } location / { access_log log/d-rest.log; }"
        ),
        "a/ b/ c/old c/ d/?x=1 d/",
    ),
    _nginx(
        "off",
        "access_log off;"
        + _server("a")
        + _server("b", "access_log log/b.log; location /quiet { access_log off; }")
        + _server("c", "access_log log/c.log; access_log off;")
        + _server("d", "access_log off; location /loud { access_log log/d.log; }"),
        "a/ b/ b/quiet c/ d/ d/loud",
    ),
    _nginx(
        "names of files",
        _server("a", 'access_log "log/with a blank.log";')
        + _server("b", "access_log 'log/quote\"d;{}#.log';")
        + _server("c", "access_log log/esc\\;aped.log;")
        + _server("d", "access_log @ROOT@/conf/../log/dots.log;")
        + _server("e", "access_log log/h#sh.log;")
        + _server("f", 'access_log "log/quo\\"te.log";'),
        "a/ b/ c/ d/ e/ f/",
    ),
    _nginx(
        "blocks of others",
        'types { text/html html; }\n    map $host $x { "a;b{" 1; \'}\' 2; default "${host}}"; }\n'
        "    upstream u { server 127.0.0.1:9; }\r\n"
        + _server(
            "a",
            "access_log log/shared.log; location ~ ^/[a-z]{2}x$ { return 204; }".replace(
                "~ ^/[a-z]{2}x$", '~ "^/[a-z]{2}x$"'
            ),
        )
        + _server("b", "access_log log/shared.log combined;\t#} not the end\n"),
        "a/abx b/",
    ),
)


def _apache(name: str, text: str, asks: str, left: Sequence[str] = (), **files: str) -> Site:
    modules = "".join(
        f"LoadModule {each}_module {SERVERS}/lib/apache2/modules/mod_{each}.so\n"
        for each in ("mpm_event", "authz_core", "setenvif", "macro")
    )
    user = "User www-data\nGroup www-data\n" if IS_ROOT else ""  # it refuses to be root
    head = (
        f"Listen 127.0.0.1:@PORT@\nServerName main\n{user}{modules}"
        "PidFile apache.pid\nMutex sem\nErrorLog error.txt\n"
        "StartServers 1\nMinSpareThreads 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nServerLimit 1\n"
        'LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O '
        '\\"%{Referer}i\\" \\"%{User-Agent}i\\"" vhost_combined\n'
        'LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined\n'
    )
    more = {each.replace("__", "/").replace("_", "."): text for each, text in files.items()}
    variables = "export APACHE_RUN_USER=www-data\nSUFFIX=\nexport APACHE_LOG_DIR=@ROOT@/log$SUFFIX\n"
    return Site(
        name,
        {"apache2.conf": head + text, "envvars": variables, **more},
        asks.split(),
        frozenset(left),
        is_apache=True,
    )


def _host(name: str, inside: str = "", address: str = "*:@PORT@") -> str:
    return f"<VirtualHost {address}>\n  ServerName {name}\n{inside}\n</VirtualHost>\n"


APACHE_SITES = (
    _apache(
        "as Debian has it",
        "IncludeOptional conf-enabled/*.conf\nIncludeOptional sites-enabled/*.conf\n",
        "a/ b/",
        **{
            "conf-enabled__other_conf": "CustomLog ${APACHE_LOG_DIR}/other.log vhost_combined\n",
            "sites-enabled__a_conf": _host("a", "  CustomLog ${APACHE_LOG_DIR}/access.log combined"),
            "sites-enabled__b_conf": _host("b", "  customlog ${APACHE_LOG_DIR}/b.log combined"),
        },
    ),
    _apache(
        "nicknames",
        'LogFormat "%h %l %u %t \\"%r\\" %>s %b" short\n'
        'LogFormat "%m %U%q %>s %B"\nTransferLog log/main.log\nCustomLog log/global.log short\n'
        + _host("a", '  LogFormat "%h %>s \\"%r\\" here" short\n  CustomLog log/a.log short')
        + _host("b", "  TransferLog log/b.log\n  CustomLog log/b2.log vhost_combined")
        + _host("c")
        + _host("d", '  CustomLog log/d.log "%t %m %U \\\n %>s"'),
        "a/ b/ c/ d/",
    ),
    _apache(
        "global logs",
        "GlobalLog log/all.log combined\nCustomLog log/rest.log combined\n"
        + _host("a", "  CustomLog log/a.log combined")
        + _host("b", "  TransferLog log/b.log"),
        "a/ b/",
    ),
    _apache(
        "conditions",
        "Define where log\nDefine loud\nSetEnvIf Request_URI ^/quiet quiet\n"
        "<IfModule mod_log_config.c>\nCustomLog ${where}/main.log combined\n</IfModule>\n"
        "<IfModule mod_nothing.c>\n<IfModule !mod_other.c>\nCustomLog log/no.log combined\n"
        "</IfModule>\n</IfModule>\n"
        + "<IfDefine !loud>\n"
        + _host("no", "  CustomLog log/no2.log combined")
        + "</IfDefine>\n"
        + "<IfDefine loud>\n"
        + _host("a", "  CustomLog log/a.log combined env=!quiet")
        + "</IfDefine>\n"
        + _host("b", '  CustomLog log/b.log combined "expr=%{REQUEST_STATUS} -ge 400"')
        + _host("c", "  <IfFile apache2.conf>\n    CustomLog log/c.log combined\n  </IfFile>"),
        "a/ b/missing c/",
    ),
    _apache(
        "included",
        "ServerRoot @ROOT@\nInclude sites/*/vhost.conf\nInclude whole\nIncludeOptional none/*.conf\n"
        "IncludeOptional none.conf\n",
        "a/ b/ c/ d/",
        sites__a__vhost_conf=_host("a", "  Include inner.inc"),
        sites__b__vhost_conf=_host("b", '  CustomLog "logs/with a blank.log" combined'),
        inner_inc="# a comment \\\n that goes on\nCustomLog \\\n  log/inner.log \\\n  combined",
        whole__c=_host("c", "  CustomLog log/c.log 'combined'"),
        whole__deep__d=_host("d", "  CustomLog log/d.log combined"),
    ),
    _apache(
        "pipes and macros",
        "<Macro site $name $file>\n<VirtualHost *:@PORT@>\n"
        "  ServerName $name\n  CustomLog log/$file.log combined\n"
        "</VirtualHost>\n</Macro>\nUse site a first\nUse site b second\n"
        + _host(
            "c", '  CustomLog "|$/bin/cat >>@ROOT@/log/piped.log" combined\n  CustomLog log/c.log combined'
        ),
        "a/ b/ c/",
        left=["log/piped.log"],
    ),
)


@contextmanager
def served(site: Site, root: Path) -> Iterator[int]:
    """The real server with this configuration; its port. At the end it has written all."""
    port = free_port()
    site.lay(root, port)
    if site.is_apache:
        run = f'. ./envvars; exec "{APACHE}" -d "{root}" -f apache2.conf -DFOREGROUND'
        command: list[str | Path] = ["sh", "-c", run]
        stop = signal.SIGWINCH  # ends it when it has answered and logged
    else:
        command = [NGINX, "-p", root, "-c", root / "conf" / "nginx.conf", "-e", "error.txt"]
        stop = signal.SIGQUIT
    with serving(command, root, port, stop):
        yield port


def ask(port: int, what: str) -> None:
    """One request, answered however it is."""
    host, slash, path = what.partition("/")
    with closing(HTTPConnection("127.0.0.1", port, timeout=GUARD)) as connection:
        connection.request("GET", f"{slash}{path}", headers={"Host": host, "Connection": "close"})
        connection.getresponse().read()
