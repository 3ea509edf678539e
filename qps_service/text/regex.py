"""Regular expressions that are compiled when they are first used.

A process uses few of those that its modules have: compiling all of them would be a tenth of its start.
"""

import re
from typing import Any, AnyStr, cast


class _Uncompiled:
    """Becomes a pattern, attribute by attribute, as it is asked for them."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self.pattern, self._flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self.pattern, self._flags), name)  # `re` keeps what it compiled
        setattr(self, name, found)  # the next time there is no detour
        return found


def regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, but that a mistake in the pattern is found later."""
    return cast("re.Pattern[AnyStr]", _Uncompiled(pattern, flags))
