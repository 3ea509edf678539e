"""Writes what the program knows better into the pages of docs/reference.

    .venv/bin/python docs/make_reference.py

A page is written by hand, but for what stands between `<!-- NAME -->` and `<!-- /NAME -->`: that is the text
of the part of that name here. The result is committed; a test tells when it is not current.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from textwrap import dedent, wrap

from prometheus_client.core import Metric

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "packaging")]

# They stand beside this directory.
import told  # noqa: E402

from qps_service.configuration.outputs import TABLES  # noqa: E402
from qps_service.configuration.settings import HISTORY, LOG, REPORTS, RULE, SERVICE, Setting  # noqa: E402
from qps_service.errors import EXITS  # noqa: E402
from qps_service.formats import json_lines, ltsv, w3c  # noqa: E402
from qps_service.formats.presets import COMBINED_ALIASES, PRESETS  # noqa: E402
from qps_service.outputs import statsd  # noqa: E402
from qps_service.outputs.ganglia.names import COUNT, name_of  # noqa: E402
from qps_service.outputs.metric_names import path_of_key, path_of_log  # noqa: E402
from qps_service.outputs.prometheus.exposition import Families, Histograms  # noqa: E402
from qps_service.reporting.report import TOLD_QUANTILES  # noqa: E402
from qps_service.values.counts import OTHER, Counts, Key  # noqa: E402
from qps_service.values.latency import BY_ROUTE, Latency, LatencyKey, bin_of  # noqa: E402
from qps_service.values.reports import Overview, Report, Row, Standing  # noqa: E402

PAGES = HERE / "reference"
SCHEMA = ROOT / "packaging" / "qps-report.schema.json"

# What a setting takes, where the name of its value tells.
_KINDS = {
    "ADDRESS": "an address and a port",
    "DIR": "a directory",
    "FILE": "a path",
    "FORMAT": "a name or a format",
    "HOST": "a name or an address",
    "LIST": "a list of words",
    "LOG": "a path",
    "NAME": "a name",
    "REGEX": "a regular expression",
    "TEMPLATE": "a template",
    "TIME": "a time, or off",
    "TEXT": "names with dots between",
    "WHAT": "a word",
    "WHERE": "a word",
    "TIMES": "a list of times",
    "BOOL": "`true` or `false`",
}
_PART = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


# --- the settings


def settings_of_the_service() -> str:
    """The keys at the top of the file."""
    return _settings("", SERVICE)


def settings_of_the_history() -> str:
    """The keys of [history]."""
    return _settings("history.", HISTORY)


def settings_of_reports() -> str:
    """The keys of [report]."""
    return _settings("report.", REPORTS)


def settings_of_a_log() -> str:
    """The keys of [log.NAME]."""
    return _settings("", LOG)


def settings_of_a_rule() -> str:
    """The keys of [[log.NAME.route]]."""
    return _settings("route.", RULE)


def settings_of_outputs() -> str:
    """The keys of each [output.NAME]."""
    parts = [
        f"### [output.{name}]\n\n{_settings(f'{name}.', settings, 4)}" for name, settings in TABLES.items()
    ]
    return "\n".join(parts)


def variables() -> str:
    """The environment variables."""
    rows = ((_code(name), _code(what)) for name, what in told.variables().items())
    return _table(("variable", "the same as"), rows)


def _settings(above: str, settings: Iterable[Setting], level: int = 3) -> str:
    """An overview, and a section for each."""
    rows = (
        (f"[`{above}{each.key}`](#{_anchor(above + each.key)})", _or_none(each.default), _takes(each))
        for each in settings
    )
    parts = [_table(("key", "default", "takes"), rows)]
    for each in settings:
        parts += [f"{'#' * level} `{above}{each.key}`\n", f"{_sentence(each.help)}\n"]
        facts = " ".join(f"{what}: {_code(value)}." for what, value in told.facts(each))
        parts += [f"{facts}\n"] if facts else []
    return "\n".join(parts)


def _takes(setting: Setting) -> str:
    return setting.range or _KINDS[setting.metavar]


# --- the command line


def exits() -> str:
    """The exit statuses."""
    return _table(("status", "means"), ((str(status), text) for status, text in EXITS.items()))


def commands() -> str:
    """Each subcommand with its arguments, and what its help tells below them."""
    parts = []
    for name, parser in told.subparsers().items():
        examples, rest = told.epilog(parser)
        parts += [f"## {name}\n", f"{parser.description}\n"]
        for action in told.arguments(parser):
            spelled = ", ".join(_code(option) for option in action.option_strings or [str(action.metavar)])
            value = "|".join(map(str, action.choices)) if action.choices else action.metavar
            value = f" {_code(str(value))}" if value and action.option_strings else ""
            parts.append(f"- {spelled}{value}: {_sentence(action.help or '')}")
        parts += ["\nExamples:\n", _block(examples), f"{_prose(rest)}\n"]
    return "\n".join(parts)


# --- the messages


def list_of_messages() -> str:
    """All kinds on one screen."""
    rows = (
        (f"[`{name}`](#{_anchor(name)})", _code(message_id), priority)
        for name, message_id, priority in told.messages()
    )
    return _table(("kind", "MESSAGE_ID", "priority"), rows)


def messages() -> str:
    """Each kind, with what the catalog says of it."""
    catalog = told.catalog()
    parts = []
    for name, message_id, priority in told.messages():
        subject, text = (each.replace("@MESSAGE_ID@", message_id) for each in catalog[message_id])
        parts += [
            f"## `{name}`\n",
            f"**{_prose(subject)}.** Priority {priority}, MESSAGE_ID `{message_id}`.\n",
            f"{_prose(text)}\n",
        ]
    return "\n".join(parts)


# --- the metrics

_LOG = "access"
_KEY = Key(b"GET", b"/help", 200)
_COUNTS = {_KEY: Counts(32, 16384)}
_LATENCIES = {LatencyKey(_KEY.route, 2): Latency({bin_of(250_000_000): 32}, 8_000_000_000, 250_000_000)}
_STANDING = Standing(_LOG, _COUNTS, {}, 0, 0, 0, {}, 1, 0, 0.5, latencies=_LATENCIES)
_OVERVIEW = Overview((_STANDING,), 1, 0, {"journal": 0}, "0", "pure")
_REPORT = Report(
    *(_LOG, False, 1, 1473414194, 10.0, 32, 3.2, 0, (Row(*_KEY, 32, 16384, 3.2),)), latencies=_LATENCIES
)
_ROUTES = (b"/", b"/help", b"/my_page", b"/user/:id", b"/index.html", b"/a//b", OTHER)


def prometheus_metrics() -> str:
    """The families that an answer has, as by default, and those that `latency = "route"` adds."""
    families = (*Families(_OVERVIEW, Histograms(by=BY_ROUTE)), *Families(_OVERVIEW))
    rows = (
        (
            _code(_name(family)),
            family.type,
            ", ".join(map(_code, _labels(family))),
            f"{family.documentation}.",
        )
        for family in {family.name: family for family in families}.values()
    )
    return _table(("metric", "type", "labels", "meaning"), rows)


def statsd_metrics() -> str:
    """The lines of one window of one route."""
    return _lines(statsd.Renderer("qps", tags=False))


def dogstatsd_metrics() -> str:
    """The same with tags."""
    return _lines(statsd.Renderer("qps", tags=True))


def metric_names() -> str:
    """What becomes of routes in names."""
    log = path_of_log("qps", _LOG)
    rows = (
        (
            _code(route.decode()),
            _code(path_of_key(log, Key(b"GET", route, 200)).removesuffix(".200").removeprefix(f"{log}.GET.")),
            _code(_tag(route)),
            _code(name_of(_LOG, route, 200)),
        )
        for route in _ROUTES
    )
    return _table(("route", "StatsD and Graphite", "DogStatsD's tag", "Ganglia, with status 200"), rows)


def ganglia_metrics() -> str:
    """Those of one route and of the log."""
    route, log = name_of(_LOG, _KEY.route, _KEY.status), name_of(_LOG)
    rows = (
        (_code(route), "both", "`req/s`", "requests per second, with all their digits"),
        (_code(route + COUNT), "positive", "`requests`", "requests since the ledger began"),
        (_code(log), "both", "`req/s`", "the whole log's requests per second"),
        (_code(log + COUNT), "positive", "`requests`", "the whole log's requests since the ledger began"),
        *(
            (
                _code(name_of(_LOG, quantile=part)),
                "both",
                "`s`",
                f"time that {part // 10} % of them took at most",
            )
            for part in TOLD_QUANTILES
        ),
    )
    return _table(("metric", "slope", "units", "value"), rows)


def _name(family: Metric) -> str:
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return f"{family.name}{suffix}"


def _labels(family: Metric) -> Iterable[str]:
    return dict.fromkeys(label for sample in family.samples for label in sample.labels)


def _lines(renderer: statsd.Renderer) -> str:
    return _block("\n".join(renderer.lines([_REPORT], _OVERVIEW)))


def _tag(route: bytes) -> str:
    report = _REPORT._replace(rows=(_REPORT.rows[0]._replace(route=route),))
    *_, line = statsd.Renderer("qps", tags=True).lines([report], _OVERVIEW._replace(logs=()))
    return line.partition("route:")[2].partition(",")[0]


# --- formats and reports


def formats() -> str:
    """The names."""
    rows = ((f"[`{name}`](#{_anchor(name)})", each.what) for name, each in PRESETS.items())
    others = (
        (", ".join(map(_code, COMBINED_ALIASES)), "other names of `combined`"),
        (_code(w3c.NAME), "those whose `#Fields` say what is in them, as of IIS and CloudFront"),
        ("[`auto`](#auto)", "the one of these that most lines fit; the default"),
    )
    return _table(("name", "lines"), (*rows, *others))


def presets() -> str:
    """The presets, each with a line and spelled out."""
    parts = []
    for name, each in PRESETS.items():
        if name in ("json", "ltsv"):  # they have parts of their own
            continue
        source = f" ([source]({each.source}))" if each.source else ""
        what = "A list" if len(each.texts) > 1 else "The format"
        parts += [f"### {name}\n", f"{each.what[0].upper()}{each.what[1:]}{source}:\n", _block(each.example)]
        parts += [f"{what}:\n", _block("\n".join(each.texts))]
    return "\n".join(parts)


def names() -> str:
    """The names of nginx's language that count."""
    rows = ((role, ", ".join(_code(f"${name}") for name in found)) for role, found in told.roles().items())
    return _table(("what", "names, the better first"), rows)


def members() -> str:
    """The customary names of JSON's members, in the order in which they are tried."""
    return _candidates(json_lines.CANDIDATES)


def labels() -> str:
    """The customary labels of LTSV, likewise."""
    return _candidates(ltsv.CANDIDATES)


def _candidates(candidates: json_lines.Candidates) -> str:
    lines = (f"- {role}: {', '.join(map(_code, paths))}" for role, paths in candidates.items())
    return (
        "\n".join(
            "\n".join(wrap(each, 100, subsequent_indent="  ", break_on_hyphens=False)) for each in lines
        )
        + "\n"
    )


def fields() -> str:
    """The fields of the W3C format that count; two of them may be joined."""
    by_role: dict[str, list[str]] = {}
    for name, role in w3c.ROLES.items():
        by_role.setdefault(role, []).append(" with ".join(map(_code, name.split())))
    return _table(("what", "fields, the better first"), ((role, ", ".join(f)) for role, f in by_role.items()))


def members_of_a_report() -> str:
    """What an object has, by its schema."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    def described(path: str, one: dict[str, str]) -> str:
        definition = schema["$defs"].get(one.get("$ref", "").rpartition("/")[2], {})
        return f"- `{path}`: {one.get('description') or definition['description']}"

    def lines(path: str, properties: dict[str, dict[str, str]]) -> Iterator[str]:
        return (described(f"{path}{name}", one) for name, one in properties.items())

    top = schema["properties"]
    parts = [*lines("", top)]
    for name in ("rows", "latency", "losses"):
        parts += [f"\nEach of `{name}` has\n", *lines("", top[name]["items"]["properties"])]
    return "\n".join(parts) + "\n"


# --- the pages


PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part
    for part in (
        settings_of_the_service,
        settings_of_the_history,
        settings_of_reports,
        settings_of_a_log,
        settings_of_a_rule,
        settings_of_outputs,
        exits,
        variables,
        commands,
        list_of_messages,
        messages,
        prometheus_metrics,
        statsd_metrics,
        dogstatsd_metrics,
        metric_names,
        ganglia_metrics,
        formats,
        presets,
        names,
        members,
        fields,
        labels,
        members_of_a_report,
    )
}


def current(page: str) -> str:
    """The page with its parts as they are now."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[3]}", page)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = tuple(heads)
    lines = [f"| {' | '.join(cells)} |\n" for cells in (heads, *rows)]
    return "".join([lines[0], f"|{'---|' * len(heads)}\n", *lines[1:]])


def _code(text: str) -> str:
    return f"`{text}`"


def _or_none(text: str | None) -> str:
    return _code(text) if text else "none"


def _block(text: str) -> str:
    return f"```text\n{dedent(text).rstrip()}\n```\n"


def _sentence(text: str) -> str:
    return _plain(f"{text[0].upper()}{text[1:]}.")


def _plain(text: str) -> str:
    """Text whose `<` are no HTML, but for what stands between backquotes."""
    return "`".join(each if at % 2 else each.replace("<", r"\<") for at, each in enumerate(text.split("`")))


def _prose(text: str) -> str:
    """The help's and the catalog's text: what stands in double quotes is code, and so are fields."""
    return _plain(
        re.sub(r'@(\w+)@|"([^"]+)"', lambda found: _code(" ".join((found[1] or found[2]).split())), text)
    )


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower())


def main() -> None:
    """The command line."""
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(current(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
