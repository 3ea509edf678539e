"""Which requests are wanted, by what they are counted under; as people type it behind `--route` and the like.

A route fits a glob as it is shown (text/escape.py), as a whole: `*` stands for any characters, `/` included,
`?` for one, `[ab]` for one of these. A status is three digits, or the first of them: `5xx`. Of several values
of one kind one has to fit; of each kind that is given, one.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import cache
from typing import NamedTuple

from qps_service.text.escape import show
from qps_service.text.regex import regex
from qps_service.values.counts import Counted
from qps_service.values.latency import LatencyKey

_STATUS = regex("[0-9](?:[0-9]{2}|xx)", re.ASCII | re.IGNORECASE)


class Selection(NamedTuple):
    """What is given; nothing of a kind stands for all."""

    logs: Sequence[str] = ()  # globs
    routes: Sequence[str] = ()  # globs
    methods: Sequence[str] = ()
    statuses: Sequence[str] = ()  # as parse_status has them

    def takes(self, key: Counted) -> bool:
        """Whether what is counted under it is wanted."""
        return (
            (not self.statuses or any(f"{key.status:03d}".startswith(each) for each in self.statuses))
            and (not self.methods or show(key.method) in self.methods)
            and _fits(key.route, self.routes)
        )

    def takes_log(self, name: str) -> bool:
        """Whether the log of this name is wanted."""
        return _fits(name.encode("utf-8", "surrogateescape"), self.logs)

    @property
    def takes_latency(self) -> Callable[[LatencyKey], bool] | None:
        """Whether durations of a route and class are wanted; None where these do not tell."""
        if self.methods or any(len(each) > 1 for each in self.statuses):
            return None
        return lambda key: (
            (not self.statuses or str(key.status_class) in self.statuses) and _fits(key.route, self.routes)
        )

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out of a log."""
        return not (self.routes or self.methods or self.statuses)


def parse_status(text: str) -> str:
    """What a status has to begin with, of `404` or `5xx`. Raises ValueError."""
    if not _STATUS.fullmatch(text):
        raise ValueError("expected a status such as 404, or 5xx for all that begin so")
    return text.rstrip("xX")


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _fits(name: bytes, globs: Sequence[str]) -> bool:
    # translate() makes atomic groups of all but the last `*`: no name takes more than linear time for each.
    return not globs or any(_pattern(glob).match(show(name)) for glob in globs)
