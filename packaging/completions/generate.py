"""Writes the completions for bash, zsh and fish, made from the command line's own parser by shtab.

    .venv/bin/python packaging/completions/generate.py

They are checked in, because Debian 12's shtab is too old to know fish; a test tells when they are not
current.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import shtab

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from qps_service.cli import make_parser  # noqa: E402  it stands beside this directory's parent
from qps_service.formats.presets import NAMES  # noqa: E402

FILES = {"bash": "qps-reporter", "zsh": "_qps-reporter", "fish": "qps-reporter.fish"}  # by shell

# What an argument is follows from the name of its value. The program itself does without shtab.
PATHS = {"LOG": shtab.FILE, "FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
# Offered, though the program takes more than these: this parser completes and never parses.
WORDS = {"FORMAT": NAMES, "WHERE": ("end", "start")}


def completions() -> dict[str, str]:
    """The text of each file, by shell."""
    texts = {}
    for shell in FILES:
        parser = make_parser()
        for action in _actions(parser):
            if action.metavar in PATHS:
                vars(action)["complete"] = PATHS[action.metavar]
            elif action.metavar in WORDS:
                action.choices = WORDS[action.metavar]
        texts[shell] = shtab.complete(parser, shell)
    return texts


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)


if __name__ == "__main__":
    for shell, text in completions().items():
        (HERE / FILES[shell]).write_text(text)
