"""`qps-reporter check`: what is configured, and whether it can work."""

import argparse
import errno
import os
import pwd
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import takewhile

from qps_service.commands import add_configuration, add_output, answer, flags_of, one_line
from qps_service.commands.hosts import said_of_hosts
from qps_service.configuration.loader import DEFAULT_FILE, load
from qps_service.configuration.outputs import kind_of
from qps_service.configuration.path_patterns import PathPattern
from qps_service.configuration.types import Config, LogConfig, OutputConfig
from qps_service.counting.ambiguity import polynomial, slow_routes, wants_slash_first
from qps_service.counting.budget import Budget
from qps_service.counting.rules import Rule, apply_all
from qps_service.errors import EXIT_OK, EXIT_PROBLEM
from qps_service.files.dated_names import is_dated
from qps_service.files.kernel import (
    LEDGER,
    MOUNTED_ALONE,
    Files,
    NotRegularError,
    Seen,
    group_name,
    user_name,
)
from qps_service.files.kernel import explain as explain_error
from qps_service.files.pipe import inherited
from qps_service.following.directories import dated_files
from qps_service.formats.detection import Votes, fits
from qps_service.formats.explanation import explain, explain_row, title, why_unmeasured
from qps_service.formats.presets import PRESETS, LogFormat, compile_format
from qps_service.formats.w3c import in_force, is_directive, lines_of, unwrapped
from qps_service.reporting.documents import as_csv, as_json
from qps_service.scanning.auto import WAITING
from qps_service.scanning.options import ScanOptions
from qps_service.scanning.scanner import make_scanner
from qps_service.service.other_runs import runs_on
from qps_service.service.own_files import apart
from qps_service.service.own_user import Answer, as_user, hidden, protected, service_user
from qps_service.service.rule_time import LIMIT, CpuLimit
from qps_service.service.state_directory import STATE, objection_to
from qps_service.text.escape import show, show_path
from qps_service.text.units import MILLISECOND, format_duration
from qps_service.values.counts import OTHER, TOO_LONG, Scanned

EPILOG = """\
examples:
  qps-reporter check                              the configuration of the service
  qps-reporter check access.log --format combined
  qps-reporter check && systemctl reload qps-reporter
  qps-reporter check --config new.toml            a file that is to take its place
  qps-reporter check --config-only                what the unit asks before it starts or reloads

Run as root, it looks with the rights of the service's user, _qps-reporter, where that exists: at logs, the
ledger, and files of outputs. It warns of others that follow the service's logs, too.
Exits 0 if all is well, 1 if there is a problem, 2 if the command line is wrong.
"""

KIB = 1024  # bytes of the routes that rules are tried on
SHOWN = 20  # bytes of one that are shown
ENDED = LIMIT * 3 // 4  # nanoseconds of CPU time: the kernel, which ends what takes too long, counts in ticks
CPU_LIMIT = CpuLimit()
COLUMNS = ("log", "what", "how", "well")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_configuration(parser)
    parser.add_argument(
        "--config-only",
        action="store_true",
        help="say what is wrong with the configuration; do not look at logs",
    )
    add_output(parser, "lines of text, one JSON object, or CSV")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; the exit status."""
    config = apart(load(flags_of(arguments), os.environ))
    if arguments.config_only:
        return EXIT_OK
    CPU_LIMIT.install()
    user = service_user()
    found: list[dict[str, object]] = []

    def told(answers: list[Answer], log: str | None = None) -> bool:
        """Tell it, at once or at the end; whether all is well."""
        if arguments.output == "table":
            return _print(answers)
        for what, how, well in answers:
            named = what.strip() or found[-1]["what"]  # which goes on
            found.append({"log": log, "what": named, "how": how, "well": well})
        return all(well for *_, well in answers)

    well = told(as_user(user, partial(_source, config)))
    told([("interval", format_duration(config.interval), True)])
    well &= told(as_user(user, partial(_state, config, user)))
    told(_rows(config))
    for output in config.outputs:
        well &= told(as_user(user, partial(_output, output, user)))
    answers, logs = _matched(config)
    well &= told(answers)
    for log in logs:
        answers = as_user(user, partial(_log, log))
        if user is not None:
            answers += hidden(log.path)
        answers += _other_runs(log, user)
        well &= told([("log", f"{log.name}: {show_path(log.path)}", True), *answers], log.name)
    if arguments.output == "json":
        answer(as_json({"well": well, "answers": found}))
    elif arguments.output == "csv":
        answer(as_csv(COLUMNS, found))
    return EXIT_OK if well else EXIT_PROBLEM


def _matched(config: Config) -> tuple[list[Answer], Sequence[LogConfig]]:
    """The logs, and what each pattern matches now; what was read before, only the running service knows."""
    if not any(log.is_pattern for log in config.logs):
        return [], config.logs
    from qps_service.following.watcher import Watches
    from qps_service.service.patterns import Patterns, advice_for, why_none

    patterns = Patterns(Files(), Watches(), lambda _: None)
    try:
        chosen = patterns.look(config, [], 0, 0)
    finally:
        patterns.close()
    answers: list[Answer] = []
    for log in config.logs:
        if log.is_pattern:
            found = [each.path for each in chosen.logs if each.of == log.path]
            answers.append(("pattern", f"{log.name}: {show_path(log.path)}", True))
            named = patterns.named(log.path, config)
            why = why_none(PathPattern(log.path), Files()) if not found and not named else ""
            beside = f", beside {len(named)} with tables of their own" if named else ""
            answers.append(("  logs", why or f"{len(found)}{beside}", not why))
            if advice := advice_for(log.path, found):
                answers.append(("", advice, True))
    answers += [("  left out", f"{show_path(path)}: {why}", True) for path, why in chosen.left_out.items()]
    return answers, chosen.logs


def _print(answers: list[Answer]) -> bool:
    for what, how, well in answers:
        answer(f"{what:<14} {how}{'' if well else '  <-- problem'}\n")
    return all(well for _, _, well in answers)


def _source(config: Config) -> list[Answer]:
    """Where the configuration came from; what we could read the current user may not be able to."""
    if config.source is None:
        return [("configuration", "no file", True)]
    files = Files()
    answers: list[Answer] = []
    for path in (config.source, *(each.path for each in config.fragments)):
        what = "" if answers else "configuration"
        try:
            files.close(files.open(path))
        except OSError as error:
            answers.append((what, f"{show_path(path)}: {explain_error(error)}", False))
        else:
            answers.append((what, show_path(path), True))
    return answers


def _rows(config: Config) -> list[Answer]:
    """How they are shared, where there are several to share them."""
    if len(config.logs) < 2:
        return []
    budget = Budget(config.max_rows)
    first, *_ = (budget.join() for _ in config.logs)
    own = f"{config.max_rows} of all logs, of which each has {budget.own} for itself"
    return [("rows", f"{own}, and up to {first.room}", True)]


def _state(config: Config, user: pwd.struct_passwd | None) -> list[Answer]:
    """Where the ledger is, if the current user may keep one there."""
    path = config.state or (_state_of_the_unit(config.source) if user else None)
    if path is None:
        return [("state", "none; systemd gives the service one", True)]
    objection = objection_to(path)
    state = f"{show_path(path)}{'' if config.state else ', which systemd gives the service'}"
    answers = [("state", f"{state}: {objection}" if objection else state, objection is None)]
    return [*answers, *_ledger(os.path.join(path, LEDGER), user)]


def _state_of_the_unit(source: str | None) -> str:
    """The unit's, or that of the instance whose configuration it is."""
    directory, name = os.path.split(source or DEFAULT_FILE)
    own, base = os.path.split(DEFAULT_FILE)
    is_instance = directory == own and name != base and name.endswith(".toml")
    return os.path.join(STATE, name.removesuffix(".toml")) if is_instance else STATE


def _ledger(path: str, user: pwd.struct_passwd | None) -> Iterator[Answer]:
    """The one that is used, as root is told: others may not look."""
    if user is None:
        return
    try:
        seen = Files().stat(path)
    except FileNotFoundError:
        yield "  ledger", f"{show_path(path)}: none yet; the first start makes it", True
    except OSError as error:
        yield "  ledger", f"{show_path(path)}: {explain_error(error)}", False
    else:
        yield "  ledger", f"{show_path(path)}: {seen.size} bytes", True


def _output(output: OutputConfig, user: pwd.struct_passwd | None) -> list[Answer]:
    """Its name and where it leads, and whether its file could be written, if it has one. Whether somebody is
    there, only the running service finds out."""
    kind = kind_of(output)
    leads = f"{kind.name}: {kind.where(output)}"
    path = getattr(output, "path", None)
    if path is None:
        return [("output", leads, True)]
    objection = _objection_to_write(path, anew=kind.name == "textfile")
    sandbox = list(hidden(path) or ()) if user else []
    if user and not sandbox:
        sandbox = list(protected(path, STATE))
    return [("output", f"{leads}: {objection}" if objection else leads, objection is None), *sandbox]


def _objection_to_write(path: str, *, anew: bool) -> str | None:
    """Why the current user could not write the file; None if nothing speaks against it. `anew`, if another
    one takes its place each time."""
    files, directory = Files(), os.path.dirname(path)
    try:
        seen = files.lstat(path)
    except OSError:
        seen = None
    if seen and not seen.regular:
        return explain_error(NotRegularError(seen.mode))
    try:
        if seen and not anew and not os.access(path, os.W_OK):
            return explain_error(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), seen)
        around = files.stat(directory)
        if not (seen and not anew) and not os.access(directory, os.W_OK | os.X_OK):
            error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return f"directory {show_path(directory)}: {explain_error(error, around)}"
    except OSError as error:
        return f"directory {show_path(directory)}: {explain_error(error)}"
    return None


def _other_runs(log: LogConfig, user: pwd.struct_passwd | None) -> Iterator[Answer]:
    """Who follows it beside the service, which is the first that has a unit; or, without one, the first."""
    runs = sorted(runs_on(log.path), key=lambda run: run.unit is None)
    is_service = user is not None and not (runs and runs[0].unit)  # that is to come
    for run in runs if is_service else runs[1:]:
        who = run.unit or f"PID {run.pid} ({show_path(run.command)})"
        yield "  followed", f"warning: by {who}, too: the journal has the reports of both", True


def _log(log: LogConfig) -> list[Answer]:
    """What a log looks like to the current user."""
    return list(_log_answers(log, Files()))


def _log_answers(log: LogConfig, files: Files) -> Iterator[Answer]:
    for number, text in enumerate(log.format.texts):
        yield "  or" if number else "  format", one_line(text), True
    yield from _rules(log)
    user = user_name(os.geteuid())
    if is_dated(log.path):
        if not (found := dated_files(log.path, files)):
            yield "  dates", _why_none_is_dated(log.path, files), False
            return
        yield "  dates", f"{len(found)} files; the latest is {show_path(found[0])}", True
        log = log._replace(path=found[0])
    try:
        seen = files.stat(log.path)
    except OSError as error:
        yield "  exists", f"no: {explain_error(error)}", False
        return
    owners = f"{user_name(seen.owner)} {group_name(seen.group)}"
    if inherited(log.path) is not None:
        yield "  exists", _given(files, log.path, seen), True
        return
    if seen.is_pipe:  # it is not opened: its writer might end with it, when it is closed again
        may = os.access(log.path, os.R_OK, effective_ids=True)
        reason = explain_error(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), seen)
        yield "  exists", f"yes, a pipe: {seen.mode} {owners}", True
        yield "  readable", f"yes, by user {user}" if may else f"no: {reason}", may
        return
    if not seen.regular:
        yield "  exists", f"yes, but {explain_error(NotRegularError(seen.mode))}", False
        return
    yield "  exists", f"yes: {seen.mode} {owners}, {seen.size} bytes", True
    if files.is_mounted_alone(log.path):
        yield "  mount", f"it is {MOUNTED_ALONE}", False
    try:
        descriptor = files.open(log.path)
        start = files.read(descriptor, log.max_line + 1, 0)
        now = files.read(descriptor, WAITING, max(0, seen.size - WAITING))
        files.close(descriptor)
    except OSError as error:
        yield "  readable", f"no: {explain_error(error, seen)}", False
        return
    yield "  readable", f"yes, by user {user}", True
    yield from _line_answers(log, start, now, seen.size)


def _line_answers(log: LogConfig, start: bytes, now: bytes, size: int) -> Iterator[Answer]:
    """What its lines are, by the first and the last bytes of so many."""
    line, newline, _ = start.partition(b"\n")
    if not newline and len(start) <= log.max_line:
        yield "  first line", "not finished yet" if start else "none yet", True
        return
    if log.format.is_auto:
        votes = Votes()
        votes.add(now.split(b"\n")[size > WAITING : -1])
        chosen, reason = votes.choice()
        yield "  chosen", f"{chosen.text if chosen else 'none'}: {reason}", chosen is not None
        if chosen is None:
            return
        log = log._replace(format=chosen)
        line = votes.firsts[chosen.text]
    if len(log.format.texts) > 1:
        yield from _shares(log.format, start.split(b"\n")[:-1], log.max_line)
    above = b""
    if log.format.is_w3c:
        above, line = _first_row(start)
        if not line:
            yield "  first line", "none yet, but directives", True
            return
    yield from _first_line(log, line, above)
    begin = size - len(now)
    lines = now[now.find(b"\n") + 1 if begin else 0 : now.rfind(b"\n") + 1]
    fields = in_force(above)
    if said := said_of_hosts(log.format, lines, log.max_line, keep=log.keep_host, fields=fields):
        yield "  hosts", said, True


def _why_none_is_dated(path: str, files: Files) -> str:
    """The first directory on the path that can't be listed, if one can't."""
    *folders, _ = path.split(os.sep)
    directory = os.sep.join(takewhile(lambda folder: not is_dated(folder), folders)) or os.sep
    try:
        next(files.names(directory), None)
    except OSError as error:
        return f"{show_path(directory)}: {explain_error(error)}"
    return "no file matches"


def _given(files: Files, path: str, seen: Seen) -> str:
    """What the process was given open; nothing is read of it."""
    if files.is_terminal(inherited(path) or 0):
        return "yes, a terminal: reads what is typed there, up to Ctrl-D"
    kinds = {"p": "a pipe", "s": "a socket", "c": "a device"}
    what = kinds.get(seen.mode[0], "a file, which is read like a pipe, and not followed")
    return f"yes, {what}: the run ends with it"


def _first_row(start: bytes) -> tuple[bytes, bytes]:
    """The directives that a log begins with, and the first line that is none; empty if it is not there."""
    lines = lines_of(start)
    number = sum(1 for _ in takewhile(lambda line: is_directive(unwrapped(line, None).line), lines))
    row = lines[number] if number < len(lines) else b""
    return b"".join(lines[:number]), row.removesuffix(b"\n") if row.endswith(b"\n") else b""


def _shares(log_format: LogFormat, lines: Sequence[bytes], max_line: int) -> Iterator[Answer]:
    """How many of the first lines each format of a list reads."""
    explained = [explain(log_format, line, max_line) for line in lines]
    read = Counter(log_format.listed[found.number].text for found in explained if found.reason is None)
    for number, text in enumerate(log_format.texts):
        yield "" if number else "  lines", f"{read[text]} of {len(lines)} are read by {one_line(text)}", True


def _rules(log: LogConfig) -> Iterator[Answer]:
    """How long each rule takes on the slowest of the routes that are made for it."""
    length = min(KIB, log.max_route)
    for number, rule in enumerate(log.rules, start=1):
        routes = slow_routes(rule.pattern, length)
        took, route = max((CPU_LIMIT(rule.apply, route)[1], route) for route in routes)
        ended = f"it would be ended after {LIMIT // MILLISECOND} ms"
        time = f"{took / MILLISECOND:.3f} ms" if took < ENDED else ended
        yield f"  rule {number}", rule.match, True
        yield "", f'{time} on {length} bytes, the slowest that were tried: "{show(route[:SHOWN])}..."', True
        if log.keep_host and wants_slash_first(rule.pattern):
            yield "", "warning: where hosts are kept, a route begins with its host and not with a slash", True
        for slow in polynomial(rule.pattern):
            if slow.repeats > 1:
                same = f'{slow.repeats} repetitions can match the same bytes, such as "{show(slow.pumped)}"'
                yield "", f"warning: {same}: n bytes take up to n^{slow.degree} steps", True
                yield "", "write repetition that gives nothing back, such as [^/]++", True
                break


def _limited(rules: Sequence[Rule], route: bytes, max_route: int) -> bytes:
    return CPU_LIMIT(apply_all, rules, route, max_route)[0] or OTHER


def _first_line(log: LogConfig, line: bytes, above: bytes) -> Iterator[Answer]:
    """What a line counts as, with these directives above it."""
    options = ScanOptions(log.format, log.max_line, log.keep_query, keep_host=log.keep_host)
    scanner = make_scanner(options, _none_to_spill)
    scanner.scan(above + line + b"\n")
    scanned = scanner.take()
    for key, counts in scanned.counts.items():
        route = show(log.routes(_limited).of(key.route))
        size = "bytes unknown" if scanned.unmeasured else f"{counts.bytes} bytes"
        how = f"{show(key.method)} {route} {key.status:03d}, {size}"
        yield "  first line", f"parses as {how}", True
        yield from _duration(log, line, above)
    if scanned.sample:
        sample = scanned.sample
        yield "  first line", f'is rejected ({sample.reason}): "{show(sample.line)}"', False
        fitting = [name for name in PRESETS if fits(compile_format(name), line)]
        if fitting and sample.reason != TOO_LONG:
            yield "", f"but it fits the format {' or '.join(fitting)}", True


def _duration(log: LogConfig, line: bytes, above: bytes) -> Iterator[Answer]:
    """How long the request of a line took, and how that is known, or why not."""
    if log.format.is_w3c:
        log_format, found = explain_row(in_force(above), line, log.max_line)
    else:
        found = explain(log.format, line, log.max_line)
        log_format = log.format.listed[found.number]
    if found.request and found.request.duration is not None:
        name, unit = next((part.name, part.unit) for part in found.parts if part.role == "duration")
        told = f"{title(log_format, show(name.encode()))} in {unit}"
        yield "  duration", f"{format_duration(found.request.duration)}, by {told}", True
    elif why := why_unmeasured(log_format, found):
        yield "  duration", f"not measured: {show(why.encode())}", True


def _none_to_spill(scanned: Scanned) -> None:
    """One line is not too much to keep."""
