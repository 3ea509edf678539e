"""`qps-reporter setup`: finds the logs of this machine's web servers, and names them in conf.d."""

import argparse
import glob
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from qps_service.commands import answer
from qps_service.configuration import loader, setup_file
from qps_service.configuration.path_patterns import is_pattern, matches, unescaped
from qps_service.configuration.settings import BY_KEY
from qps_service.configuration.setup_file import Table
from qps_service.configuration.sources import MAIN, directory_of, fragments_of
from qps_service.configuration.toml_file import TomlFile, read
from qps_service.errors import EXIT_OK, EXIT_PROBLEM, ConfigError, FormatError, UsageError
from qps_service.files.dated_names import comes_round, is_dated, unknown_fields, with_fields
from qps_service.files.kernel import Files, NotRegularError, explain, user_name
from qps_service.files.rotated_names import is_compressed
from qps_service.following.directories import dated_files
from qps_service.formats.detection import choose, fits
from qps_service.formats.presets import AUTO, LIST_LIMIT, compile_format
from qps_service.service.own_user import Answer, as_user, hidden, service_user
from qps_service.setup import apache, nginx
from qps_service.setup.built_in import (
    DEBIAN_APACHE,
    DEBIAN_NGINX,
    REDHAT_APACHE,
    ApachePaths,
    apache_paths,
    nginx_paths,
)
from qps_service.setup.choosing import in_order, is_told_by_lines
from qps_service.setup.customary import candidates
from qps_service.setup.dump import Dump
from qps_service.setup.found import Findings, FoundLog, escaped
from qps_service.setup.later import patterns_for
from qps_service.text.escape import show_path

EPILOG = """\
examples:
  qps-reporter setup                              say what is found, and print the tables for it
  qps-reporter setup --write && systemctl reload qps-reporter
  qps-reporter setup --nginx-dump dump.txt        what nginx -T printed, where nginx can't be read from here

It reads the configuration of nginx and Apache, and looks at lines where other servers customarily write.
It runs nothing but "nginx -V" and "apache2ctl -V", which tell the paths that are built in, and changes
nothing. What it finds goes to standard error, the tables go to standard output: one for each log, and one
whose path has wildcards for those that are added later. With --write they go into
/etc/qps-reporter/conf.d/50-setup.toml, which is replaced as a whole, and the difference is printed. A log
keeps the name that it has there; one that another file of the configuration names is left to that.
Exits 0, or 1 if no log was found, or a file could not be read or understood; 2 if the command line is wrong.
"""

SYSTEM = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # where servers' programs are, beside PATH
)
PATIENCE = 10  # seconds for a server to say what is built into it
LARGEST = 16 << 20  # bytes of a configuration file: nobody writes a thousandth of it
END = 64 << 10  # bytes of a log that are looked at, at its end
LINES = 100  # of these


class Candidate(NamedTuple):
    """A log that may be named."""

    server: str
    log: FoundLog


class Disk:
    """This machine's files, for `setup.found.Reader`."""

    def read(self, path: str) -> str:
        """The text of a file. Raises OSError."""
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # no pipe is waited for
            raise OSError("it is no regular file")
        if status.st_size > LARGEST:
            raise OSError(f"it has more than {LARGEST >> 20} MiB")
        with open(path, "rb") as file:
            return file.read().decode(errors="surrogateescape")

    def matches(self, pattern: str) -> list[str]:
        """The paths that fit a pattern."""
        return sorted(glob.glob(pattern), key=os.fsencode)

    def files_below(self, path: str) -> list[str] | None:
        """All files below a directory."""
        if not os.path.isdir(path):
            return None
        found = [os.path.join(at, name) for at, _, names in os.walk(path) for name in names]
        return sorted(found, key=os.fsencode)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.add_argument(
        "--write", action="store_true", help="write conf.d/50-setup.toml, and print the difference"
    )
    parser.add_argument(
        "--nginx-dump",
        metavar="FILE",
        help="what nginx -T printed, in place of the files of this machine's nginx; - is standard input",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the configuration file that conf.d stands beside (default: {loader.DEFAULT_FILE})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Say what was found, and print or write it; the exit status."""
    main = arguments.config or os.environ.get(loader.CONFIG_VARIABLE) or loader.DEFAULT_FILE
    directory = directory_of(main)
    if directory is None:
        raise UsageError(f"{main}: conf.d stands beside a file named {MAIN} alone; name that with --config")
    own = os.path.join(directory, setup_file.NAME)
    others = _other_files(main, own)
    before = _text(own)
    known, is_known = _known(own)
    found, is_whole = _found(arguments.nginx_dump)
    user = service_user()
    tables = _tables(found, others, known, user)
    is_whole &= is_known
    if not is_whole:
        tables += _kept(known, tables, others)
    if not tables and (before is None or not found):
        what = "log is left to be named" if found else "web server's log was found"
        _say(f"setup: no {what}")
        return EXIT_OK if found and is_whole else EXIT_PROBLEM
    names = {str(value["path"]): name for name, value in known.items()}
    taken = [name for each in others for name in _logs(each)]
    text = setup_file.text_of(setup_file.named(tables, names, taken))
    if not arguments.write:
        answer(text)
        _say(f"setup: nothing was written; qps-reporter setup --write writes this into {own}")
    elif text == before:
        _say(f"setup: {own} is as it should be")
    else:
        setup_file.write(own, text)
        answer(setup_file.difference(own, before, text))
        _say(f"setup: wrote {own}; now: qps-reporter check && systemctl reload qps-reporter")
    return EXIT_OK if is_whole else EXIT_PROBLEM


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


# --- what is configured already


def _other_files(main: str, own: str) -> list[TomlFile]:
    paths = [main] if os.path.exists(main) else []
    return [read(path) for path in (*paths, *fragments_of(main)) if path != own]


def _text(path: str) -> str | None:
    with suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
    return None


def _known(own: str) -> tuple[dict[str, Mapping[str, str]], bool]:
    """The logs that our own file has, and whether it could be read."""
    if not os.path.exists(own):
        return {}, True
    try:
        tables = _logs(read(own))
    except ConfigError as error:
        _say(f"setup: {error}; it is written anew, and logs get new names")
        return {}, False
    return {name: table for name, table in tables.items() if isinstance(table.get("path"), str)}, True


def _logs(file: TomlFile) -> dict[str, dict[str, str]]:
    tables = file.table.get("log", {})
    if not isinstance(tables, dict):
        return {}
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def _kept(
    known: Mapping[str, Mapping[str, str]], tables: Iterable[Table], others: Iterable[TomlFile]
) -> list[Table]:
    """What our file has, and what was not found this time: not all could be read."""
    present = {table.path for table in tables}
    present |= {str(table.get("path")) for each in others for table in _logs(each).values()}
    remark = "kept: not all that names logs could be read"
    left = [each for each in known.values() if each["path"] not in present]
    return [Table(each["path"], remark, _formats(each.get("format", ()))) for each in left]


def _formats(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


# --- what the servers say


def _found(dump: str | None) -> tuple[list[Candidate], bool]:
    """The logs, and whether all could be read."""
    disk = Disk()
    found: dict[str, Candidate] = {}
    servers = set()
    is_whole = True
    for server, look in (("nginx", partial(_nginx, dump)), ("Apache", _apache)):
        findings = look(disk)
        if findings is None:
            continue
        servers.add(server)
        first, *more = findings.files or ["no file could be read"]
        _say(f"{server}: {show_path(first)}" + (f" and {len(more)} more files" if more else ""))
        for left in findings.left_out:
            _say(f"  left out: {show_path(left.what)}: {show_path(left.why)} ({show_path(left.place)})")
        for problem in findings.problems:
            is_whole = False
            _say(f"  problem: {show_path(problem.place)}: {show_path(problem.text)}")
        for written, log in findings.logs.items():
            for each in _dated(log._replace(path=os.path.normpath(written)), disk):
                found.setdefault(each.path, Candidate(server, each))
    real = {os.path.realpath(path) for path in found}
    for server, path in candidates(disk, servers):
        if os.path.realpath(path) in real:
            continue
        with suppress(OSError):
            if choose(_last_lines(path)).format:
                found[path] = Candidate(server, FoundLog(path, (), (), path))
    return list(found.values()), is_whole


def _dated(log: FoundLog, disk: Disk) -> list[FoundLog]:
    """Where variables stand for the date alone in the files that are there, a log of them all."""
    files = [each for each in disk.matches(log.path) if not is_compressed(each)] if log.is_pattern else []
    paths = dict.fromkeys(map(with_fields, files))
    if not paths or not all(re.search("%[ds]", each) for each in paths):
        return [log]
    return [log._replace(path=each, is_pattern=False, is_dated=True) for each in paths]


def _nginx(dump: str | None, disk: Disk) -> Findings | None:
    paths = nginx_paths(_said("nginx"))
    if dump is None:
        if paths is None and not os.path.exists(DEBIAN_NGINX.configuration):
            return None
        return nginx.find_logs(paths or DEBIAN_NGINX, disk)
    text = _dumped(dump)
    dumped = Dump(text)
    if dumped.first is None:
        raise UsageError(
            '--nginx-dump: expected what "nginx -T" prints, with "# configuration file PATH:" in it'
        )
    paths = nginx_paths(text) or paths or DEBIAN_NGINX
    return nginx.find_logs(paths._replace(configuration=dumped.first), dumped)


def _dumped(path: str) -> str:
    if path == "-":
        return sys.stdin.buffer.read().decode(errors="surrogateescape")
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"--nginx-dump: {path}: {error.strerror}") from error


def _apache(disk: Disk) -> Findings | None:
    paths: Iterable[ApachePaths | None] = (apache_paths(_said("apache2ctl")), DEBIAN_APACHE, REDHAT_APACHE)
    for each in paths:
        if each and os.path.exists(each.configuration):
            return apache.find_logs(each, disk)
    return None


def _said(program: str) -> str:
    """What it says of itself; empty if it is not there."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM}")
    if path is None:
        return ""
    environment = {"PATH": SYSTEM, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [path, "-V"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _say(f"setup: {path} -V: {error}")
        return ""
    return (done.stdout + b"\n" + done.stderr).decode(errors="surrogateescape")


# --- what is to be named


class _Taken:
    """The logs that other files name, and those that were found before."""

    def __init__(self, others: Iterable[TomlFile]) -> None:
        tables = [(file, name, table.get("path")) for file in others for name, table in _logs(file).items()]
        named = [(path, f"it is log {name} of {file.path}") for file, name, path in tables if path]
        self.paths = {path for path, _ in named}
        self._patterns = [(path, said) for path, said in named if is_pattern(path)]
        self._files = {
            os.path.realpath(unescaped(path)): said for path, said in named if not is_pattern(path)
        }

    def by_pattern(self, path: str) -> str | None:
        """Which log with wildcards has it."""
        return next((said for pattern, said in self._patterns if matches(pattern, path)), None)

    def by(self, path: str) -> str | None:
        """Which log has it."""
        return self._files.get(os.path.realpath(path)) or self.by_pattern(path)

    def take(self, path: str) -> None:
        """It is a log of ours."""
        self._files[os.path.realpath(path)] = f"it is log {path}"


def _tables(
    found: Iterable[Candidate],
    others: Iterable[TomlFile],
    known: Mapping[str, Mapping[str, str]],
    user: pwd.struct_passwd | None,
) -> list[Table]:
    """A table for each log that can be followed and counted, and no other file names; and those for what is
    added later. What was added since these are there has its name by them, and no table."""
    taken = _Taken(others)
    followed: list[Candidate] = []
    beside: list[Candidate] = []  # where there may be more
    for each in found:
        log = each.log
        why = None if log.is_pattern else _objection(log)
        if not (why or log.is_dated) and (log.is_pattern or not taken.by_pattern(log.path)):
            beside.append(each)
        if log.is_pattern:
            continue
        if why := taken.by(log.path) or why:
            _say(f"  left out: {show_path(log.path)}: {why}")
        else:
            taken.take(log.path)
            followed.append(each)
    formats = {each.log.path: _format(each.log) for each in (*beside, *followed)}
    later = _later(beside, formats, taken.paths)
    tables = _own_tables(followed, formats, [table.path for table in later], known, user)
    for table in later:
        _say(f"{show_path(table.path)}\n  for           {table.remark}")
    return tables + later


def _own_tables(
    followed: Sequence[Candidate],
    formats: Mapping[str, tuple[str | None, str, bool]],
    later: Iterable[str],
    known: Mapping[str, Mapping[str, str]],
    user: pwd.struct_passwd | None,
) -> list[Table]:
    """A table for each of these that can be counted, and has none by a path with wildcards that was there
    before it came. What each is, is said."""
    readable = as_user(user, partial(_readable, [_file_of(each.log) for each in followed]))
    paths = {table["path"] for table in known.values()}
    tables = []
    for each, (_, how, _) in zip(followed, readable, strict=True):
        chosen, said, is_counted = formats[each.log.path]
        if not is_counted:
            _say(f"  left out: {show_path(each.log.path)}: {said}")
            continue
        _describe(each, said, how, by_service=user is not None)
        patterns = [path for path in later if matches(path, each.log.path)]
        if not patterns:
            _say("  note          one that is added beside it is not found by itself: run setup again then")
        path, by = escaped(each.log.path), paths.intersection(patterns)
        if path in paths or not by:
            tables.append(Table(path, _remark(each), (chosen,) if chosen else ()))
        else:
            _say(f"  counted by    {show_path(min(by))}, since it came")
    return tables


def _describe(found: Candidate, log_format: str, readable: str, *, by_service: bool) -> None:
    server, log = found
    served = ", ".join(map(show_path, log.served))
    _say(f"{show_path(log.path)}")
    _say(f"  written by    {server}" + (f" for {served}" if served else "") + f" ({show_path(log.place)})")
    _say(f"  format        {log_format}")
    for note in log.notes:
        _say(f"  note          {show_path(note)}")
    _say(f"  readable      {readable}")
    for _, text, _ in hidden(log.path) if by_service else ():
        _say(f"  sandbox       {text}")


def _remark(found: Candidate) -> str:
    names = ", ".join(found.log.served[:3]) + (" and others" if len(found.log.served) > 3 else "")
    return show_path(f"{found.server}: {names}" if names else found.server)


def _later(
    found: Sequence[Candidate], formats: Mapping[str, tuple[str | None, str, bool]], taken: Iterable[str]
) -> list[Table]:
    """Tables whose paths have wildcards: for what a server names by variables, and for what is added beside
    the logs. Where one of these has a format that lines don't tell, there may be more of it."""
    tables = []
    counted = {each.log.path: each for each in found if formats[each.log.path][2]}
    logs = [each.log for each in counted.values()]
    named = [log.path for log in logs if log.is_pattern]
    for path in (*named, *patterns_for(log for log in logs if not log.is_pattern)):
        if path in taken:
            continue
        like = [each for each in found if each.log.path == path or matches(path, each.log.path)]
        known = {each.log.path for each in like if each.log.path in counted}
        needed = [text for each in like if (text := formats[each.log.path][0]) and text != AUTO]
        needed = [*dict.fromkeys(needed)][: LIST_LIMIT - 2]
        others = {each.log.path for each in like} - known
        others |= {each for each in {*Disk().matches(path)} - known if not _has_requests(each, needed)}
        if others:
            _say(f"  left out: {show_path(path)}: {show_path(min(others))} matches it, and has no requests")
            continue
        texts = in_order(needed) if needed else _by_lines()
        servers = " and ".join(dict.fromkeys(each.server for each in like))
        what = "logs that variables name" if path in named else "logs that come later"
        tables.append(Table(path, f"{servers}: {what}, from their first line on", texts))
    return tables


def _has_requests(path: str, formats: Iterable[str]) -> bool:
    """Whether a file may be a log that nobody names now."""
    if is_compressed(path):
        return True  # none is a match
    with suppress(OSError):
        if lines := _last_lines(path):
            known = [choose(lines).format, *map(compile_format, formats)]
            return any(each and fits(each, lines[-1]) for each in known)
    return "access" in os.path.basename(path)


def _objection(log: FoundLog) -> str | None:
    """Why a log can't be followed, or named; None if it can."""
    try:
        log.path.encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8, and TOML has no other"
    if is_dated(log.path) and not log.is_dated:
        return "`path` would take a part of its name for the field of a date"
    if unknown_fields(log.path) or (log.is_dated and comes_round(log.path)):
        return "its fields of strftime do not tell one time, with its year"
    with suppress(OSError):
        seen = Files().stat(_file_of(log))
        if not seen.regular:
            return explain(NotRegularError(seen.mode))
    return None


def _file_of(log: FoundLog) -> str:
    """The file to look at: of those with dates the latest."""
    return next(iter(dated_files(log.path, Files())), log.path) if log.is_dated else log.path


def _readable(paths: Iterable[str]) -> list[Answer]:
    """Whether the current user can read each."""
    files, user = Files(), user_name(os.geteuid())
    answers = []
    for path in paths:
        seen = None
        try:
            seen = files.stat(path)
            files.close(files.open(path))
        except FileNotFoundError:
            answers.append(("", "it is not there yet, and is waited for", True))
        except OSError as error:
            answers.append(("", f"no, by user {user}: {explain(error, seen)}", False))
        else:
            answers.append(("", f"yes, by user {user}", True))
    return answers


def _format(log: FoundLog) -> tuple[str | None, str, bool]:
    """What `format` is to be, if it has to be said; what it is in words; whether its lines can be counted."""
    by_lines = next(iter(_by_lines()), None)
    lines: list[bytes] = []
    with suppress(OSError):
        lines = _last_lines(_file_of(log))
    choice = choose(lines)
    needed, problems = [], []
    for text in log.formats:
        try:
            if not is_told_by_lines(text):
                needed.append(text)
        except FormatError as error:
            problems.append(f"{_brief(text)}: {error.brief}")
    if needed:
        fitting = sum(fits(compile_format(needed[0]), line) for line in lines)
        said = f"{_brief(needed[0])}; {fitting} of {len(lines)} lines fit it"
        if len(log.formats) > 1:
            said += f"; servers write there in {len(log.formats)} formats, and lines of others are rejected"
        return needed[0], said, True
    if problems:
        return by_lines, f"{'; '.join(problems)}; {choice.reason}", choice.format is not None
    stated = f", as the configuration says ({_brief(log.formats[0])})" if log.formats else ""
    return by_lines, f"{choice.format.text if choice.format else AUTO}{stated}; {choice.reason}", True


def _by_lines() -> tuple[str, ...]:
    """What `format` is to be where the lines tell it."""
    return (AUTO,) if BY_KEY["format"].default != AUTO else ()


def _brief(text: str) -> str:
    """A format's name, or its text."""
    nginx_name = re.match(r"log_format (\S+)", text)
    apache_name = re.fullmatch(r'LogFormat ".*" (\S+)', text)
    if nginx_name:
        return show_path(f"log_format {nginx_name[1]}")
    return show_path(f"LogFormat {apache_name[1]}") if apache_name else show_path(text.replace("\\", ""))


def _last_lines(path: str) -> list[bytes]:
    """The whole lines at the end of a log. Raises OSError."""
    files = Files()
    descriptor = files.open(path)
    try:
        size = files.fstat(descriptor).size
        data = files.read(descriptor, END, max(0, size - END))
    finally:
        files.close(descriptor)
    lines = data.split(b"\n")[:-1]
    return [line for line in (lines[1:] if size > END else lines)[-LINES:] if line.strip()]
