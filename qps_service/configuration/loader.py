"""Flags, environment, file and defaults -> one frozen Config.

Precedence is the same for every setting: flag, environment variable, file, default. Every problem is
found in one go and named by where it stands: a key path of the file, a variable or a flag.
"""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from qps_service.configuration.outputs import JOURNAL, OUTPUTS, TABLES
from qps_service.configuration.parsers import parse_name, parse_switch
from qps_service.configuration.path_patterns import PathPattern, is_pattern, references, unescaped
from qps_service.configuration.settings import HISTORY, LOG, REPORTS, RULE, SERVICE, Setting
from qps_service.configuration.sources import Sources, read_all
from qps_service.configuration.types import Config, Fragment, JournalConfig, LogConfig, OutputConfig, file_of
from qps_service.counting.rules import Rule, make_rule
from qps_service.errors import ConfigError, FormatError, UsageError
from qps_service.files.dated_names import comes_round, is_dated, unknown_fields
from qps_service.text.escape import show
from qps_service.values.history import History

DEFAULT_FILE = "/etc/qps-reporter/qps-reporter.toml"
# What is followed where no file names a log: what the configuration file of earlier packages named.
BUILT_IN: Mapping[str, Any] = {"access": {"path": "/var/log/access.log"}}
LOG_VARIABLE = "QPS_REPORTER_LOG"
NAME_VARIABLE = "QPS_REPORTER_NAME"
CONFIG_VARIABLE = "QPS_REPORTER_CONFIG"


# What the ledger keeps of files that were read and closed takes one in so many bytes of history.max_size, of
# which each log has an equal part. With the default a log that is alone has room for all of its 1,024 files.
RETIRED_PART = 4
# But no more than so much, which is in memory as well, with a third more beside it: who has room for a long
# history has no more memory for that.
RETIRED_MOST = 32 << 20  # bytes

_TABLES = {
    **{key: f"; {key} belongs in a [log.NAME] table" for key in (*(each.key for each in LOG), "route")},
    **{setting.key: f"; {setting.key} belongs in the table [history]" for setting in HISTORY},
    **{setting.key: f"; {setting.key} belongs in the table [report]" for setting in REPORTS},
}


class Flags(NamedTuple):
    """What the command line said; None for what it did not."""

    log: str | None = None
    config: str | None = None
    name: str | None = None
    interval: str | None = None
    state: str | None = None
    format: str | Sequence[str] | None = None
    start: str | None = None


def load(flags: Flags, environment: Mapping[str, str]) -> Config:
    """The configuration in force. Raises ConfigError, or UsageError where the command line is at fault."""
    log = flags.log or environment.get(LOG_VARIABLE)
    source = flags.config or environment.get(CONFIG_VARIABLE)
    if source is None and log is None and os.path.exists(DEFAULT_FILE):
        source = DEFAULT_FILE
    if source is None and log is None:
        raise UsageError(f"nothing to follow: name a LOG, or write {DEFAULT_FILE}")
    sources = read_all(source) if source else Sources({}, ())
    return _Loader(flags, environment, source, sources.fragments).load(sources.table, log)


def together(logs: Iterable[LogConfig], max_rows: int, max_size: int) -> tuple[LogConfig, ...]:
    """The same logs, each of which knows what it shares with the others. `max_size`: the ledger's, bytes."""
    logs = tuple(logs)
    paths = frozenset(log.path for log in logs)
    retired = min(max_size // RETIRED_PART, RETIRED_MOST) // max(1, len(logs))
    return tuple(log._replace(max_rows=max_rows, logs=paths, retired=retired) for log in logs)


class _Loader:
    """Collects problems on the way."""

    def __init__(
        self,
        flags: Flags,
        environment: Mapping[str, str],
        source: str | None,
        fragments: tuple[Fragment, ...],
    ) -> None:
        self._flags = flags
        self._environment = environment
        self._source = source
        self._fragments = fragments
        self._problems: list[str] = []

    def load(self, table: dict[str, Any], log: str | None) -> Config:
        self._refuse_unknown(
            table, {setting.key for setting in SERVICE} | {"history", "report", "log", "output"}, ""
        )
        values = {setting.key: self._value(setting, table, "") for setting in SERVICE}
        if values["state"] is None and self._environment.get("STATE_DIRECTORY"):
            # systemd may name several, with colons between (systemd.exec(5)).
            values["state"] = self._environment["STATE_DIRECTORY"].split(":")[0]
        history = self._section("history", HISTORY, table)
        report = self._section("report", REPORTS, table)
        tables = self._output_tables(table.get("output", {}))
        journal = self._table(JOURNAL, tables.pop("journal", {}), "output.journal.")
        outputs = {name: self._output(name, tables[name]) for name in OUTPUTS if name in tables}
        logs = [self._log(key, entry) for key, entry in self._log_tables(table, log)]
        paths = [each["path"] for each in logs if each["path"]]
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            self._problem("log", f"{path} is given more than once")
        self._refuse_former_names([(each["name"], each["was"]) for each in logs if each["was"]], logs)
        if any(problem.startswith("--") for problem in self._problems):
            raise UsageError("\n".join(self._problems))
        if self._problems:
            raise ConfigError(self._problems)
        return Config(
            **values,
            history=History(**history),
            shows_latency=report["latency"],
            logs=together((LogConfig(**each) for each in logs), values["max_rows"], history["max_size"]),
            source=self._source,
            fragments=self._fragments,
            journal=JournalConfig(**journal),
            outputs=tuple(_made(OUTPUTS[name].config, each, values) for name, each in outputs.items()),
        )

    def _section(self, name: str, settings: Sequence[Setting], table: dict[str, Any]) -> dict[str, Any]:
        section = table.get(name, {})
        if not isinstance(section, dict):
            self._problem(name, f"expected a table, as [{name}]")
            return {}
        return self._table(settings, section, f"{name}.")

    def _output_tables(self, tables: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
            self._problem("output", "expected tables, as [output.json]")
            return {}
        self._refuse_unknown(tables, set(TABLES), "output.")
        return dict(tables)

    def _table(self, settings: Sequence[Setting], table: dict[str, Any], where: str) -> dict[str, Any]:
        self._refuse_unknown(table, {setting.key for setting in settings}, where)
        return {setting.attribute: self._value(setting, table, where) for setting in settings}

    def _output(self, name: str, table: dict[str, Any]) -> dict[str, Any]:
        kind, where = OUTPUTS[name], f"output.{name}."
        values = self._table(kind.settings, table, where)
        if "path" in values and "path" not in table:
            self._problem(f"{where}path", "expected a path, got none")
        if kind.library and not _is_installed(kind.library.name):
            text = f"needs {kind.library.name}, which is not installed (Debian: {kind.library.package})"
            self._problem(f"output.{name}", text)
        return values

    def _log_tables(self, table: dict[str, Any], log: str | None) -> list[tuple[str, dict[str, Any]]]:
        tables = table.get("log", {})
        if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
            self._problem("log", "expected tables, as [log.access]")
            return []
        if not tables and log is None:
            tables = BUILT_IN
        name = self._flags.name or self._environment.get(NAME_VARIABLE)
        if len(tables) > 1 and (log or name):
            what = "LOG" if log else "--name"
            raise UsageError(f"{what} is for one log, the configuration has {len(tables)}")
        entries = list(tables.items())
        if log is not None:
            key, entry = entries[0] if entries else (_name_of(log), {})
            entries = [(key, {**entry, "path": log})]
        return entries

    def _log(self, key: str, entry: dict[str, Any]) -> dict[str, Any]:
        where = f"log.{key}."
        self._refuse_unknown(entry, {setting.key for setting in LOG} | {"route"}, where)
        values = {setting.attribute: self._value(setting, entry, where) for setting in LOG}
        if "path" not in entry:
            self._problem(f"{where}path", "expected a path, got none")
        rules = self._rules(entry.get("route", []), f"{where}route")
        name = self._name(key)
        return {"name": name, **values, "rules": rules, **self._pattern(where, values)}

    def _pattern(self, where: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """What wildcards in its path make of a log."""
        path, naming = values["path"] or "", values["naming"]
        if unknown := unknown_fields(path):
            text = f"expected fields of strftime that tell a date or a time, got {', '.join(unknown)}"
            self._problem(f"{where}path", f"{text}; %% stands for %")
        elif is_dated(path) and comes_round(path):
            text = "expected fields of strftime that tell one time, with its year, got some that come round"
            self._problem(f"{where}path", f"{text}: what is written anew is not told from what is old")
        if is_pattern(path) and is_dated(path):
            text = "expected wildcards or fields of strftime, got both; write a table for each log"
            self._problem(f"{where}path", text)
        if is_pattern(path):
            runs = PathPattern(path).runs
            if naming and max(references(naming)) > runs:
                self._problem(f"{where}name", f"expected no more than {{{runs}}}, got {naming!r}")
            if values["was"]:
                self._problem(f"{where}was", "is for one log, and path may match many")
            return {"is_pattern": True}
        if naming:
            self._problem(f"{where}name", "is for a path with wildcards; a log's own name is its table's")
        return {"path": unescaped(path) or None}

    def _refuse_former_names(
        self, named: Sequence[tuple[str, str]], logs: Sequence[Mapping[str, Any]]
    ) -> None:
        """Totals go on under one name, and a log that is followed has its own."""
        names, former = [each["name"] for each in logs], [was for _, was in named]
        for name, was in named:
            if was in names:
                self._problem(f"log.{name}.was", f"expected a name that no log has now, got {was!r}")
            elif former.count(was) > 1:
                self._problem(
                    f"log.{name}.was", f"expected a name that one log had, got {was!r} more than once"
                )

    def _rules(self, tables: Any, where: str) -> tuple[Rule, ...]:
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            self._problem(where, f"expected an array of tables, as [[{where}]]")
            return ()
        numbered = enumerate(tables, start=1)
        rules = [self._rule(table, f"{where}[{number}].") for number, table in numbered]
        return tuple(rule for rule in rules if rule)

    def _rule(self, table: dict[str, Any], where: str) -> Rule | None:
        self._refuse_unknown(table, {setting.key for setting in RULE}, where)
        for setting in RULE:
            if setting.key not in table:
                self._problem(f"{where}{setting.key}", "expected a value, got none")
        pattern, name = (self._value(setting, table, where) for setting in RULE)
        if pattern is None or name is None:
            return None
        from qps_service.counting.ambiguity import exponential  # where there are rules

        if slow := exponential(pattern, time.thread_time_ns):
            text = f"on routes that repeat {show(slow.pumped)!r} it can take exponential time"
            how = "write repetition that gives nothing back, such as [^/]++ or (?>...)"
            self._problem(f"{where}match", f"{text}; {how}, got {table['match']!r}")
            return None
        try:
            return make_rule(pattern, name)
        except ValueError as error:
            self._problem(f"{where}name", f"{error}, got {name!r}")
            return None

    def _name(self, key: str) -> str:
        origin, name = self._place(f"log.{key}", "log"), key
        if variable := self._environment.get(NAME_VARIABLE):
            origin, name = NAME_VARIABLE, variable
        if flag := self._flags.name:
            origin, name = "--name", flag
        try:
            return parse_name(name)
        except ValueError as error:
            self._problems.append(f"{origin}: {error}, got {name!r}")
            return name

    def _value(self, setting: Setting, table: dict[str, Any], where: str) -> Any:
        flag = getattr(self._flags, setting.key) if setting.flag else None
        # A variable that is set to nothing counts as not set, as in a shell's ${VARIABLE:-default}.
        text = (self._environment.get(setting.variable) or None) if setting.flag else None
        variable = _listed(text) if text and setting.join else text
        for origin, raw in (
            (f"--{setting.key}", flag),
            (setting.variable, variable),
            (self._place(f"{where}{setting.key}"), table.get(setting.key)),
            ("default", setting.default),
        ):
            if raw is None:
                continue
            if setting.join and isinstance(raw, list):
                return self._joined(setting, origin, raw)
            if not setting.several:
                return self._parsed(setting, origin, raw)
            if not isinstance(raw, list):
                self._problems.append(f"{origin}: expected a list, as [], got {raw!r}")
                return ()
            return tuple(self._parsed(setting, origin, each) for each in raw)
        return () if setting.several else None

    def _joined(self, setting: Setting, origin: str, raw: list[Any]) -> Any:
        numbered = [
            (f"{origin}[{number}]" if len(raw) > 1 else origin, each) for number, each in enumerate(raw, 1)
        ]
        values = [self._parsed(setting, where, each) for where, each in numbered]
        if None in values or not setting.join:
            return None
        try:
            return setting.join(values)
        except ValueError as error:
            self._problems.append(f"{origin}: {error}")
            return None

    def _parsed(self, setting: Setting, origin: str, raw: Any) -> Any:
        if setting.parse is parse_switch and isinstance(raw, bool):
            return raw
        if not isinstance(raw, str | int | float) or isinstance(raw, bool):
            self._problems.append(f"{origin}: expected text or a number, got {raw!r}")
            return None
        try:
            return setting.parse(str(raw))
        except FormatError as error:  # it shows the place
            self._problems.append(f"{origin}: {error}")
            return None
        except ValueError as error:
            self._problems.append(f"{origin}: {error}, got {raw!r}")
            return None

    def _refuse_unknown(self, table: dict[str, Any], known: set[str], where: str) -> None:
        for key in (key for key in table if key not in known):
            hint = "" if where else _TABLES.get(key, "")
            self._problem(f"{where}{key}", f"unknown; expected one of {', '.join(sorted(known))}{hint}")

    def _problem(self, where: str, text: str) -> None:
        """A problem of the file; `where` is a key path."""
        self._problems.append(f"{self._place(where)}: {text}")

    def _place(self, where: str, shown: str | None = None) -> str:
        """The file that has this key path, and the path."""
        file = file_of(where, self._source, self._fragments)
        return f"{file}: {shown or where}" if file else shown or where


def _made(config: type[OutputConfig], own: Mapping[str, Any], service: Mapping[str, Any]) -> OutputConfig:
    """It is told those settings of the service, too, that it has a field for."""
    return config(**own, **{key: service[key] for key in service.keys() & set(config._fields)})


def _listed(text: str) -> str | list[str]:
    """A variable's text, or the texts where it is a list of them in JSON."""
    if text.lstrip().startswith("["):
        import json  # 0.4 MB that a service without such a variable does not need

        try:
            found = json.loads(text)
        except (ValueError, RecursionError):  # a format that begins so
            return text
        if all(isinstance(each, str) for each in found):
            return list(found)
    return text


def _is_installed(library: str) -> bool:
    from importlib.util import find_spec  # looks for it, and does not load it

    try:
        return find_spec(library) is not None
    except ValueError:  # it is loaded, and not by the import system
        return False


def _name_of(path: str) -> str:
    """A name for a log that was given none: access for /var/log/nginx/access.log, stdin for -."""
    if path == "-":
        return "stdin"
    stem = re.sub(r"[*?]|%-?[A-Za-z]", "", os.path.basename(path)).partition(".")[0].strip("_-") or "log"
    return re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:64].lstrip("_-") or "log"
