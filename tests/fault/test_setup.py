"""`qps-reporter setup` beside the real nginx and Apache: it names what their requests are written to."""

import os
import re
import tomllib
from glob import glob
from pathlib import Path

import pytest

from qps_service.cli import main
from qps_service.commands import setup
from qps_service.configuration.path_patterns import is_pattern
from qps_service.formats.detection import choose, fits
from qps_service.formats.presets import compile_format
from qps_service.service import own_user
from qps_service.setup import apache, nginx
from tests.fault.server_sites import APACHE_SITES, NGINX_SITES, Site, ask, served
from tests.promised import Patches, Promise, nothing, promises

Captured = pytest.CaptureFixture[str]
Monkey = pytest.MonkeyPatch

pytestmark = pytest.mark.real_time

SAYS = {
    "nginx": "configure arguments: --prefix={root} --conf-path={root}/conf/nginx.conf "
    "--http-log-path={root}/log/default.log",
    "apache2ctl": ' -D HTTPD_ROOT="{root}"\n -D SERVER_CONFIG_FILE="apache2.conf"',
}


def says(root: Path, site: Site) -> str:
    """Programs that say where they have this configuration from; PATH for them."""
    program = "apache2ctl" if site.is_apache else "nginx"
    (root / "bin").mkdir()
    for name, text in SAYS.items():
        path = root / "bin" / name
        said = text.format(root=root) if name == program else "nothing"
        path.write_text(f"#!/bin/sh\n[ $# = 1 ] && [ $1 = -V ] && cat <<'END'\n{said}\nEND\n")
        path.chmod(0o755)
    return f"{root / 'bin'}:{os.environ['PATH']}"


def names_what_is_written_to(site: Site, tmp_path: Path, monkeypatch: Monkey, capsys: Captured) -> None:
    """Once every virtual host was asked; and every line fits the format that it says."""
    root = tmp_path / "site"
    with served(site, root) as port:
        for each in site.asks:
            ask(port, each)
    monkeypatch.setenv("PATH", says(root, site))
    monkeypatch.setattr(own_user, "SERVICE_USER", "no-such-user")
    assert main(["setup", "--config", str(tmp_path / "qps-reporter.toml")]) == 0
    printed = capsys.readouterr()
    named = {  # a path's own table is the first one
        path: table
        for table in reversed(tomllib.loads(printed.out)["log"].values())
        for path in (glob(table["path"]) if is_pattern(table["path"]) else [table["path"]])
    }
    changed, left = site.changed(root), {str(root / name) for name in site.left}
    assert left <= changed
    assert named.keys() - site.unreached(root) == changed - left, printed.err
    for path in named.keys() & changed:
        lines = Path(path).read_bytes().splitlines()
        log_format = compile_format(named[path].get("format", "auto"))
        chosen = choose(lines).format if log_format.is_auto else log_format
        assert chosen is not None, (path, lines)
        assert all(fits(chosen, line) for line in lines), (path, chosen, lines)


Log = apache._Log
SITES = (*NGINX_SITES, *APACHE_SITES)
TWINS = {
    "inherited": [Patches((nginx, "_own", lambda _: None))],
    "replaced by level": [Patches((nginx, "_LEVELS", ("location",)))],
    "includes": [Patches((nginx, "_GLOB", re.compile("[?]")))],
    "formats": [Patches((setup, "is_told_by_lines", lambda _: True))],
    "several a server": [Patches((nginx, "_unfollowed", lambda _: None))],
    "variables": [
        Patches((nginx, "_VARIABLE", re.compile("(?!)"))),
        Patches((nginx, "_texts", lambda _: {})),
    ],
    "compressed": [Patches((nginx, "_unfollowed", lambda _: None))],
    "answered before a location": [Patches((nginx, "_answers", lambda _: False))],
    "off": [Patches((nginx, "_takes_all", lambda _: True))],
    "names of files": [Patches((nginx, "_ESCAPES", {}))],
    "blocks of others": [Patches((nginx, "COMBINED", ""))],
    "as Debian has it": [
        Patches((apache, "environment_of", lambda _: {})),
        Patches((apache, "_is_taken", lambda *_: False)),
    ],
    "nicknames": [Patches((setup, "is_told_by_lines", lambda _: True))],
    "global logs": [Patches((apache, "_Log", lambda *fields: Log(*fields)._replace(is_global=False)))],
    "included": [Patches((apache, "_GLOB", re.compile("[?]")))],
    "conditions": [Patches((apache._Configuration, "_applies", lambda *_: True))],
    "pipes and macros": [Patches((apache._Configuration, "_use", nothing))],
}

test_names_what_is_written_to, test_twin = promises(
    *(
        Promise(names_what_is_written_to, None, TWINS.get(each.name, []), label=each.name, site=each)
        for each in SITES
    )
)
