"""Shows bytes that an attacker may have written, on one line and without effect on a terminal.

The mapping is injective: different bytes never look alike, so distinct routes stay distinct in
every output. Printable UTF-8 is shown as it is; a backslash, and everything that Unicode calls
unprintable (controls, escape sequences, bidirectional overrides, unusual blanks) as `\\xNN` for
each of its bytes.
"""


def show(raw: bytes) -> str:
    """`raw` as printable text without line breaks."""
    text = raw.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_show(character) for character in text)


def show_path(path: str) -> str:
    """A path as printable text, though it may be no UTF-8."""
    return show(path.encode("utf-8", "surrogateescape"))


def _show(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
