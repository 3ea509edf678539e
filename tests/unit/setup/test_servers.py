"""What configurations of nginx and Apache say of logs, in what the real servers are not tried with."""

import posixpath
from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest

from qps_service.errors import FormatError
from qps_service.formats.presets import compile_format
from qps_service.setup import apache, nginx
from qps_service.setup.apache import environment_of
from qps_service.setup.built_in import ApachePaths, NginxPaths
from qps_service.setup.choosing import is_told_by_lines
from qps_service.setup.found import FILES, Findings

MAIN = "/c/main.conf"
MANY = "".join(f"{number} {number};" for number in range(17))  # 17 times 17 is more than are told apart


class Files:
    """A way to read texts by their paths."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def read(self, path: str) -> str:
        if path not in self._texts:
            raise FileNotFoundError(2, "No such file or directory")
        return self._texts[path]

    def matches(self, pattern: str) -> list[str]:
        return sorted(path for path in self._texts if fnmatchcase(path, pattern))

    def files_below(self, path: str) -> list[str] | None:
        return sorted(each for each in self._texts if each.startswith(f"{path}/")) or None


def of_nginx(text: str, **more: str) -> Findings:
    files = {MAIN: text, **{f"/c/{name}": text for name, text in more.items()}}
    return nginx.find_logs(NginxPaths("/p", MAIN, "/p/built-in.log"), Files(files))


def of_apache(text: str, **more: str) -> Findings:
    files = {MAIN: text, **{f"/c/{name}": text for name, text in more.items()}}
    return apache.find_logs(ApachePaths("/c", MAIN), Files(files))


def said(findings: Findings) -> list[str]:
    return [f"{posixpath.basename(place)}: {text}" for place, text in findings.problems]


# --- nginx


def test_without_a_directive_it_is_the_log_that_is_built_in() -> None:
    assert list(of_nginx("http { server { } }").logs) == ["/p/built-in.log"]
    assert list(of_nginx("http { access_log off; server { } }").logs) == []
    assert list(of_nginx("http { access_log a.log; }").logs) == []  # no server, no request


END = "; the rest of the file is not read"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http {\n server {\n  access_log a.log other; } }", "3: no log_format is named other"),
        ("http { server { } }\n}", f"2: expected no closing brace{END}"),
        ("http { server { \n\n", f"3: the file ends within the block of server{END}"),
        ("http { server { access_log x\n } }", f"2: expected a semicolon behind x{END}"),
        ("\n;", f"2: expected a directive, got ;{END}"),
        ("http {\ninclude none.conf; }", "2: /c/none.conf: No such file or directory"),
        ("http { }\ninclude main.conf;", "2: /c/main.conf includes itself"),
        ("x {" * 200, f"1: blocks are 100 deep{END}"),
    ],
)
def test_what_nginx_could_not_read_is_named(text: str, problem: str) -> None:
    assert said(of_nginx(text)) == [f"main.conf, line {problem}"]


HOSTILE = (
    *("", "http {", "}", "\0" * 9, '"', "include *;", "a_by_lua_block {"),
    *(text * 5000 for text in ("{", "x {", "$")),
)


def test_a_hostile_configuration_has_no_logs() -> None:
    assert [text for text in HOSTILE if of_nginx(text).logs] == []


def test_what_stands_before_a_mistake_counts() -> None:
    found = of_nginx(
        "http { server { access_log a.log; }\n include b; include c; }",
        b="server { access_log b.log; } '",
        c="server { access_log c.log; }",
    )
    assert list(found.logs) == ["/p/a.log", "/p/b.log", "/p/c.log"]


def test_files_that_include_each_other_have_an_end() -> None:
    """Each of these twice the next: 2 ** 40."""
    files = {f"f{number}": f"include f{number + 1}; include f{number + 1};" for number in range(40)}
    found = of_nginx("include f0;", **files, f40="")
    assert len(found.files) == FILES + 1
    assert len([text for text in said(found) if f"more than {FILES} files" in text]) == 1


def test_servers_that_disagree_about_a_format() -> None:
    log = of_nginx(
        "http { log_format x '$uri $status';"
        "server { server_name a; access_log l; } server { access_log l x; listen 81; }"
        "server { access_log l; server_name _; } }"
    ).logs["/p/l"]
    assert log.formats == ("combined", "log_format x '$uri $status';")
    assert log.served == ("a", "81", "other hosts")


@pytest.mark.parametrize(
    ("given", "path", "logs"),
    [
        ("map $host $x { hostnames; default z; a b; }", "$x.log", "z.log b.log"),
        ("map $host $x { include more; volatile; default z; }", "${x}.log", "q.log z.log"),
        ("split_clients $host $x { 1% one; * two; }", "$x/$x.log", "one/one.log two/two.log"),
        ("map $host $x { a 1; } map $x $y { 1 $x/l; default $uri; }", "$y", "*"),
        ("map $host $x { a 1; } map $x $y { 1 $x/l; default d; }", "$y-a[", "1/l-a[ d-a["),
        ("map $a $x { a $y; } map $a $y { a $x; }", "$x", "*"),
        ("map $a $x { a /dev/null; }", "$x", "/dev/null"),
        ("map $a $x { default $1-$2; ~b none; }", "l-$x", "l-*"),
        ("geo $x { default a; }", "l-$x-$y", "l-*-*"),
        ("set $x one; location / { set $x two; access_log $x; }", "$x", "one two"),
        ("set $x one; if ($a) { set $x two; }", "$x", "one two"),
        ("server_name Shop.example *.b;", "$server_name", "shop.example *"),
        ("server_name .shop;", "l-$server_name", "l-shop l-*"),
        ("server_name ~^(?<x>.*)$;", "l-$server_name", "l-*"),
        ("", "l-$server_name", "l-*"),
        (
            f"map $a $x {{ {MANY} }} map $b $y {{ {MANY} }}",
            "$x-$y.log",
            " ".join(f"{n}-*.log" for n in range(17)),
        ),
    ],
)
def test_what_variables_stand_for(given: str, path: str, logs: str) -> None:
    """A path that begins with one is below the prefix all the same."""
    maps, servers = ("", given) if given.startswith(("set", "server")) else (given, "")
    found = of_nginx(f"http {{ {maps} server {{ {servers} access_log {path}; }} }}", more="r q;")
    names = [log.path.removeprefix("/p/").replace("[[]", "[") for log in found.logs.values()]
    assert names == logs.split()
    assert [log.is_pattern for log in found.logs.values()] == ["*" in each for each in names]


# --- Apache


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("CustomLog a.log other", "1: no LogFormat is named other"),
        ("<VirtualHost *:80>\nCustomLog a.log CLF\n", "2: the file ends within the section <virtualhost>"),
        ("\n</VirtualHost>", "2: expected no </virtualhost> here; the rest is not read"),
        ("Include main.conf", "1: /c/main.conf includes itself"),
        ("Include none/*.conf", "1: /c/none/*.conf: there is no such file"),
        ("Include none.conf", "1: /c/none.conf: No such file or directory"),
        ("Use nothing", "1: no macro is named nothing"),
    ],
)
def test_what_apache_could_not_read_is_named(text: str, problem: str) -> None:
    assert said(of_apache(text)) == [f"main.conf, line {problem}"]


PIPED = "it is piped into {}"
NAMED = f"{PIPED}: name a file that this writes as a [log.NAME]"
NO_PATH = f"{PIPED.format('rotatelogs')}, and the path of the files does not begin with a /"


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (
            '"|/usr/bin/rotatelogs -n 5 /l/a 86400"',
            "it is piped into rotatelogs, which begins /l/a and others anew in turns: add -L LINK",
        ),
        *(
            (f'"|{command}"', NO_PATH)
            for command in ("rotatelogs logs/a.%Y 86400", "rotatelogs -l", "rotatelogs -x /l/a 5M")
        ),
        ('"|/usr/bin/svlogd -t ."', NAMED.format("svlogd")),
        ('"|"', NAMED.format("a program")),
        ('"||/usr/bin/vlogger -s x"', NAMED.format("vlogger")),
        ("syslog:user", "it goes to syslog, and no file has it"),
        ("/dev/stdout", "the server's standard output, which no file has"),
        ("${NOWHERE}/a.log", "nothing says what NOWHERE stands for"),
    ],
)
def test_what_cannot_be_followed_is_left_out(log: str, why: str) -> None:
    found = of_apache(f"CustomLog {log} CLF")
    assert not found.logs
    assert [each.why for each in found.left_out] == [why]


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("|/usr/bin/rotatelogs -l /l/a.%Y%m%d 86400", "/l/a.%Y%m%d"),
        ("||/usr/bin/rotatelogs -fp/bin/packs -L /l/now /l/a.%F.log 5M", "/l/a.%F.log"),
        ("|$exec 'rotatelogs' /l/a 86400", "/l/a.%s"),
        ("|rotatelogs -L /l/now /l/a.log 60", "/l/a.log.%s"),
        ("|rotatelogs -te /l/a.log 60", "/l/a.log"),
        ("|rotatelogs -n5 -L/l/now /l/a.log 60", "/l/now"),
        ("|/usr/bin/cronolog -S /l/now /l/%Y/%m/a.log", "/l/%Y/%m/a.log"),
        ("|/usr/bin/svlogd -b 4096 /l/a/", "/l/a/current"),
        ("|multilog s1000000 n10 /l/a", "/l/a/current"),
    ],
)
def test_what_a_program_writes_that_a_log_is_piped_into(command: str, path: str) -> None:
    (log,) = of_apache(f'CustomLog "{command}" CLF').logs.values()
    assert (log.path, log.is_dated) == (path, "%" in path)


def test_a_name_is_that_of_the_host() -> None:
    """As directories are called."""
    for written in ("shop", "shop:443", "https://shop:443", "https://shop"):
        host = f"<VirtualHost *>\nServerName {written}\nCustomLog l CLF\n</VirtualHost>"
        assert of_apache(host).logs["/c/l"].served == ("shop",), written


def test_the_main_server_counts_where_no_virtual_host_takes_all() -> None:
    host = "\nCustomLog m CLF\n<VirtualHost {}>\nCustomLog v CLF\n</VirtualHost>"
    for listening, address, is_reached in (
        ("80", "*:80", False),
        ("80", "*", False),
        ("80", "_default_:80", False),
        ("80", "192.0.2.1:80", True),
        ("192.0.2.1:80", "192.0.2.1:80", False),
        ("[::1]:80 https", "[::]:80", True),
        ("81", "*:80", True),
    ):
        found = of_apache(f"Listen {listening}{host.format(address)}")
        assert ("/c/m" in found.logs) is is_reached, (listening, address)


def test_variables_of_debians_file() -> None:
    text = """
if [ "${APACHE_CONFDIR##/etc/apache2-}" != "${APACHE_CONFDIR}" ] ; then
\tSUFFIX="-${APACHE_CONFDIR##/etc/apache2-}"
else
\tSUFFIX=
fi
export APACHE_LOG_DIR=/var/log/apache2$SUFFIX
export APACHE_RUN_DIR=/run/apache2$SUFFIX  # so far
LANG='$x'; export LANG
export X=`hostname`
"""
    found = environment_of(text)
    assert found["APACHE_LOG_DIR"] == "/var/log/apache2"
    assert found["APACHE_RUN_DIR"] == "/run/apache2"
    assert "X" not in found


# --- formats


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("combined", True),
        ("json", True),
        ('LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" vhosts', True),
        ('LogFormat "%h %l %u %t \\"%r\\" %>s %b"', True),
        ("log_format x '$uri $status';", False),
        ('log_format x escape=json \'{"uri":"$request_uri","code":$upstream_status,"s":$status}\';', False),
        ("log_format x '$host $remote_addr [$time_local] \"$request\" $request_time $status';", False),
    ],
)
def test_which_formats_lines_tell(text: str, told: bool) -> None:
    assert is_told_by_lines(text) is told


def test_a_format_is_spelled_so_that_it_is_read_again() -> None:
    found = of_nginx(
        "http { log_format x escape=json '\"$request\"\\t\\'$uri\\'' \" $status\\\\x\";"
        "server { access_log a x; } }"
    )
    (text,) = found.logs["/p/a"].formats
    pieces = compile_format(text).pieces
    assert [each for each in pieces if isinstance(each, bytes)] == [b'"', b"\"\t'", b"' ", b"\\x"]
    found = of_apache('CustomLog a "\\"%r\\" %>s \\\\x"')
    (text,) = found.logs["/c/a"].formats
    assert [each for each in compile_format(text).pieces if isinstance(each, bytes)] == [b'"', b'" ', b" \\x"]
    with pytest.raises(FormatError):
        is_told_by_lines("log_format x '$uri';")
