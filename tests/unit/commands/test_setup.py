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
from qps_service.files.kernel import user_name
from qps_service.formats.line import make_reader, request_of
from qps_service.formats.presets import PRESETS, as_list, compile_format
from qps_service.service import own_user
from qps_service.setup import built_in, customary, dump
from qps_service.setup.built_in import ApachePaths, NginxPaths, apache_paths, nginx_paths
from qps_service.setup.choosing import in_order
from qps_service.setup.found import FoundLog
from qps_service.setup.later import patterns_for
from tests.promised import Patches, Promise, promises

Captured = pytest.CaptureFixture[str]
Monkey = pytest.MonkeyPatch

CONF = "http {{ access_log {0}/log/access.log; access_log {0}/log/shop.access.log; server {{ }} {1} }}"
COMBINED_TEXT = PRESETS["combined"].texts[0]
LINE = b'1.2.3.4 - - [29/Nov/2026:17:52:49 +0000] "GET /a HTTP/1.1" 200 5 "-" "-"\n'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: Monkey) -> Iterator[Path]:
    """An nginx with two logs, no other server, and a configuration without logs."""
    tmp_path /= "web"
    for name in ("log", "qps"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "nginx.conf").write_text(CONF.format(tmp_path, ""))
    (tmp_path / "log" / "access.log").write_bytes(LINE)
    (tmp_path / "qps" / "qps-reporter.toml").write_text("# nothing\n")
    nowhere = ApachePaths("/no", "/no/where")
    for name, value in (("DEBIAN_APACHE", nowhere), ("REDHAT_APACHE", nowhere)):
        monkeypatch.setattr(setup, name, value)
    here = NginxPaths(str(tmp_path), str(tmp_path / "nginx.conf"), str(tmp_path / "log" / "access.log"))
    monkeypatch.setattr(setup, "DEBIAN_NGINX", here)
    monkeypatch.setattr(setup, "_said", lambda _: "")
    monkeypatch.setattr(customary, "PLACES", ())
    monkeypatch.setattr(own_user, "SERVICE_USER", "no-such-user")
    monkeypatch.delenv("QPS_REPORTER_CONFIG", raising=False)
    umask = os.umask(0o077)
    yield tmp_path
    os.umask(umask)


def ran(site: Path, *words: str) -> int:
    return main(["setup", "--config", str(site / "qps" / "qps-reporter.toml"), *words])


def own(site: Path) -> Path:
    return site / "qps" / "conf.d" / "50-setup.toml"


def names(text: str) -> dict[str, str]:
    """Of what is no pattern, by path, of which the last part is enough."""
    tables = tomllib.loads(text)["log"].items()
    return {os.path.basename(table["path"]): name for name, table in tables if not is_pattern(table["path"])}


def later(text: str) -> dict[str, object]:
    """The formats of what is one, by path, likewise."""
    paths = {table["path"]: table.get("format") for table in tomllib.loads(text)["log"].values()}
    return {os.path.basename(path): each for path, each in paths.items() if is_pattern(path)}


# --- what it prints, and that this is all


def check_it_only_prints(site: Path, capsys: Captured) -> None:
    before = sorted(site.rglob("*"))
    assert ran(site) == 0
    assert sorted(site.rglob("*")) == before
    printed = capsys.readouterr()
    assert names(printed.out) == {"access.log": "web", "shop.access.log": "shop"}
    user = user_name(os.geteuid())
    log = site / "log"
    lines = printed.err.splitlines()
    assert lines.pop(3).startswith(
        "  format        combined, as the configuration says (combined); 1 of 1 lines "
    )
    assert lines == [
        f"nginx: {site}/nginx.conf",
        f"{log}/access.log",
        f"  written by    nginx for a server without a name ({site}/nginx.conf, line 1)",
        f"  readable      yes, by user {user}",
        f"{log}/shop.access.log",
        f"  written by    nginx for a server without a name ({site}/nginx.conf, line 1)",
        "  format        auto, as the configuration says (combined); there is no line yet",
        "  readable      it is not there yet, and is waited for",
        f"{log}/*access.log",
        "  for           nginx: logs that come later, from their first line on",
        f"setup: nothing was written; qps-reporter setup --write writes this into {own(site)}",
    ]


# --- what it writes


def check_it_writes_its_file(site: Path, capsys: Captured) -> None:
    """As a whole, for all to read, and the service takes it; the difference is printed."""
    assert ran(site, "--write") == 0
    written = own(site).read_text()
    assert own(site).stat().st_mode & 0o777 == 0o644
    assert own(site).parent.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in own(site).parent.iterdir()] == ["50-setup.toml"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["--- /dev/null", f"+++ {own(site)}"]
    assert [line[1:] for line in printed[3:]] == written.splitlines()
    config = load(Flags(config=str(site / "qps" / "qps-reporter.toml")), {})
    paths = {f"{site}/log/{name}" for name in ("access.log", "shop.access.log", "*access.log")}
    assert {log.path for log in config.logs} == paths
    inode = own(site).stat().st_ino
    assert ran(site, "--write") == 0
    assert own(site).stat().st_ino == inode
    assert capsys.readouterr().out == ""


def check_names_stay(site: Path, capsys: Captured) -> None:
    """Those that its file has, whatever gave them; what is gone, goes, and the difference says so."""
    ran(site, "--write")
    text = own(site).read_text().replace("[log.shop]", "[log.store]")
    own(site).write_text(text)
    new = f"server {{ access_log {site}/log/store.log; }} server {{ access_log {site}/shop/access.log; }}"
    (site / "nginx.conf").write_text(CONF.format(site, new))
    capsys.readouterr()
    assert ran(site, "--write") == 0
    assert names(own(site).read_text())["shop.access.log"] == "store"
    assert names(own(site).read_text())["store.log"] == "store-2"
    assert "+[log.store-2]" in capsys.readouterr().out
    (site / "nginx.conf").write_text(f"http {{ server {{ access_log {site}/log/store.log; }} }}")
    assert ran(site, "--write") == 0
    assert names(own(site).read_text()) == {"store.log": "store-2"}
    assert "-[log.store]" in capsys.readouterr().out


def check_what_others_name_is_left_to_them(site: Path, capsys: Captured) -> None:
    """By whatever path, and their names are not taken twice."""
    (site / "link").symlink_to("log")
    (site / "qps" / "conf.d").mkdir()
    mine = f'[log.shop]\npath = "{site}/link/access.log"\nformat = "combined"\n'
    (site / "qps" / "conf.d" / "10-mine.toml").write_text(mine)
    assert ran(site, "--write") == 0
    assert names(own(site).read_text()) == {"shop.access.log": "shop-2"}
    said = f"  left out: {site}/log/access.log: it is log shop of {site}/qps/conf.d/10-mine.toml"
    assert said in capsys.readouterr().err.splitlines()
    assert len(load(Flags(config=str(site / "qps" / "qps-reporter.toml")), {}).logs) == 3
    mine += f'[log.more]\npath = "{site}/log/shop.access.log"\n'
    (site / "qps" / "conf.d" / "10-mine.toml").write_text(mine)
    assert ran(site, "--write") == 0
    assert (names(own(site).read_text()), later(own(site).read_text())) == ({}, {"*access.log": None})
    assert len(load(Flags(config=str(site / "qps" / "qps-reporter.toml")), {}).logs) == 3
    mine = f'[log.all]\npath = "{site}/log/*.log"\n'
    (site / "qps" / "conf.d" / "10-mine.toml").write_text(mine)
    assert ran(site, "--write") == 0
    assert tomllib.loads(own(site).read_text()) == {}


def check_what_is_added_later_is_counted(site: Path, capsys: Captured) -> None:
    """By a path with wildcards, in whatever format there is; it keeps the name that it got by that."""
    assert ran(site, "--write") == 0
    assert later(own(site).read_text()) == {"*access.log": None}
    odd = r"log_format odd $status\t$request_uri\t$host\t$request_method;"
    new = f"server {{ access_log {site}/log/odd-access.log odd; access_log {site}/log/odd.log; }} {odd}"
    (site / "nginx.conf").write_text(CONF.format(site, new))
    capsys.readouterr()
    assert ran(site, "--write") == 0
    said = capsys.readouterr().err.splitlines()
    assert f"  counted by    {site}/log/*access.log, since it came" in said
    note = "  note          one that is added beside it is not found by itself: run setup again then"
    assert said.count(note) == said[said.index(f"{site}/log/odd.log") :].count(note) == 1
    assert names(own(site).read_text()) == {"access.log": "web", "shop.access.log": "shop", "odd.log": "odd"}
    spelled = r"log_format odd '$status\t$request_uri\t$host\t$request_method';"
    assert later(own(site).read_text()) == {"*access.log": [spelled, "json", "combined"]}
    logs = load(Flags(config=str(site / "qps" / "qps-reporter.toml")), {}).logs
    (pattern,) = (log for log in logs if log.is_pattern)
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


def check_variables_are_wildcards(site: Path, capsys: Captured) -> None:
    """Where nothing else matches."""
    names_it = f"server {{ access_log {site}/log/$host.log; access_log {site}/$host/access.log; }}"
    (site / "nginx.conf").write_text(CONF.format(site, names_it))
    assert ran(site) == 0
    paths = {table["path"] for table in tomllib.loads(capsys.readouterr().out)["log"].values()}
    assert paths >= {f"{site}/log/*.log", f"{site}/*/access.log"}
    (site / "log" / "error.log").touch()
    assert ran(site) == 0
    printed = capsys.readouterr()
    assert later(printed.out).keys() == {"access.log", "*access.log"}
    said = f"  left out: {site}/log/*.log: {site}/log/error.log matches it, and has no requests"
    assert said in printed.err.splitlines()


def check_dates_make_one_log(site: Path, capsys: Captured, monkeypatch: Monkey) -> None:
    """Where variables stand for nothing else, and of what a program writes that a log is piped into."""
    (site / "nginx.conf").write_text(CONF.format(site, f"server {{ access_log {site}/log/$h-$day.log; }}"))
    for name in ("a-2026-11-29.log", "a-2026-11-30.log", "b-2026-11-30.log", "piped.log.1795996800"):
        (site / "log" / name).write_bytes(LINE * 2)
    (site / "log" / "a-2026-11-28.log.gz").touch()
    pipes = ("piped.log 60", "%Y-%m-%d/x.log 60", "x.%a 60")
    text = "".join(f'CustomLog "|rotatelogs {site}/log/{pipe}" CLF\n' for pipe in pipes)
    (site / "apache.conf").write_text(text)
    monkeypatch.setattr(setup, "DEBIAN_APACHE", ApachePaths(str(site), str(site / "apache.conf")))
    assert ran(site, "--write") == 0
    logs = {
        log.name: log.path for log in load(Flags(config=str(site / "qps" / "qps-reporter.toml")), {}).logs
    }
    dated = {"a": "a-%Y-%m-%d.log", "b": "b-%Y-%m-%d.log", "piped": "piped.log.%s", "x": "%Y-%m-%d/x.log"}
    assert {name: path for name, path in logs.items() if "%" in path} == {
        name: f"{site}/log/{path}" for name, path in dated.items()
    }
    said = capsys.readouterr().err
    assert f"{site}/log/x.%a: its fields of strftime do not tell one time, with its year" in said
    assert said.count("; 2 of 2 lines fit combined\n") == 3
    assert said.count("  readable      it is not there yet") == 2  # shop's, and the last one's


def check_what_has_no_requests_is_not_matched(site: Path, capsys: Captured) -> None:
    """By its lines, or by its format."""
    (site / "log" / "ftp-access.log").write_bytes(b"what is this?\n")
    assert ran(site) == 0
    printed = capsys.readouterr()
    assert later(printed.out) == {}
    said = f"  left out: {site}/log/*access.log: {site}/log/ftp-access.log matches it, and has no requests"
    assert said in printed.err.splitlines()
    (site / "log" / "ftp-access.log").unlink()
    more = f"log_format none '$uri'; server {{ access_log {site}/log/none-access.log none; }}"
    (site / "nginx.conf").write_text(CONF.format(site, more))
    assert ran(site) == 0
    assert later(capsys.readouterr().out) == {}


def check_what_could_not_be_read_takes_nothing_away(site: Path, capsys: Captured) -> None:
    """A log stays that a file names which is broken now."""
    ran(site, "--write")
    (site / "nginx.conf").write_text(
        f"http {{ server {{ access_log {site}/log/access.log; }}\n include gone.conf; }} }}"
    )
    capsys.readouterr()
    assert ran(site, "--write") == 1
    assert names(own(site).read_text()) == {"access.log": "web", "shop.access.log": "shop"}
    problems = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  problem: ")]
    assert problems == [
        f"  problem: {site}/nginx.conf, line 2: expected no closing brace; the rest of the file is not read",
        f"  problem: {site}/nginx.conf, line 2: {site}/gone.conf: No such file or directory",
    ]


def test_where_nothing_is_found_its_file_stays(site: Path, capsys: Captured) -> None:
    ran(site, "--write")
    before = own(site).read_text()
    (site / "nginx.conf").write_text("http { access_log off; server { } }")
    capsys.readouterr()
    assert ran(site, "--write") == 1
    assert own(site).read_text() == before
    assert capsys.readouterr().err.splitlines()[-1] == "setup: no web server's log was found"


def test_a_configuration_that_is_broken_is_mended_first(site: Path, capsys: Captured) -> None:
    (site / "qps" / "qps-reporter.toml").write_text("interval = 10s\n")
    assert ran(site, "--write") == 1
    assert not own(site).exists()
    assert 'put it in quotes: interval = "10s"' in capsys.readouterr().err


def test_its_file_that_is_broken_is_written_anew(site: Path, capsys: Captured) -> None:
    (site / "qps" / "conf.d").mkdir()
    own(site).write_text("[log.shop\n")
    assert ran(site, "--write") == 1
    assert len(names(own(site).read_text())) == 2
    assert "; it is written anew, and logs get new names" in capsys.readouterr().err


def test_another_configuration_file_has_no_directory(tmp_path: Path, capsys: Captured) -> None:
    assert main(["setup", "--config", str(tmp_path / "shop.toml")]) == 2
    assert "conf.d stands beside a file named qps-reporter.toml alone" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_as_it_was(site: Path, monkeypatch: Monkey) -> None:
    ran(site, "--write")
    before = own(site).read_text()
    (site / "nginx.conf").write_text(CONF.format(site, f"server {{ access_log {site}/log/x.log; }}"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert ran(site, "--write") == 1
    assert own(site).read_text() == before
    assert [path.name for path in own(site).parent.iterdir()] == ["50-setup.toml"]


# --- what can't be followed


def test_no_log_is_what_is_no_file(site: Path, capsys: Captured) -> None:
    """As in the images of nginx and httpd, where the log is a link to standard output."""
    (site / "log" / "shop.access.log").symlink_to("/dev/null")
    (site / "log" / "d").mkdir()
    more = f'server {{ access_log {site}/log/d; access_log "{site}/log/\udcff"; access_log {site}/%Y; }}'
    (site / "nginx.conf").write_text(CONF.format(site, more), errors="surrogateescape")
    assert ran(site) == 0
    printed = capsys.readouterr()
    assert names(printed.out) == {"access.log": "web"}
    left = [line for line in printed.err.splitlines() if line.startswith("  left out: ")]
    assert left == [
        f"  left out: {site}/log/shop.access.log: it is not a regular file (crw-rw-rw-)",
        f"  left out: {site}/log/d: it is not a regular file (drwx------)",
        f"  left out: {site}/log/\\xff: its name is no UTF-8, and TOML has no other",
        f"  left out: {site}/%Y: `path` would take a part of its name for the field of a date",
    ]


def test_a_log_without_status_is_left_out(site: Path, capsys: Captured) -> None:
    """As ssl_request_log, which Red Hat's Apache writes beside the others."""
    more = f"log_format none '$time_local $request_uri'; server {{ access_log {site}/log/none.log none; }}"
    (site / "nginx.conf").write_text(CONF.format(site, more))
    assert ran(site) == 0
    printed = capsys.readouterr()
    assert names(printed.out) == {"access.log": "web", "shop.access.log": "shop"}
    said = "log_format none: the format has no status: expected $status (character 42); "
    said += "there is no line yet"
    assert f"  left out: {site}/log/none.log: {said}" in printed.err.splitlines()


# --- a dump


def check_a_dump(site: Path, capsys: Captured, monkeypatch: Monkey) -> None:
    """It takes the place of the files, whatever these say; on standard input, too."""
    text = (
        "nginx: the configuration file /etc/x/nginx.conf syntax is ok\n"
        "# configuration file /etc/x/nginx.conf:\nhttp {\n    include sites/*.conf;\n}\n\n"
        f"# configuration file /etc/x/sites/a.conf:\nserver {{ access_log {site}/log/a.log; }}\n\n"
        f"# configuration file /etc/x/sites/deep/b.conf:\nserver {{ access_log {site}/log/b.log; }}\n"
    )
    (site / "dump").write_text(text)
    assert ran(site, "--nginx-dump", str(site / "dump")) == 0
    assert names(capsys.readouterr().out) == {"a.log": "a"}
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(text.encode())))
    assert ran(site, "--nginx-dump", "-") == 0
    assert names(capsys.readouterr().out) == {"a.log": "a"}
    (site / "dump").write_text(text.replace("\n", "\r\n"), newline="")  # as through a terminal
    assert ran(site, "--nginx-dump", str(site / "dump")) == 0
    assert names(capsys.readouterr().out) == {"a.log": "a"}
    (site / "dump").write_text("nothing")
    assert ran(site, "--nginx-dump", str(site / "dump")) == 2
    assert ran(site, "--nginx-dump", str(site / "none")) == 2


# --- other servers


def check_other_servers(site: Path, capsys: Captured, monkeypatch: Monkey) -> None:
    """By their lines, where they customarily write; what is rotated or packed, or has none, is no log."""
    other = site / "other"
    other.mkdir()
    for name in ("access.log", "access.log.1", "access-20261130.log", "access.log.2.gz"):
        (other / name).write_bytes(LINE)
    (other / "error-access.log").write_bytes(b"[error] what?\n" * 9)
    (other / "new-access.log").touch()
    monkeypatch.setattr(
        customary, "PLACES", (("lighttpd", (f"{other}/*access*",)), ("nginx", (f"{site}/log/*",)))
    )
    assert ran(site) == 0
    printed = capsys.readouterr()
    assert names(printed.out) == {"access.log": "other", "shop.access.log": "shop"}
    assert [line for line in printed.err.splitlines() if "lighttpd" in line] == [
        f"  written by    lighttpd ({other}/access.log)"
    ]


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


def check_programs_are_asked_one_thing(site: Path, monkeypatch: Monkey, capsys: Captured) -> None:
    """-V, and nothing else; a program that hangs or fails is no trouble."""
    monkeypatch.undo()
    monkeypatch.setattr(own_user, "SERVICE_USER", "no-such-user")
    monkeypatch.setattr(customary, "PLACES", ())
    (site / "bin").mkdir()
    for name in ("nginx", "apache2ctl"):
        path = site / "bin" / name
        path.write_text(f'#!/bin/sh\necho "$0 $*" >>{site}/asked\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{site}/bin")
    monkeypatch.setattr(setup, "DEBIAN_NGINX", NginxPaths("/no", "/no", "/no"))
    for name in ("DEBIAN_APACHE", "REDHAT_APACHE"):
        monkeypatch.setattr(setup, name, ApachePaths("/no", "/no"))
    assert ran(site) == 1
    assert (site / "asked").read_text().splitlines() == [f"{site}/bin/nginx -V", f"{site}/bin/apache2ctl -V"]
    assert capsys.readouterr().err == "setup: no web server's log was found\n"


def written_at_once(path: str, text: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)


KNOWS_NONE = {"new names": Patches((setup, "_known", lambda _: ({}, True)))}

test_promise, test_twin = promises(
    {
        check_it_only_prints: {},
        check_it_writes_its_file: {"by the umask": Patches((setup_file, "write", written_at_once))},
        check_names_stay: KNOWS_NONE,
        check_what_others_name_is_left_to_them: {
            "takes them": Patches((setup, "_other_files", lambda *_: []))
        },
        check_what_is_added_later_is_counted: {
            "by none": Patches((setup, "patterns_for", lambda _: [])),
            "a second name": Patches((setup, "matches", lambda pattern, path: False)),
        },
        check_variables_are_wildcards: {"whatever": Patches((setup, "_has_requests", lambda *_: True))},
        check_dates_make_one_log: {
            "a log each": Patches((setup, "_dated", lambda log, _: [log])),
            "no file": Patches((setup, "dated_files", lambda *_: [])),
        },
        check_what_has_no_requests_is_not_matched: {
            "whatever": Patches((setup, "_has_requests", lambda *_: True))
        },
        check_what_could_not_be_read_takes_nothing_away: {
            "drops them": Patches((setup, "_kept", lambda *_: []))
        },
        check_a_dump: {"any directory": Patches((dump.Dump, "matches", lambda self, _: [*self._texts][1:]))},
        check_other_servers: {"rotated ones": Patches((customary, "siblings", lambda *_: []))},
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
