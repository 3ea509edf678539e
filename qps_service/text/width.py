"""How many columns of a terminal a text takes, and what of it fits into some.

For text that was made visible (escape.py): no character in it joins the one before, and none is a control.
"""

from collections.abc import Collection

CUT = "..."  # stands for what was cut off


def columns(text: str) -> int:
    """How many columns it takes: two for a character of East Asian width F or W (Unicode's annex 11)."""
    if text.isascii():
        return len(text)
    from unicodedata import east_asian_width  # 1 MB that a service does not need where all is ASCII

    return len(text) + sum(east_asian_width(each) in "FW" for each in text)


def widest(texts: Collection[str]) -> int:
    """How many columns the one takes that takes most; there must be one."""
    return max(map(len if all(map(str.isascii, texts)) else columns, texts))


def clip(text: str, width: int) -> str:
    """As much of its begin as fits, with CUT for the rest if there is one and room for that."""
    if columns(text) <= width:
        return text
    end = CUT if width > len(CUT) else ""
    room, kept = max(0, width - len(end)), text[: max(0, width - len(end))]
    while columns(kept) > room:
        kept = kept[:-1]
    return kept + end


def fit(text: str, width: int) -> str:
    """Exactly so many columns: cut, or with blanks behind."""
    if text.isascii() and len(text) <= width:
        return text.ljust(width)
    text = clip(text, width)
    return text + " " * (width - columns(text))
