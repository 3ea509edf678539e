"""`qps-reporter setup`: what it says, what it writes, what it leaves alone. tests/fault has real servers."""

import os
import sys
import tomllib
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from qps_service.cli import main
from qps_service.commands import setup
from qps_service.configuration import setup_file
from qps_service.configuration.loader import Flags, load
from qps_service.configuration.path_patterns import is_pattern
from qps_service.configuration.setup_file import name_of
from qps_service.configuration.types import LogConfig
from qps_service.files.kernel import user_name
from qps_service.formats.line import make_reader, request_of
from qps_service.formats.presets import PRESETS, as_list, compile_format
from qps_service.service import own_user
from qps_service.setup import built_in, customary, dump
from qps_service.setup.built_in import ApachePaths, NginxPaths, apache_paths, nginx_paths
from qps_service.setup.choosing import in_order
from qps_service.setup.found import FoundLog
from qps_service.setup.later import patterns_for
from tests.promised import Patches, Promise, answers, promises

Captured = pytest.CaptureFixture[str]
Monkey = pytest.MonkeyPatch

CONF = "http { access_log {0}/log/access.log; access_log {0}/log/shop.access.log; server { } {1} }"
COMBINED_TEXT = PRESETS["combined"].texts[0]
LINE = b'1.2.3.4 - - [29/Nov/2026:17:52:49 +0000] "GET /a HTTP/1.1" 200 5 "-" "-"\n'


class Site:
    """An nginx with two logs, no other server, and a configuration without logs."""

    def __init__(self, root: Path, capsys: Captured) -> None:
        self.root, self.log, self._capsys = root, root / "log", capsys
        self.config = root / "qps" / "qps-reporter.toml"
        self.own = root / "qps" / "conf.d" / "50-setup.toml"
        for path in (self.log, self.config.parent):
            path.mkdir(parents=True)
        self.nginx()
        (self.log / "access.log").write_bytes(LINE)
        self.config.write_text("# nothing\n")

    def nginx(self, more: str = "", text: str = CONF) -> None:
        """What it is configured with; `{0}` is where all of this is."""
        text = text.replace("{1}", more).replace("{0}", str(self.root))
        (self.root / "nginx.conf").write_text(text, errors="surrogateescape")

    def others(self, text: str) -> None:
        """A file of somebody else beside that of ours."""
        self.own.parent.mkdir(exist_ok=True)
        (self.own.parent / "10-mine.toml").write_text(text)

    def runs(self, *words: str, status: int = 0) -> tuple[str, list[str]]:
        """What it prints, and the lines that it says."""
        self._capsys.readouterr()
        assert main(["setup", "--config", str(self.config), *words]) == status
        printed = self._capsys.readouterr()
        return printed.out, printed.err.splitlines()

    def writes(self, status: int = 0) -> tuple[str, list[str]]:
        return self.runs("--write", status=status)

    def logs(self) -> tuple[LogConfig, ...]:
        """Those that the service follows then."""
        return load(Flags(config=str(self.config)), {}).logs

    def names(self, text: str | None = None) -> dict[str, str]:
        """Of what is no pattern, by path, of which the last part is enough."""
        tables = tomllib.loads(self.own.read_text() if text is None else text)["log"].items()
        paths = {name: table["path"] for name, table in tables}
        return {os.path.basename(path): name for name, path in paths.items() if not is_pattern(path)}

    def later(self, text: str | None = None) -> dict[str, object]:
        """The formats of what is one, by path, likewise."""
        tables = tomllib.loads(self.own.read_text() if text is None else text)["log"].values()
        paths = {table["path"]: table.get("format") for table in tables}
        return {os.path.basename(path): each for path, each in paths.items() if is_pattern(path)}


@pytest.fixture
def site(tmp_path: Path, capsys: Captured, monkeypatch: Monkey) -> Iterator[Site]:
    site = Site(tmp_path / "web", capsys)
    nowhere = ApachePaths("/no", "/no/where")
    for name, value in (("DEBIAN_APACHE", nowhere), ("REDHAT_APACHE", nowhere)):
        monkeypatch.setattr(setup, name, value)
    here = NginxPaths(str(site.root), str(site.root / "nginx.conf"), str(site.log / "access.log"))
    monkeypatch.setattr(setup, "DEBIAN_NGINX", here)
    monkeypatch.setattr(setup, "_said", lambda _: "")
    monkeypatch.setattr(customary, "PLACES", ())
    monkeypatch.setattr(own_user, "SERVICE_USER", "no-such-user")
    monkeypatch.delenv("QPS_REPORTER_CONFIG", raising=False)
    umask = os.umask(0o077)
    yield site
    os.umask(umask)


# --- what it prints, and that this is all


def check_it_only_prints(site: Site) -> None:
    before = sorted(site.root.rglob("*"))
    text, lines = site.runs()
    assert sorted(site.root.rglob("*")) == before
    assert site.names(text) == {"access.log": "web", "shop.access.log": "shop"}
    user = user_name(os.geteuid())
    assert lines.pop(3).startswith(
        "  format        combined, as the configuration says (combined); 1 of 1 lines "
    )
    written_by = f"  written by    nginx for a server without a name ({site.root}/nginx.conf, line 1)"
    assert lines == [
        f"nginx: {site.root}/nginx.conf",
        f"{site.log}/access.log",
        written_by,
        f"  readable      yes, by user {user}",
        f"{site.log}/shop.access.log",
        written_by,
        "  format        auto, as the configuration says (combined); there is no line yet",
        "  readable      it is not there yet, and is waited for",
        f"{site.log}/*access.log",
        "  for           nginx: logs that come later, from their first line on",
        f"setup: nothing was written; qps-reporter setup --write writes this into {site.own}",
    ]


# --- what it writes


def check_it_writes_its_file(site: Site) -> None:
    """As a whole, for all to read, and the service takes it; the difference is printed."""
    printed = site.writes()[0].splitlines()
    written = site.own.read_text()
    assert site.own.stat().st_mode & 0o777 == 0o644
    assert site.own.parent.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in site.own.parent.iterdir()] == ["50-setup.toml"]
    assert printed[:2] == ["--- /dev/null", f"+++ {site.own}"]
    assert [line[1:] for line in printed[3:]] == written.splitlines()
    paths = {f"{site.log}/{name}" for name in ("access.log", "shop.access.log", "*access.log")}
    assert {log.path for log in site.logs()} == paths
    inode = site.own.stat().st_ino
    assert site.writes()[0] == ""
    assert site.own.stat().st_ino == inode


def check_names_stay(site: Site) -> None:
    """Those that its file has, whatever gave them; what is gone, goes, and the difference says so."""
    site.writes()
    site.own.write_text(site.own.read_text().replace("[log.shop]", "[log.store]"))
    site.nginx("server { access_log {0}/log/store.log; } server { access_log {0}/shop/access.log; }")
    assert "+[log.store-2]" in site.writes()[0]
    assert site.names()["shop.access.log"] == "store"
    assert site.names()["store.log"] == "store-2"
    site.nginx(text="http { server { access_log {0}/log/store.log; } }")
    assert "-[log.store]" in site.writes()[0]
    assert site.names() == {"store.log": "store-2"}


def check_what_others_name_is_left_to_them(site: Site) -> None:
    """By whatever path, and their names are not taken twice."""
    (site.root / "link").symlink_to("log")
    mine = f'[log.shop]\npath = "{site.root}/link/access.log"\nformat = "combined"\n'
    site.others(mine)
    said = f"  left out: {site.log}/access.log: it is log shop of {site.own.parent}/10-mine.toml"
    assert said in site.writes()[1]
    assert site.names() == {"shop.access.log": "shop-2"}
    assert len(site.logs()) == 3
    site.others(f'{mine}[log.more]\npath = "{site.log}/shop.access.log"\n')
    site.writes()
    assert (site.names(), site.later()) == ({}, {"*access.log": None})
    assert len(site.logs()) == 3
    site.others(f'[log.all]\npath = "{site.log}/*.log"\n')
    site.writes()
    assert tomllib.loads(site.own.read_text()) == {}


def check_what_is_added_later_is_counted(site: Site) -> None:
    """By a path with wildcards, in whatever format there is; it keeps the name that it got by that."""
    site.writes()
    assert site.later() == {"*access.log": None}
    odd = r"log_format odd $status\t$request_uri\t$host\t$request_method;"
    site.nginx(f"server {{ access_log {site.log}/odd-access.log odd; access_log {site.log}/odd.log; }} {odd}")
    said = site.writes()[1]
    assert f"  counted by    {site.log}/*access.log, since it came" in said
    note = "  note          one that is added beside it is not found by itself: run setup again then"
    assert said.count(note) == said[said.index(f"{site.log}/odd.log") :].count(note) == 1
    assert site.names() == {"access.log": "web", "shop.access.log": "shop", "odd.log": "odd"}
    spelled = r"log_format odd '$status\t$request_uri\t$host\t$request_method';"
    assert site.later() == {"*access.log": [spelled, "json", "combined"]}
    (pattern,) = (log for log in site.logs() if log.is_pattern)
    for raw in (b"200\t/a\tshop\tGET", LINE[:-1], b'{"status":200,"uri":"/a","method":"GET"}'):
        request = request_of(make_reader(pattern.format).roles(raw), keep_query=True)
        assert request[:3] == (b"GET", b"/a", 200)


def a_list_reads_each_as_it_is(order: Any) -> None:
    """`$status` is a lone hyphen of a combined line here, which would count as no answer."""
    own, timed = "log_format own '$request_time $status $request_uri';", f"{COMBINED_TEXT} $request_time"
    listed = as_list([compile_format(text) for text in order([own, timed])])
    for raw, status in ((LINE[:-1], 200), (LINE[:-1] + b" 0.1", 200), (b"0.1 404 /a", 404)):
        request = request_of(make_reader(listed).roles(raw), keep_query=True)
        assert (request.target, request.status) == (b"/a", status)


def check_variables_are_wildcards(site: Site) -> None:
    """Where nothing else matches."""
    site.nginx("server { access_log {0}/log/$host.log; access_log {0}/$host/access.log; }")
    paths = {table["path"] for table in tomllib.loads(site.runs()[0])["log"].values()}
    assert paths >= {f"{site.log}/*.log", f"{site.root}/*/access.log"}
    (site.log / "error.log").touch()
    text, said = site.runs()
    assert site.later(text).keys() == {"access.log", "*access.log"}
    assert f"  left out: {site.log}/*.log: {site.log}/error.log matches it, and has no requests" in said


def check_dates_make_one_log(site: Site, monkeypatch: Monkey) -> None:
    """Where variables stand for nothing else, and of what a program writes that a log is piped into."""
    site.nginx("server { access_log {0}/log/$h-$day.log; }")
    for name in ("a-2026-11-29.log", "a-2026-11-30.log", "b-2026-11-30.log", "piped.log.1795996800"):
        (site.log / name).write_bytes(LINE * 2)
    (site.log / "a-2026-11-28.log.gz").touch()
    pipes = ("piped.log 60", "%Y-%m-%d/x.log 60", "x.%a 60")
    apache = site.root / "apache.conf"
    apache.write_text("".join(f'CustomLog "|rotatelogs {site.log}/{pipe}" CLF\n' for pipe in pipes))
    monkeypatch.setattr(setup, "DEBIAN_APACHE", ApachePaths(str(site.root), str(apache)))
    said = "\n".join(site.writes()[1])
    dated = {"a": "a-%Y-%m-%d.log", "b": "b-%Y-%m-%d.log", "piped": "piped.log.%s", "x": "%Y-%m-%d/x.log"}
    assert {log.name: log.path for log in site.logs() if "%" in log.path} == {
        name: f"{site.log}/{path}" for name, path in dated.items()
    }
    assert f"{site.log}/x.%a: its fields of strftime do not tell one time, with its year" in said
    assert said.count("; 2 of 2 lines fit combined\n") == 3
    assert said.count("  readable      it is not there yet") == 2  # shop's, and the last one's


def check_what_has_no_requests_is_not_matched(site: Site) -> None:
    """By its lines, or by its format."""
    (site.log / "ftp-access.log").write_bytes(b"what is this?\n")
    text, said = site.runs()
    assert site.later(text) == {}
    left = f"  left out: {site.log}/*access.log: {site.log}/ftp-access.log matches it, and has no requests"
    assert left in said
    (site.log / "ftp-access.log").unlink()
    site.nginx("log_format none '$uri'; server { access_log {0}/log/none-access.log none; }")
    assert site.later(site.runs()[0]) == {}


def check_what_could_not_be_read_takes_nothing_away(site: Site) -> None:
    """A log stays that a file names which is broken now."""
    site.writes()
    site.nginx(text="http { server { access_log {0}/log/access.log; }\n include gone.conf; include qps; } }")
    said = site.writes(status=1)[1]
    assert site.names() == {"access.log": "web", "shop.access.log": "shop"}
    problem = f"  problem: {site.root}/nginx.conf, line 2: "
    assert [line for line in said if line.startswith("  problem: ")] == [
        f"{problem}expected no closing brace; the rest of the file is not read",
        f"{problem}{site.root}/gone.conf: No such file or directory",
        f"{problem}{site.root}/qps: it is no regular file",
    ]


def test_where_nothing_is_found_its_file_stays(site: Site) -> None:
    site.writes()
    before = site.own.read_text()
    site.nginx(text="http { access_log off; server { } }")
    assert site.writes(status=1)[1][-1] == "setup: no web server's log was found"
    assert site.own.read_text() == before


def test_a_configuration_that_is_broken_is_mended_first(site: Site) -> None:
    site.config.write_text("interval = 10s\n")
    assert 'put it in quotes: interval = "10s"' in "\n".join(site.writes(status=1)[1])
    assert not site.own.exists()


def test_its_file_that_is_broken_is_written_anew(site: Site) -> None:
    site.own.parent.mkdir()
    site.own.write_text("[log.shop\n")
    assert "; it is written anew, and logs get new names" in "\n".join(site.writes(status=1)[1])
    assert len(site.names()) == 2


def test_another_configuration_file_has_no_directory(site: Site) -> None:
    site.config = site.root / "shop.toml"
    (said,) = site.runs(status=2)[1]
    assert "conf.d stands beside a file named qps-reporter.toml alone" in said


def test_a_file_that_cannot_be_written_is_as_it_was(site: Site, monkeypatch: Monkey) -> None:
    site.writes()
    before = site.own.read_text()
    site.nginx("server { access_log {0}/log/x.log; }")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    site.writes(status=1)
    assert site.own.read_text() == before
    assert [path.name for path in site.own.parent.iterdir()] == ["50-setup.toml"]


# --- what can't be followed


def test_no_log_is_what_is_no_file(site: Site) -> None:
    """As in the images of nginx and httpd, where the log is a link to standard output."""
    (site.log / "shop.access.log").symlink_to("/dev/null")
    (site.log / "d").mkdir()
    site.nginx('server { access_log {0}/log/d; access_log "{0}/log/\udcff"; access_log {0}/%Y; }')
    text, said = site.runs()
    assert site.names(text) == {"access.log": "web"}
    assert [line for line in said if line.startswith("  left out: ")] == [
        f"  left out: {site.log}/shop.access.log: it is not a regular file (crw-rw-rw-)",
        f"  left out: {site.log}/d: it is not a regular file (drwx------)",
        f"  left out: {site.log}/\\xff: its name is no UTF-8, and TOML has no other",
        f"  left out: {site.root}/%Y: `path` would take a part of its name for the field of a date",
    ]


def test_a_log_without_status_is_left_out(site: Site) -> None:
    """As ssl_request_log, which Red Hat's Apache writes beside the others."""
    site.nginx("log_format none '$time_local $request_uri'; server { access_log {0}/log/none.log none; }")
    text, lines = site.runs()
    assert site.names(text) == {"access.log": "web", "shop.access.log": "shop"}
    said = "log_format none: the format has no status: expected $status (character 42); "
    assert f"  left out: {site.log}/none.log: {said}there is no line yet" in lines


# --- a dump


def check_a_dump(site: Site, monkeypatch: Monkey) -> None:
    """It takes the place of the files, whatever these say; on standard input, and as through a terminal."""
    text = (
        "nginx: the configuration file /etc/x/nginx.conf syntax is ok\n"
        "# configuration file /etc/x/nginx.conf:\nhttp {\n    include sites/*.conf;\n}\n\n"
        f"# configuration file /etc/x/sites/a.conf:\nserver {{ access_log {site.log}/a.log; }}\n\n"
        f"# configuration file /etc/x/sites/deep/b.conf:\nserver {{ access_log {site.log}/b.log; }}\n"
    )
    dump = site.root / "dump"
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(text.encode())))
    for given, newline in ((str(dump), "\n"), ("-", "\n"), (str(dump), "\r\n")):
        dump.write_text(text, newline=newline)
        assert site.names(site.runs("--nginx-dump", given)[0]) == {"a.log": "a"}
    dump.write_text("nothing")
    site.runs("--nginx-dump", str(dump), status=2)
    site.runs("--nginx-dump", str(site.root / "none"), status=2)


# --- other servers


def check_other_servers(site: Site, monkeypatch: Monkey) -> None:
    """By their lines, where they customarily write; what is rotated or packed, or has none, is no log."""
    other = site.root / "other"
    other.mkdir()
    for name in ("access.log", "access.log.1", "access-20261130.log", "access.log.2.gz"):
        (other / name).write_bytes(LINE)
    (other / "error-access.log").write_bytes(b"[error] what?\n" * 9)
    (other / "new-access.log").touch()
    places = (("lighttpd", (f"{other}/*access*",)), ("nginx", (f"{site.log}/*",)))
    monkeypatch.setattr(customary, "PLACES", places)
    text, said = site.runs()
    assert site.names(text) == {"access.log": "other", "shop.access.log": "shop"}
    lighttpd = [line for line in said if "lighttpd" in line]
    assert lighttpd == [f"  written by    lighttpd ({other}/access.log)"]


# --- names and built-in paths


def logs_are_looked_for_where_others_are(proposed: Any) -> None:
    for paths, patterns in (
        ("/l/access.log /l/shop.access.log /l/blog-access.log", "/l/*access.log"),
        ("/l/access.log /l/access_shop.log", "/l/*access*.log"),
        ("/l/access_shop.log /l/access.log /m/ssl_access_log", "/l/*access*.log /m/*access_log"),
        ("/l/api.access.json /l/shop-access", "/l/*access.json /l/*access"),
        ("/srv/a.example/log/access.log /srv/b.example/log/access.log", "/srv/*/log/*access.log"),
        ("/srv/www.a.example/requests", "/srv/*/requests"),
        ("/l/access_shop /l/access.log.save /l/shop.log /srv/c.example/log", ""),
        ("/l[1]/*/access.log", "/l[[]1]/[*]/*access.log"),
    ):
        served = ("www.a.example", "b.example")
        found = [FoundLog(path, (), served, "here") for path in paths.split()]
        assert proposed(found) == patterns.split()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/var/log/nginx/access.log", "nginx"),
        ("/var/log/nginx/shop.access.log", "shop"),
        ("/var/log/apache2/other_vhosts_access.log", "apache2"),
        ("/var/log/httpd/ssl_access_log", "httpd"),
        ("/srv/shop.example/logs/access.log", "shop.example"),
        ("/var/log/nginx/shop_access.log", "shop"),
        ("/var/log/x/a b\xe4.log", "a_b"),
        ("/access.log", "access"),
        ("/var/log/nginx/*access.log", "nginx-later"),
        ("/srv/*/logs/*access*.log", "access-later"),
        ("/srv/[[]x]/[*].log", "x"),
        ("/x/" + "a" * 99 + ".log", "a" * 64),
        ("/var/log/nginx/access-%Y-%m-%d.log", "nginx"),
        ("/l/%Y/%-m/shop.%s", "shop"),
    ],
)
def test_names(path: str, name: str) -> None:
    assert name_of(path) == name


def test_built_in_paths() -> None:
    said = "nginx version: x\nconfigure arguments: --with-cc-opt='-g -O2' --prefix=/opt/n "
    said += "--http-log-path=log/a.log\n"
    assert nginx_paths(said) == NginxPaths("/opt/n", "/opt/n/conf/nginx.conf", "/opt/n/log/a.log")
    assert nginx_paths("configure arguments: --x='open --prefix=/p") == NginxPaths(
        "/p", "/p/conf/nginx.conf", "/p/logs/access.log"
    )
    assert nginx_paths("") is None
    said = 'Server version: x\n -D HTTPD_ROOT="/etc/httpd"\n -D SERVER_CONFIG_FILE="conf/httpd.conf"\n'
    assert apache_paths(said) == built_in.REDHAT_APACHE
    assert apache_paths("AH00534") is None


def check_programs_are_asked_one_thing(site: Site, monkeypatch: Monkey) -> None:
    """-V, and nothing else; a program that hangs or fails is no trouble."""
    monkeypatch.undo()
    monkeypatch.setattr(own_user, "SERVICE_USER", "no-such-user")
    monkeypatch.setattr(customary, "PLACES", ())
    programs, asked = site.root / "bin", site.root / "asked"
    programs.mkdir()
    for name in ("nginx", "apache2ctl"):
        (programs / name).write_text(f'#!/bin/sh\necho "$0 $*" >>{asked}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(setup, "DEBIAN_NGINX", NginxPaths("/no", "/no", "/no"))
    for name in ("DEBIAN_APACHE", "REDHAT_APACHE"):
        monkeypatch.setattr(setup, name, ApachePaths("/no", "/no"))
    assert site.runs(status=1)[1] == ["setup: no web server's log was found"]
    assert asked.read_text().splitlines() == [f"{programs}/nginx -V", f"{programs}/apache2ctl -V"]


def written_at_once(path: str, text: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)


KNOWS_NONE = {"new names": answers(setup, "_known", ({}, True))}

test_promise, test_twin = promises(
    {
        check_it_only_prints: {},
        check_it_writes_its_file: {"by the umask": Patches((setup_file, "write", written_at_once))},
        check_names_stay: KNOWS_NONE,
        check_what_others_name_is_left_to_them: {"takes them": answers(setup, "_other_files", [])},
        check_what_is_added_later_is_counted: {
            "by none": answers(setup, "patterns_for", []),
            "a second name": Patches((setup, "matches", lambda pattern, path: False)),
        },
        check_variables_are_wildcards: {"whatever": answers(setup, "_has_requests", True)},
        check_dates_make_one_log: {
            "a log each": Patches((setup, "_dated", lambda log, _: [log])),
            "no file": answers(setup, "dated_files", []),
        },
        check_what_has_no_requests_is_not_matched: {"whatever": answers(setup, "_has_requests", True)},
        check_what_could_not_be_read_takes_nothing_away: {"drops them": answers(setup, "_kept", [])},
        check_a_dump: {"any directory": Patches((dump.Dump, "matches", lambda self, _: [*self._texts][1:]))},
        check_other_servers: {"rotated ones": answers(customary, "siblings", [])},
        check_programs_are_asked_one_thing: {},
    },
    Promise(
        a_list_reads_each_as_it_is, in_order, {"as they come": lambda formats: (*formats, "combined", "json")}
    ),
    Promise(
        logs_are_looked_for_where_others_are,
        patterns_for,
        {"each": lambda found: [pattern for log in found for pattern in patterns_for([log])]},
    ),
)
