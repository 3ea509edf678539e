"""The access logs of nginx: ngx_conf_file.c for the language, ngx_http_log_module.c for what it means.

- A level (http, server, location, `if` in one) that has an `access_log` of its own has no other's; `off`
  among them is none at all. Where no level has one, it is what was built in.
- A request ends in the location that it was found to belong to, or in its server where it fits none. Where
  `location /` takes all of them, a log that the server alone has gets bad requests only, and is left out.
- Includes are relative to the configuration file's directory, logs to the prefix.
- A variable in a path stands for what `map`, `split_clients` and `set` give it, and else for anything.
"""

import os.path
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from qps_service.formats.source_text import unescaped
from qps_service.setup.built_in import NginxPaths
from qps_service.setup.found import DEPTH, Findings, Reader, as_place, device, escaped

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*+)++)
    | (?P<mark>[;{}])
    | "(?P<double>(?:\\.|[^"\\])*+)"
    | '(?P<single>(?:\\.|[^'\\])*+)'
    | (?P<word>(?:\\.|\$\{|[^\s;{\\])++)
    | (?P<rest>.)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}
# What stands in a block of Lua's own: comments and strings may have braces (lua.org, 3.1).
_LUA = re.compile(
    r"--\[(?P<c>=*)\[.*?\](?P=c)\]|--[^\n]*+|\[(?P<s>=*)\[.*?\](?P=s)\]"
    r"|\"(?:\\.|[^\"\\])*+\"|'(?:\\.|[^'\\])*+'|(?P<brace>[{}])",
    re.DOTALL,
)
_GLOB = re.compile(r"[*?\[]")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)
_ANYTHING = "\0"  # what a variable stands for of which nothing is known; no path has this character
_TEXTS = 256  # that are told apart of one text with variables: as many as there are logs by default
_LEVELS = ("location", "if", "limit_except")  # within a server, that may have an access_log, or what has one
COMBINED = "combined"


class Directive(NamedTuple):
    """A directive, with what is in its block."""

    name: str
    arguments: tuple[str, ...]
    place: str
    block: tuple["Directive", ...] | None = None


class _Open(NamedTuple):
    words: tuple[str, ...]
    place: str
    inside: list[Directive]


def find_logs(paths: NginxPaths, reader: Reader) -> Findings:
    """The logs that this configuration file makes nginx write."""
    findings = Findings()
    loader = _Loader(paths, reader, findings)
    _evaluate(loader.load(paths.configuration, (), paths.configuration), paths, findings)
    return findings


# --- the language


def parse(text: str, path: str, findings: Findings) -> list[Directive]:
    """What a file says, up to the first mistake."""
    stack = [_Open((), "", [])]
    words: list[str] = []
    line, counted, begun, offset = 1, 0, 1, 0

    def fail(reason: str) -> list[Directive]:
        findings.problem(as_place(path, line), f"{reason}; the rest of the file is not read")
        while len(stack) > 1:
            _close(stack)
        return stack[0].inside

    while found := _TOKEN.match(text, offset):
        line += text.count("\n", counted, found.start())
        counted, offset = found.start(), found.end()
        kind = found.lastgroup
        if kind == "space":
            continue
        if kind == "rest" or (kind == "word" and found[0][0] in "\"'"):
            return fail("expected a closing quote" if kind == "word" else "expected text behind a backslash")
        if kind != "mark":
            begun = begun if words else line
            start, end = found.span(str(kind))
            words.append("".join(character for character, _ in unescaped(text, start, end, _ESCAPES)))
        elif found[0] == "}":
            if words:
                return fail(f"expected a semicolon behind {words[-1]}")
            if len(stack) == 1:
                return fail("expected no closing brace")
            _close(stack)
        elif not words:
            return fail(f"expected a directive, got {found[0]}")
        elif found[0] == ";":
            stack[-1].inside.append(Directive(words[0], tuple(words[1:]), as_place(path, begun)))
            words = []
        elif words[0].endswith("_by_lua_block"):
            offset = _behind_lua(text, offset)
            words = []
        elif len(stack) > DEPTH:
            return fail(f"blocks are {DEPTH} deep")
        else:
            stack.append(_Open(tuple(words), as_place(path, begun), []))
            words = []
    line += text.count("\n", counted)
    if words or len(stack) > 1:
        return fail(
            "the file ends within " + (f"{words[0]}" if words else f"the block of {stack[-1].words[0]}")
        )
    return stack[0].inside


def _close(stack: list[_Open]) -> None:
    words, place, inside = stack.pop()
    stack[-1].inside.append(Directive(words[0], words[1:], place, tuple(inside)))


def _behind_lua(text: str, start: int) -> int:
    """Where a block of Lua ends whose first brace stands before `start`."""
    depth = 1
    for found in _LUA.finditer(text, start):
        if found["brace"]:
            depth += 1 if found["brace"] == "{" else -1
        if not depth:
            return found.end()
    return len(text)


class _Loader:
    """Puts what is included in its place."""

    def __init__(self, paths: NginxPaths, reader: Reader, findings: Findings) -> None:
        self._directory = os.path.dirname(paths.configuration)
        self._reader = reader
        self._findings = findings

    def load(self, path: str, above: tuple[str, ...], place: str) -> tuple[Directive, ...]:
        text = self._findings.read(self._reader, path, above, place)
        if text is None:
            return ()
        return tuple(self._expanded(parse(text, path, self._findings), (*above, path)))

    def _expanded(self, directives: Iterable[Directive], above: tuple[str, ...]) -> Iterator[Directive]:
        for each in directives:
            if each.name == "include" and len(each.arguments) == 1:
                path = os.path.join(self._directory, each.arguments[0])
                # With no special character in it, a file that is not there is a mistake.
                for included in self._reader.matches(path) if _GLOB.search(path) else [path]:
                    yield from self.load(included, above, each.place)
            elif each.block is not None:
                yield each._replace(block=tuple(self._expanded(each.block, (*above, each.place))))
            else:
                yield each


# --- what it means


def _evaluate(directives: tuple[Directive, ...], paths: NginxPaths, findings: Findings) -> None:
    for each in directives:
        if each.name in ("stream", "mail") and any(_access_logs(each.block or ())):
            findings.leave_out(
                "access_log", f"of the {each.name} module, which knows no requests", each.place
            )
    built_in = Directive("access_log", (paths.log,), "built into nginx")
    shadowed: list[Directive] = []
    for http in (each.block or () for each in directives if each.name == "http"):
        formats = {each.arguments[0]: each for each in http if each.name == "log_format" and each.arguments}
        common = _texts(each for each in http if each.name != "server")
        outer = _own(http)
        for server in (each for each in http if each.name == "server" and each.block is not None):
            block = server.block or ()
            name = _name_of(server)
            own = _own(block)
            level = own if own is not None else (built_in,) if outer is None else outer
            used = [each for inner in block if inner.name == "location" for each in _used(inner, level)]
            if _answers(block) or not _takes_all(block):
                used += level
            else:
                shadowed += [each for each in level if each not in used]
            variables = _Variables({**common, **_texts(block)}, _server_name(block))
            for log in dict.fromkeys(used):
                _take(log, name, formats, variables, paths, findings)
    for log in shadowed:
        path = os.path.join(paths.prefix, log.arguments[0]) if log.arguments else ""
        if path and path not in findings.logs and not _unfollowed(log):
            why = "every request belongs to a location with a log of its own: it gets bad requests only"
            findings.leave_out(path, why, log.place)


def _access_logs(block: Iterable[Directive]) -> Iterator[Directive]:
    for each in block:
        if each.name == "access_log":
            yield each
        yield from _access_logs(each.block or ())


def _own(block: Iterable[Directive]) -> tuple[Directive, ...] | None:
    """The logs of a level; None if it has those of the level above."""
    logs = tuple(each for each in block if each.name == "access_log" and each.arguments)
    if not logs:
        return None
    return () if any(each.arguments[0] == "off" for each in logs) else logs


def _used(level: Directive, above: tuple[Directive, ...]) -> Iterator[Directive]:
    """The logs that requests end in which belong to this location, or to one within."""
    own = _own(level.block or ())
    logs = above if own is None else own
    yield from logs
    for each in level.block or ():
        if each.name in _LEVELS and each.block is not None:
            yield from _used(each, logs)


def _takes_all(server: Iterable[Directive]) -> bool:
    """Whether every request belongs to a location."""
    return any(each.name == "location" and each.arguments in (("/",), ("^~", "/")) for each in server)


def _answers(server: Iterable[Directive]) -> bool:
    """Whether a server answers requests before it looks for their location."""
    return any(
        each.name == "return"
        or (each.name == "rewrite" and _redirects(each.arguments))
        or (each.name == "if" and _answers(each.block or ()))
        for each in server
    )


def _redirects(rewrite: tuple[str, ...]) -> bool:
    target = rewrite[1] if len(rewrite) > 1 else ""
    return rewrite[-1:] in (("redirect",), ("permanent",)) or target.startswith(
        ("http://", "https://", "$scheme")
    )


def _name_of(server: Directive) -> str:
    """Its first name. `_` is none: by it Debian's server takes what no other does."""
    named = [
        "other hosts" if name == "_" else name
        for each in server.block or ()
        if each.name == "server_name"
        for name in each.arguments
        if name
    ]
    listening = [each.arguments[0] for each in server.block or () if each.name == "listen" and each.arguments]
    return (named or listening or ["a server without a name"])[0]


def _server_name(block: Iterable[Directive]) -> str:
    """What `$server_name` is within a server; empty where its configuration does not tell."""
    names = (name for each in block if each.name == "server_name" for name in each.arguments)
    name = next(names, "")
    return "" if name.startswith(("~", "$")) else name.lower().removeprefix(".")


def _unfollowed(log: Directive) -> str | None:
    """Why a log can't be followed; None if it can."""
    path, parameters = log.arguments[0], log.arguments[2:]
    if path.startswith("syslog:"):
        return "it goes to syslog; a file that a syslog daemon writes can be named"
    if any(each == "gzip" or each.startswith("gzip=") for each in parameters):
        return "gzip: it is written compressed, and can't be followed; take the parameter away"
    return device(path)


def _texts(block: Iterable[Directive]) -> dict[str, list[str]]:
    """What is given to variables, by their names, in a level and those within."""
    given: dict[str, list[str]] = {}
    for each in block:
        if each.name == "set" and len(each.arguments) == 2:
            variable, texts = each.arguments[0], [each.arguments[1]]
        elif each.name in ("map", "split_clients") and each.arguments:
            variable = each.arguments[-1]
            texts = [inner.arguments[-1] for inner in each.block or () if inner.arguments]
        else:
            for name, found in _texts(each.block or ()).items():
                given.setdefault(name, []).extend(found)
            continue
        given.setdefault(variable.strip("${}"), []).extend(texts)
    return given


class _Variables:
    """What texts with variables stand for."""

    def __init__(self, given: Mapping[str, Iterable[str]], server_name: str) -> None:
        self._given = given
        # The name is known, and those of servers that are added later are not.
        self._known = {"server_name": [*filter(None, [server_name]), _ANYTHING]}

    def resolved(self, text: str, depth: int = 0) -> list[str]:
        """Each of the texts, with `_ANYTHING` where nothing tells a variable."""
        found: list[dict[str, str]] = [{}]
        for name in dict.fromkeys(each[1] or each[2] for each in _VARIABLE.finditer(text)):
            texts = self._of(name, depth)
            if len(found) * len(texts) > _TEXTS:
                texts = [_ANYTHING]
            found = [{**before, name: each} for before in found for each in texts]
        return [_put(each, text) for each in found]

    def _of(self, name: str, depth: int) -> list[str]:
        if name not in self._known and name in self._given and depth < DEPTH:
            self._known[name] = [_ANYTHING]  # of what is within itself nothing is known
            texts = {each: None for text in self._given[name] for each in self.resolved(text, depth + 1)}
            self._known[name] = [_ANYTHING] if any(_ANYTHING in each for each in texts) else list(texts)
        return self._known.get(name, [_ANYTHING])


def _put(texts: Mapping[str, str], text: str) -> str:
    """In the place of variables."""
    return _VARIABLE.sub(lambda found: texts[found[1] or found[2]], text)


def _take(
    log: Directive,
    server: str,
    formats: dict[str, Directive],
    variables: _Variables,
    paths: NginxPaths,
    findings: Findings,
) -> None:
    path, name = log.arguments[0], log.arguments[1] if len(log.arguments) > 1 else COMBINED
    if why := _unfollowed(log):
        findings.leave_out(path, why, log.place)
        return
    notes = []
    for each in log.arguments[2:]:
        key, _, value = each.partition("=")
        if key == "if":
            notes.append(f"only requests for which {value} is neither empty nor 0 are written there")
        elif key in ("buffer", "flush"):
            notes.append(f"{each}: lines are written late, and counted then")
    if name in formats:
        log_format: str | None = spelled(formats[name])
    else:
        log_format = COMBINED if name == COMBINED else None
        if log_format is None:
            findings.problem(log.place, f"no log_format is named {name}")
    # A text that begins with a variable is relative, whatever that stands for.
    prefix = "" if path.startswith("/") else f"{paths.prefix}/"
    for each in variables.resolved(path):
        if _ANYTHING in each:
            pattern = "*".join(map(escaped, f"{prefix}{each}".split(_ANYTHING)))
            findings.log(pattern, log_format, server, log.place, notes, is_pattern=True)
        else:
            findings.log(f"{prefix}{each}", log_format, server, log.place, notes)


def spelled(log_format: Directive) -> str:
    """The directive, as `format` takes it."""
    name, *pieces = log_format.arguments
    escape = f"{pieces.pop(0)} " if pieces and pieces[0].startswith("escape=") else ""
    text = "".join(pieces).replace("\\", "\\\\").replace("'", "\\'")
    for letter, character in (("t", "\t"), ("r", "\r"), ("n", "\n")):
        text = text.replace(character, f"\\{letter}")
    return f"log_format {name} {escape}'{text}';"
