"""The kinds of notice, and how often a repeating one is said."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from qps_service.notices import kinds
from qps_service.notices.kinds import KINDS, REPORT_MESSAGE_ID, Kind
from qps_service.notices.throttle import Throttle
from tests.promised import Promise, promises

MESSAGES = Path(__file__).parents[3] / "docs" / "reference" / "messages.md"


def check_ids(kinds: Sequence[Kind]) -> None:
    """128 bits each, no two alike, the report's included."""
    ids = [kind.message_id for kind in kinds] + [REPORT_MESSAGE_ID]
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in ids)
    assert len(set(ids)) == len(ids)


def test_the_list_of_kinds_is_complete_and_named_as_in_the_code() -> None:
    defined = {name: each for name, each in vars(kinds).items() if isinstance(each, Kind)}
    assert [(name.lower(), kind) for name, kind in defined.items()] == [(kind.name, kind) for kind in KINDS]


def check_explained(text: str) -> None:
    """Each kind stands in the text by its name and its id; the report by its id."""
    for kind in KINDS:
        assert f"`{kind.name}`" in text
        assert kind.message_id in text
    assert REPORT_MESSAGE_ID in text


def check_throttle(make: Callable[[int], Throttle]) -> None:
    """At once, then at most once an interval; what is refused does not postpone the next."""
    throttle = make(60)
    assert [now for now in range(-10, 200, 5) if throttle.allows(now)] == [-10, 50, 110, 170]


class Postpones(Throttle):  # something that repeats all the time is said once, and never again
    def allows(self, now: int) -> bool:
        allowed = super().allows(now)
        self._said_at = now
        return allowed


class StartsLate(Throttle):  # the first is not said
    def __init__(self, interval: int) -> None:
        super().__init__(interval)
        self._said_at = 0


COPIED = KINDS[0]._replace(name="copied")
MORE = {
    "copied": (*KINDS, COPIED),
    "short": (*KINDS, COPIED._replace(message_id="1" * 31)),
    "the report's": (*KINDS, COPIED._replace(message_id=REPORT_MESSAGE_ID)),
}
TEXT = MESSAGES.read_text()
LACKING = {part: TEXT.replace(part, "") for part in (KINDS[-1].message_id, f"`{KINDS[0].name}`")}

test_promise, test_twin = promises(
    Promise(check_ids, KINDS, MORE),
    Promise(check_explained, TEXT, LACKING),
    Promise(check_throttle, Throttle, [Postpones, StartsLate]),
)
