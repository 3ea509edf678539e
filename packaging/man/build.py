"""Writes the man pages into a directory.

    python3 packaging/man/build.py DIRECTORY

The prose stands in the .rst files beside this one. What the program knows better, its command line,
settings, formats and messages, comes from the program: `@NAME@` in a page is replaced by the text of
that name. docutils makes man pages of the result. The date in their foot is that of SOURCE_DATE_EPOCH;
without one there is none, so that the same sources always give the same pages.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent

from docutils.core import publish_string

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

# They stand beside this directory's parent, and beside this directory.
import told  # noqa: E402

from qps_service import __version__  # noqa: E402
from qps_service.cli import make_parser  # noqa: E402
from qps_service.configuration.outputs import TABLES  # noqa: E402
from qps_service.configuration.settings import HISTORY, LOG, REPORTS, RULE, SERVICE, Setting  # noqa: E402
from qps_service.formats.presets import COMBINED, COMBINED_ALIASES, PRESETS  # noqa: E402
from qps_service.notices.kinds import POSSIBLE_LOSS, REPORT_MESSAGE_ID  # noqa: E402

DOCUTILS = {
    "_disable_config": True,  # nor does a file of the user's change the pages
    "file_insertion_enabled": False,
    "halt_level": 2,  # a warning is an error
    "output_encoding": "unicode",
}


def release() -> str:
    """The fields of a page's foot."""
    fields = [f":Version: qps-reporter {__version__}", ":Manual group: qps-reporter"]
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        fields.append(f":Date: {datetime.fromtimestamp(int(epoch), UTC):%Y-%m-%d}")
    # No name of a file is hyphenated, and no line stretched. HY is what groff goes back to after an example.
    return "\n".join([*fields, "", ".. raw:: manpage", "", "  .nr HY 0", "  .nh", "  .ad l"])


def synopsis() -> str:
    """A paragraph for each subcommand."""
    lines = []
    for subparser in told.subparsers().values():
        actions = told.arguments(subparser)
        options = [_usage(action) for action in actions if action.option_strings]
        operands = [_operand(action) for action in actions if not action.option_strings]
        lines.append(f"**{subparser.prog}** {' '.join([*options, *operands])}")
    return "\n\n".join(lines)


def commands() -> str:
    """Each subcommand with its arguments, and what its help tells below them."""
    parts = []
    for name, subparser in told.subparsers().items():
        examples, rest = told.epilog(subparser)
        arguments = _arguments(told.arguments(subparser))
        parts += [f"{name}\n{'~' * len(name)}", _escape(subparser.description or ""), arguments]
        parts += [_escape(rest), "Examples::", indent(examples, "  ")]
    return "\n\n".join(parts)


def options() -> str:
    """The options before a subcommand."""
    return _arguments(action for action in make_parser()._actions if action.option_strings)


def environment() -> str:
    """The variables, which are the flags once more."""
    return _definitions(
        (f"**{variable}**", f"As {'' if what.startswith('-') else 'the argument '}**{_escape(what)}**.")
        for variable, what in told.variables().items()
    )


def settings_of_the_service() -> str:
    """The keys at the top of the file."""
    return _settings(SERVICE)


def settings_of_the_history() -> str:
    """The keys of [history]."""
    return _settings(HISTORY)


def settings_of_reports() -> str:
    """The keys of [report]."""
    return _settings(REPORTS)


def settings_of_a_log() -> str:
    """The keys of [log.NAME]."""
    return _settings(LOG)


def settings_of_a_rule() -> str:
    """The keys of [[log.NAME.route]]."""
    return _settings(RULE)


def settings_of_outputs() -> str:
    """The keys of each [output.NAME]."""
    return _definitions((f"**[output.{name}]**", _settings(settings)) for name, settings in TABLES.items())


def formats() -> str:
    """The presets, spelled out, and the other names of one."""
    rows = [
        (f"**{name}**", "; or ".join(f"``{text}``" for text in each.texts)) for name, each in PRESETS.items()
    ]
    return _definitions([*rows, *((f"**{name}**", f"as **{COMBINED}**") for name in COMBINED_ALIASES)])


def names() -> str:
    """The names in a format that count, by what they count as."""
    return _definitions(
        (role, ", ".join(f"**$**\\ **{_escape(name)}**" for name in found))
        for role, found in told.roles().items()
    )


def messages() -> str:
    """The kinds of messages with their ids."""
    rows = told.messages()
    return "::\n\n" + "\n".join(f"  {name:<19} {number} {priority}" for name, number, priority in rows)


def report_id() -> str:
    """What finds the reports in the journal."""
    return REPORT_MESSAGE_ID


def loss_id() -> str:
    """What finds possible losses there."""
    return POSSIBLE_LOSS.message_id


PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part
    for part in (
        release,
        synopsis,
        commands,
        options,
        environment,
        settings_of_the_service,
        settings_of_the_history,
        settings_of_reports,
        settings_of_a_log,
        settings_of_a_rule,
        settings_of_outputs,
        formats,
        names,
        messages,
        report_id,
        loss_id,
    )
}


def page(source: str) -> str:
    """The man page that `source`, in reStructuredText with `@NAME@` parts, makes."""
    text = re.sub(r"@(\w+)@", lambda found: PARTS[found[1]](), source)
    made: str = publish_string(text, writer_name="manpage", settings_overrides=DOCUTILS)
    return made


def _arguments(actions: Iterable[argparse.Action]) -> str:
    return _definitions((_argument(action), _sentence(action.help or "")) for action in actions)


def _argument(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"*{action.metavar}*"
    value = _value(action)
    return ", ".join(f"**{_escape(option)}**{value}" for option in action.option_strings)


def _operand(action: argparse.Action) -> str:
    return f"*{action.metavar}*..." if action.nargs == "+" else f"[*{action.metavar}*]"


def _usage(action: argparse.Action) -> str:
    text = f"**{_escape(action.option_strings[0])}**{_value(action)}"
    return text if action.required else f"[{text}]"


def _value(action: argparse.Action) -> str:
    if action.choices:
        return " " + "\\|\\ ".join(f"**{choice}**" for choice in action.choices)
    return f" *{action.metavar}*" if action.metavar else ""


def _settings(settings: Iterable[Setting]) -> str:
    return _definitions((f"**{_escape(each.key)}** = *{each.metavar}*", _setting(each)) for each in settings)


def _setting(setting: Setting) -> str:
    facts = (f"{what}: **{_escape(value)}**." for what, value in told.facts(setting))
    return f"{_sentence(setting.help)}\n\n{' '.join(facts)}"


def _sentence(text: str) -> str:
    return _escape(f"{text[0].upper()}{text[1:]}.")


def _definitions(entries: Iterable[tuple[str, str]]) -> str:
    return "\n\n".join(f"{term}\n{indent(text, '  ')}" for term, text in entries)


def _escape(text: str) -> str:
    """Plain text as reStructuredText; what stands between backquotes becomes a literal."""

    def pieces() -> Iterator[str]:
        for number, piece in enumerate(text.split("`")):
            yield f"``{piece}``" if number % 2 else re.sub(r"([\\*|_<-])", r"\\\1", piece)

    return "".join(pieces())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes the man pages into a directory.")
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    directory = parser.parse_args().directory
    for source in sorted(HERE.glob("*.rst")):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / source.stem).write_text(page(source.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
