"""The journal as `journalctl -o json` prints it: entries, and a stream of them that can be waited on."""

import json
import os
import select
import subprocess
import time
from collections.abc import Callable

from tests.system.image import HANG, GuestError

Entry = dict[str, str]  # a journal entry's fields


class JournalStream:
    """`journalctl --follow`, read entry by entry; `entries` are those read so far."""

    def __init__(self, journalctl: subprocess.Popen[str]) -> None:
        self._journalctl = journalctl
        self._rest = b""
        self.entries: list[Entry] = []

    def until(self, wanted: Callable[[Entry], bool], timeout: float = HANG) -> Entry:
        """Block until an entry not read before is `wanted`, and return it. GuestError if none comes."""
        deadline = time.monotonic() + timeout
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                self.entries.append(parse_entry(line.decode()))
                if wanted(self.entries[-1]):
                    return self.entries[-1]
                continue
            self._rest += self._read(deadline)

    def _read(self, deadline: float) -> bytes:
        pipe = self._journalctl.stdout
        if pipe is None:
            raise GuestError("journalctl has no output")
        readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(pipe.fileno(), 1 << 16) if readable else b""
        if not data:
            seen = "\n".join(entry.get("MESSAGE", "") for entry in self.entries[-20:])
            raise GuestError(f"the awaited journal entry did not come; the last ones:\n{seen}")
        return data


def parse_entry(line: str) -> Entry:
    """An entry of `journalctl -o json`; values that JSON cannot hold as text come as lists of bytes."""
    return {name: _text(value) for name, value in json.loads(line).items()}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(byte, int) for byte in value):
        return bytes(value).decode(errors="surrogateescape")
    raise GuestError(f"expected one value of text, found {value!r}")
