"""Points at a place in a line: the line, and below it a caret under the character.

Tabs stay tabs, wide characters are as wide as terminals show them, and what has no glyph of its own is
shown as `\\xNN` (escape.py), so that a line from a log has no effect on the terminal. Only what is around the
place is shown, lest a terminal break the line in two.
"""

from qps_service.text.escape import escape, is_visible

_BEFORE, _AFTER = 60, 40  # characters shown; together with an indent they fit a line of most terminals


def point(before: str, after: str) -> str:
    """Two lines: the one that `before` and `after` make, and a caret where `after` begins."""
    start = "..." if len(before) > _BEFORE else ""
    end = "..." if len(after) > _AFTER else ""
    shown = start + _show(before[-_BEFORE:])
    padding = "".join("\t" if character == "\t" else " " * _width(character) for character in shown)
    return f"{shown}{_show(after[:_AFTER])}{end}\n{padding}^"


def _show(text: str) -> str:
    return "".join(
        character if is_visible(character) or character == "\t" else escape(character) for character in text
    )


def _width(character: str) -> int:
    """Columns of a terminal."""
    if character.isascii():
        return 1
    import unicodedata  # 1 MB that a service without a problem does not need

    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
