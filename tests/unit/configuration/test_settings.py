"""The table of settings: what each takes, and what each says to what it doesn't."""

import argparse
import re

import pytest

from qps_service.commands import add_configuration, flags_of
from qps_service.configuration.loader import Flags
from qps_service.configuration.outputs import OUTPUTS, kind_of
from qps_service.configuration.parsers import parse_name
from qps_service.configuration.settings import BY_KEY, HISTORY, LOG, REPORTS, RULE, SERVICE
from qps_service.configuration.types import Config, LogConfig, OutputConfig, PrometheusConfig, TextfileConfig
from qps_service.text.units import SECOND
from qps_service.values.history import History

PARSERS = {key: setting.parse for key, setting in BY_KEY.items()} | {"[log.NAME]": parse_name}
FLAGGED = [setting for setting in (*SERVICE, *LOG) if setting.flag]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("interval", "100ms", SECOND // 10),
        ("interval", "1d", 86_400 * SECOND),
        ("state", "/var/lib/../x", "/var/x"),
        ("path", "/a/./b.log", "/a/b.log"),
        ("start", "end", False),
        ("max_routes", "1", 1),
        ("max_routes", "1000000", 1_000_000),
        ("query", "drop", False),
        ("name", r"/\1", r"/\1"),
        ("max_line", "256", 256),
        ("max_line", "1MiB", 1 << 20),
        ("quiet", "1s", SECOND),
        ("open_generations", "2", 2),
        ("keep", "0", 0),
        ("max_size", "1MiB", 1 << 20),
        *(("[log.NAME]", name, name) for name in ("a", "A-1_b.c", "0", "a" * 64)),
    ],
)
def test_takes(key: str, text: str, value: object) -> None:
    assert PARSERS[key](text) == value


# test_loader.py has others, in files.
@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("interval", "25h", "expected from 100ms to 1d"),
        ("path", "a\0b", "expected a path"),
        ("max_routes", "0", "expected from 1 to 1000000"),
        ("max_routes", "9" * 5000, "expected a whole number"),
        ("max_line", "255", "expected from 256 to 1MiB"),
        ("max_line", "2MiB", "expected from 256 to 1MiB"),
        ("max_line", "big", "expected a size such as 65536, 64KiB or 1MiB"),
        ("quiet", "0", "expected from 1s to 1d"),
        ("open_generations", "1", "expected from 2 to 100000"),
        *(
            ("[log.NAME]", name, "expected up to 64 letters, digits, and _ . - after the first")
            for name in ("", "a" * 65, "-a", ".a", "a b", "a/b", "a\n", "é", "a\0")
        ),
    ],
)
def test_refuses(key: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        PARSERS[key](text)


@pytest.mark.parametrize("key", BY_KEY)
def test_each_default_is_one_of_the_values_it_takes(key: str) -> None:
    if (default := BY_KEY[key].default) is not None:
        BY_KEY[key].parse(default)


def test_the_table_the_flags_and_the_configuration_name_the_same_things() -> None:
    assert len(BY_KEY) == len(SERVICE) + len(HISTORY) + len(REPORTS) + len(LOG) + len(RULE) - len(["name"])
    assert {setting.key for setting in SERVICE} == set(Config._fields) - {
        *("history", "logs", "outputs", "source", "fragments", "journal", "shows_latency")
    }
    for kind in OUTPUTS.values():
        told = {setting.key for setting in SERVICE} & set(kind.config._fields)  # Ganglia, of the interval
        assert {setting.attribute for setting in kind.settings} == set(kind.config._fields) - told
    assert {setting.key for setting in HISTORY} == set(History._fields)
    assert {setting.attribute for setting in LOG} == set(LogConfig._fields) - {
        *("name", "rules", "logs", "max_rows", "retired", "is_pattern", "of", "begun", "former")
    }
    assert {setting.key for setting in FLAGGED} == set(Flags._fields) - {"log", "config", "name"}


@pytest.mark.parametrize("key", Flags._fields)
def test_each_flag_reaches_the_configuration(key: str) -> None:
    parser = argparse.ArgumentParser()
    add_configuration(parser)
    assert flags_of(parser.parse_args([])) == Flags()
    words = ["text"] if key == "log" else [f"--{key}", "text"]
    setting = BY_KEY.get(key)
    is_list = setting is not None and setting.join is not None
    expected: list[str] | str = ["text"] if is_list else "text"
    assert flags_of(parser.parse_args(words)) == Flags(**{key: expected})  # type: ignore[arg-type]
    assert not is_list or flags_of(parser.parse_args(words * 2)).format == ["text", "text"]


@pytest.mark.parametrize("key", [setting.key for setting in FLAGGED])
def test_help_tells_a_flags_meaning_and_default(key: str) -> None:
    parser = argparse.ArgumentParser(formatter_class=lambda prog: argparse.HelpFormatter(prog, width=1000))
    add_configuration(parser)
    setting = BY_KEY[key]
    default = f" (default: {setting.default})" if setting.default else ""
    assert re.search(
        rf"--{key} {setting.metavar}\s+{re.escape(setting.help + default)}\n", parser.format_help()
    )


def test_two_kinds_of_outputs_with_the_same_values_are_told_apart() -> None:
    text = TextfileConfig("/a")
    configs: list[OutputConfig] = [PrometheusConfig(*text), text]  # type: ignore[arg-type]  # only here
    assert len(set(configs)) == 1
    assert [kind_of(config).name for config in configs] == ["prometheus", "textfile"]
