from array import array
from collections.abc import Callable
from typing import Any

REASONS: tuple[str, ...]
LEVELS: list[str]
KEYS_LIMIT: int
KEY_BYTES_LIMIT: int
TIMES_LIMIT: int
SEED_BYTES: int

def add_durations(kept: bytes, sums: array[int] | None, /) -> tuple[int, int]: ...

class Rows:
    """A sequence of what was counted."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> tuple[bytes, bytes, int, int, int]: ...

class Scanner:
    probes: int
    def __init__(
        self,
        programs: tuple[
            tuple[
                bytes,
                tuple[tuple[int, bool, bytes], ...],
                tuple[tuple[int, bytes], ...],
                bool,
                bool,
                bool,
            ],
            ...,
        ],
        max_line: int,
        spill: Callable[[tuple[Any, ...]], None],
        keep_query: bool,
        span: int,
        keep_host: bool,
        seed: bytes,
        level: str | None = None,
    ) -> None: ...
    def scan(self, block: bytes | memoryview) -> tuple[int, int]: ...
    def reject_oversize(self, start: bytes) -> None: ...
    def take(self) -> tuple[Any, ...]: ...
