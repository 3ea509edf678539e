"""Shows bytes that an attacker may have written, on one line and without effect on a terminal.

Promise: different bytes never look alike, but for letters of two alphabets that do. So distinct routes stay
distinct in every output, and what is shown can be turned back into the bytes.

Shown as it is: what has a glyph of its own, visible and drawn apart from what stands before it. Shown as
`\\xNN` for each of its bytes, with a backslash as two:

- what is no UTF-8, and what Unicode calls unprintable: controls, bidirectional overrides, zero widths,
  private and unassigned characters, and every space but U+0020
- U+0020 itself, unless it stands alone between two others: elsewhere tables and browsers do not show it
- marks, which are drawn onto what stands before them: accents, vowel signs, variation selectors. Without them
  "é" has one spelling. The price: Thai and Devanagari, where they come unencoded, are hard to read
- what Unicode calls another spelling of a character that looks the same (U+212A is "K"): what is not in its
  normalization form C (https://unicode.org/reports/tr15/)
- what is blank, though Unicode calls it a letter or a symbol: BLANK below

What is unassigned to the Python that runs is escaped, so a later Python may show more.
"""

from qps_service.text.regex import regex

# Letters and symbols without ink, and parts of letters that join the one before them. Those of
# Default_Ignorable_Code_Point (https://unicode.org/Public/UNIDATA/DerivedCoreProperties.txt) that are neither
# marks nor unprintable are in here; the rest stand in no property, and were found in the code charts.
BLANK = regex(
    "["
    "\u115f-\u11ff"  # Hangul: fillers, then vowels and finals, which join a letter before them
    "\u2800"  # a pattern of Braille with no dot
    "\u3164"  # Hangul filler
    "\ud7b0-\ud7ff"  # Hangul: more vowels and finals
    "\uffa0"  # halfwidth Hangul filler
    "\ufffc"  # object replacement character
    "\U00013441\U00013442"  # Egyptian hieroglyphs: full and half blank
    "\U00016d63-\U00016d6a"  # Kirat Rai: vowel signs, which join
    "\U0001d159"  # musical symbol null notehead
    "]"
)
_SPACE = regex("^ | (?= |$)|(?<= ) ")  # `$` is an end: a newline is escaped before


def show(raw: bytes) -> str:
    """`raw` as printable text without line breaks."""
    text = raw.decode("utf-8", "surrogateescape")
    if not (text.isascii() and text.isprintable() and "\\" not in text):
        text = "".join(map(_shown, text))
    return _SPACE.sub(r"\\x20", text) if " " in text else text


def show_path(path: str) -> str:
    """A path as printable text, though it may be no UTF-8."""
    return show(path.encode("utf-8", "surrogateescape"))


class _Pages(dict[int, int]):
    """For each 256 characters whether they are visible, as bits, from when one of them is first asked for:
    4,352 of some 70 bytes, and 4 s of CPU in all, if somebody sends every character there is."""

    def __missing__(self, number: int) -> int:
        import unicodedata  # 1 MB that a service does not need where all is ASCII

        page = self[number] = sum(
            1 << bit
            for bit, character in enumerate(map(chr, range(256 * number, 256 * number + 256)))
            if character.isprintable()
            and unicodedata.category(character)[0] != "M"
            and unicodedata.is_normalized("NFC", character)
            and not BLANK.match(character)
        )
        return page


_PAGES = _Pages()


def is_visible(character: str) -> bool:
    """Whether it has a glyph of its own, that no other spelling has; a space counts as one."""
    number, bit = divmod(ord(character), 256)
    return bool(_PAGES[number] >> bit & 1)


def escape(character: str) -> str:
    """A character, or a byte that is no UTF-8 (PEP 383), as `\\xNN` for each of its bytes."""
    how = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", how))


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    return character if is_visible(character) else escape(character)
