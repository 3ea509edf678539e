"""The access logs of Apache's httpd: config.c and util.c for the language, mod_log_config.c for what it
means.

- A virtual host that has a CustomLog or a TransferLog has no other's but the GlobalLogs; one without has
  those of the main server. That one gets requests only where no virtual host takes all of an address.
- A LogFormat is looked up when all is read: that of the virtual host before the main server's.
- `Define`, `<IfDefine>`, `<IfModule>` and `Include` go by what stands before them. Which modules are loaded
  tells LoadModule; how the server was started (`-D`) nothing tells.
- Includes and logs are relative to ServerRoot. `${NAME}` is a Define's, or of the file envvars, as Debian
  has it.
"""

import os.path
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from qps_service.setup.built_in import ApachePaths
from qps_service.setup.found import DEPTH, FILES, Findings, Reader, as_place, device
from qps_service.setup.piped import Piped, files_of

_WORD = re.compile(r"""\s*(?:"((?:\\.|[^"\\])*+)"?|'((?:\\.|[^'\\])*+)'?|(\S+))""", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([^${}:]*+)\}")
_ENVIRONMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)")
_GLOB = re.compile(r"[*?\[]")
_CLF = '%h %l %u %t "%r" %>s %b'  # mod_log_config.c, DEFAULT_LOG_FORMAT
# What every httpd has: on Debian built in, elsewhere loaded before all else.
_MODULES = ("core", "so", "http", "log_config", "logio", "unixd", "version", "watchdog")


class _Line(NamedTuple):
    text: str
    place: str


class _Section(NamedTuple):
    closes: bool
    kind: str
    arguments: str


class _Log(NamedTuple):
    path: str
    format: str | None  # a nickname or a format; None for the default one
    condition: str
    is_global: bool
    place: str


class _Server:
    """The main server, or a virtual host."""

    def __init__(self, addresses: Sequence[str], place: str) -> None:
        self.addresses = addresses
        self.place = place
        self.name = ""
        self.logs: list[_Log] = []
        self.formats: dict[str, str] = {}
        self.default: str | None = None  # a nickname or a format

    @property
    def shown(self) -> str:
        return self.name or " ".join(self.addresses) or "the main server"


def find_logs(paths: ApachePaths, reader: Reader) -> Findings:
    """The logs that this configuration file makes httpd write."""
    findings = Findings()
    configuration = _Configuration(paths, reader, findings)
    configuration.read(paths.configuration, (), paths.configuration)
    configuration.evaluate()
    return findings


# --- the language


def words_of(text: str) -> list[str]:
    """A directive's name and arguments."""
    return [
        _unescaped(found[1], '"')
        if found[1] is not None
        else _unescaped(found[2], "'")
        if found[2] is not None
        else found[3].replace("\\\\", "\\")
        for found in _WORD.finditer(text)
    ]


def _unescaped(text: str, quote: str) -> str:
    return re.sub(
        r"\\(.)", lambda found: found[1] if found[1] in (quote, "\\") else found[0], text, flags=re.DOTALL
    )


def _section(text: str) -> _Section | None:
    """What a line opens or closes, if it does."""
    if not text.startswith("<"):
        return None
    inside = text[1:].strip().removesuffix(">").strip()
    kind, *rest = inside.removeprefix("/").split(None, 1) or [""]
    return _Section(inside.startswith("/"), kind.lower(), rest[0] if rest else "")


def lines_of(text: str, path: str) -> Iterator[_Line]:
    """What stands on a line of its own, or goes on behind a backslash at its end."""
    parts: list[str] = []
    begun = 1
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        begun = begun if parts else number
        if line.endswith("\\"):
            parts.append(line[:-1])
            continue
        whole, parts = "".join((*parts, line)).strip(), []
        if whole and not whole.startswith("#"):
            yield _Line(whole, as_place(path, begun))


def environment_of(text: str) -> dict[str, str]:
    """The variables of a file for the shell that sets no more than plain texts; others are left out."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _ENVIRONMENT.fullmatch(line.partition(" #")[0].rstrip())
        if match is None:
            continue
        value = match[2]
        quote = value[:1] if value[:1] in ("'", '"') and value.endswith(value[:1]) and len(value) > 1 else ""
        value = value[1:-1] if quote else value
        if quote != "'":
            value = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda each: found.get(each[1] or each[2], ""), value)
        if not re.search(r"[$`]", value):
            found[match[1]] = value
    return found


class _Configuration:
    """Reads it in the order in which httpd does."""

    def __init__(self, paths: ApachePaths, reader: Reader, findings: Findings) -> None:
        self._root = paths.root
        self._reader = reader
        self._findings = findings
        self._main = _Server((), paths.configuration)
        self._hosts: list[_Server] = []
        self._listening: list[str] = []
        self._defined: dict[str, str] = {}
        self._environment = _environment(paths, reader)
        self._modules = {f"mod_{name}.c" for name in _MODULES} | {f"{name}_module" for name in _MODULES}
        self._uses = 0  # of macros
        self._macros: dict[str, tuple[Sequence[str], list[_Line]]] = {}

    def read(self, path: str, above: tuple[str, ...], place: str, server: _Server | None = None) -> None:
        """A file, within the server that includes it."""
        text = self._findings.read(self._reader, path, above, place)
        if text is not None:
            self._take(list(lines_of(text, path)), (*above, path), server or self._main)

    def _take(self, lines: Sequence[_Line], above: tuple[str, ...], server: _Server) -> None:
        """Lines of one file or macro, in which sections open and close."""
        sections: list[tuple[str, _Server]] = []
        skipped: list[str] = []  # sections that do not apply, the outermost first
        macro: list[_Line] | None = None
        for line in lines:
            section = _section(line.text)
            kind = section.kind if section else ""
            if macro is not None:
                if section and section.closes and kind == "macro":
                    macro = None
                else:
                    macro.append(line)
            elif skipped:
                if section and not section.closes:
                    skipped.append(kind)
                elif section and kind == skipped[-1]:
                    skipped.pop()
            elif section and section.closes:
                if not sections or sections[-1][0] != kind:
                    self._findings.problem(line.place, f"expected no </{kind}> here; the rest is not read")
                    return
                _, server = sections.pop()
            elif section:
                arguments = words_of(self._resolved(section.arguments))
                if kind == "macro":
                    macro = []
                    if arguments:
                        self._macros[arguments[0].lower()] = (arguments[1:], macro)
                elif not self._applies(kind, arguments):
                    skipped.append(kind)
                else:
                    sections.append((kind, server))
                    if kind == "virtualhost":
                        server = _Server(arguments, line.place)
                        self._hosts.append(server)
            else:
                self._directive(line, above, server)
        if sections or skipped or macro is not None:
            name = skipped[0] if skipped else sections[-1][0] if sections else "macro"
            self._findings.problem(lines[-1].place, f"the file ends within the section <{name}>")

    def _applies(self, kind: str, arguments: Sequence[str]) -> bool:
        name = arguments[0] if arguments else ""
        wanted, name = not name.startswith("!"), name.removeprefix("!")
        if kind == "ifmodule":
            return (name in self._modules) is wanted
        if kind == "ifdefine":
            return (name in self._defined) is wanted
        if kind == "iffile":
            return bool(self._reader.matches(os.path.join(self._root, name))) is wanted
        return True

    def _directive(self, line: _Line, above: tuple[str, ...], server: _Server) -> None:
        name, *arguments = words_of(self._resolved(line.text)) or [""]
        first, second, third = (*arguments, "", "", "")[:3]
        kind = name.lower()
        if not arguments:
            return
        if kind in ("include", "includeoptional"):
            self._include(first, above, server, line.place, optional=kind != "include")
        elif kind in ("customlog", "globallog"):
            log_format = second or None
            server.logs.append(_Log(first, log_format, third, kind == "globallog", line.place))
        elif kind == "transferlog":
            server.logs.append(_Log(first, None, "", False, line.place))
        elif kind == "logformat" and second:
            server.formats[second] = first
        elif kind == "logformat":
            server.default = first
        elif kind == "servername":  # https://name:443
            server.name = re.sub(r"^\w+://|:\d+$", "", first)
        elif kind == "listen":
            self._listening.append(first)
        elif kind == "serverroot":
            self._root = first
        elif kind == "define":
            self._defined[first] = second
        elif kind == "undefine":
            self._defined.pop(first, None)
        elif kind == "loadmodule":
            stem = os.path.splitext(os.path.basename(second))[0]
            self._modules |= {first, f"{stem}.c"}
        elif kind == "use":
            self._use(first, arguments[1:], above, server, line.place)

    def _include(
        self, pattern: str, above: tuple[str, ...], server: _Server, place: str, *, optional: bool
    ) -> None:
        path = os.path.join(self._root, pattern)
        found = self._reader.matches(path) if _GLOB.search(path) else [path]
        for each in found:
            below = self._reader.files_below(each)
            for file in [each] if below is None else below:
                if not optional or _GLOB.search(path) or self._reader.matches(file):
                    self.read(file, above, place, server)
        if not found and not optional:
            self._findings.problem(place, f"{path}: there is no such file")

    def _use(
        self, name: str, values: Sequence[str], above: tuple[str, ...], server: _Server, place: str
    ) -> None:
        parameters, lines = self._macros.get(name.lower(), ((), None))
        if lines is None:
            self._findings.problem(place, f"no macro is named {name}")
            return
        self._uses += 1
        if len(above) >= DEPTH or self._uses > FILES:
            if self._uses <= FILES + 1:
                self._findings.problem(place, f"macros are used more than {FILES} times, or {DEPTH} deep")
            return
        given = dict(zip(parameters, values, strict=False))
        if given:
            names = re.compile("|".join(map(re.escape, sorted(given, key=len, reverse=True))))
            lines = [
                each._replace(text=names.sub(lambda found: given[found[0]], each.text)) for each in lines
            ]
        if lines:
            self._take(lines, (*above, place), server)

    def _resolved(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            known = self._defined.get(found[1]) or self._environment.get(found[1])
            return found[0] if known is None else known

        return _VARIABLE.sub(value, text)

    # --- what it means

    def evaluate(self) -> None:
        """Take down which servers' requests end in which log."""
        used: set[_Log] = set()
        servers = [*self._hosts, *([self._main] if self._reaches_main() else [])]
        for server in servers:
            logs = [each for each in self._main.logs if each.is_global or not server.logs]
            for log in dict.fromkeys((*server.logs, *logs)):
                used.add(log)
                self._log(log, server)
        for log in self._main.logs:
            path = os.path.join(self._root, log.path)
            if log not in used and path not in self._findings.logs:
                why = "every virtual host has a log of its own: no request is written here"
                self._findings.leave_out(log.path, why, log.place)

    def _reaches_main(self) -> bool:
        """Whether there is an address where no virtual host takes what comes."""
        taken = {each for host in self._hosts for each in host.addresses}
        return not self._hosts or any(not _is_taken(each, taken) for each in self._listening)

    def _log(self, log: _Log, server: _Server) -> None:
        files = self._files(log)
        if files.why:
            self._findings.leave_out(log.path, files.why, log.place)
            return
        notes = [f"{log.condition}: only requests that fit this are written there"] if log.condition else []
        wanted = log.format or server.default or self._main.default or _CLF
        formats = {"CLF": _CLF, **self._main.formats, **server.formats}
        text: str | None = formats.get(wanted, wanted)
        if text is not None and "%" not in text:
            self._findings.problem(log.place, f"no LogFormat is named {wanted}")
            text = None
        name = wanted if wanted in formats and re.fullmatch(r"\S+", wanted) else ""
        log_format = spelled(text, name) if text is not None else None
        self._findings.log(files.path, log_format, server.shown, log.place, notes, is_dated=files.is_dated)

    def _files(self, log: _Log) -> Piped:
        if names := _VARIABLE.findall(log.path):
            return Piped(why=f"nothing says what {' and '.join(names)} stands for")
        if log.path.startswith("|"):
            return files_of(words_of(log.path.lstrip("|$")))
        if provider := re.match(r"([a-z]+):", log.path):
            return Piped(why=f"it goes to {provider[1]}, and no file has it")
        return Piped(os.path.join(self._root, log.path), device(log.path) or "")


def _environment(paths: ApachePaths, reader: Reader) -> dict[str, str]:
    try:
        return environment_of(reader.read(os.path.join(os.path.dirname(paths.configuration), "envvars")))
    except OSError:
        return {}


def _is_taken(listening: str, taken: Iterable[str]) -> bool:
    """Whether a virtual host takes all that comes to this address of a Listen."""
    host, _, port = listening.rpartition(":")
    for each in taken:
        other, colon, other_port = each.rpartition(":")
        if not colon or each.endswith("]"):
            other, other_port = each, "*"
        is_host = other in ("*", "_default_") or (other == host and host not in ("", "*", "0.0.0.0"))  # noqa: S104
        if is_host and other_port in (port, "*"):
            return True
    return False


def spelled(text: str, name: str = "") -> str:
    """The directive, as `format` takes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'LogFormat "{escaped}" {name}'.rstrip()
