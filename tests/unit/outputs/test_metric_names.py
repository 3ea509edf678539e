"""Names: nothing hostile gets through, nothing merges, nothing depends on what came before."""

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.outputs.metric_names import Alphabet, path_of_key
from qps_service.values.counts import Key
from tests.limits import Doubled
from tests.promised import Promise, promises

SEGMENT = Alphabet("A-Za-z0-9_-", 60, flat=True)
PATH = Alphabet("A-Za-z0-9_./-", 60, flat=False)
SHORT = Alphabet("A-Za-z0-9_-", 12, flat=True)

Spell = Callable[[bytes], str]


@pytest.mark.parametrize(
    ("text", "segment", "path"),
    [
        (b"GET", "GET", "GET"),
        (b"other", "other", "other"),
        (b"/", "_", "/"),
        (b"/help", "_help", "/help"),
        (b"/a/b-c/d", "_a_b-c_d", "/a/b-c/d"),
        (b"/my_page", "_my__page", "/my_page"),
        (b"/user/:id/posts", "_user_-id_posts", "/user/-id/posts"),
        (b"/index.html", "_index_html-ea224b42", "/index.html"),
        (b"/caf\xc3\xa9", "_caf__-19b7a3e8", "/caf__-19b7a3e8"),
        (b"/a:1|c\nb:2|g", "_a_1_c_b_2_g-2d5c33a8", "/a_1_c_b_2_g-2d5c33a8"),
        (b"", "_-00000000", "_-00000000"),
        (b"//", "__-f81417cb", "//"),
        (b"/-id", "_-id-1760c068", "/-id-1760c068"),
        (b"/x-12345678", "_x-12345678-17016fa3", "/x-12345678-17016fa3"),
    ],
)
def test_the_rule(text: bytes, segment: str, path: str) -> None:
    assert (SEGMENT.spell(text), PATH.spell(text)) == (segment, path)


@given(one=st.binary(max_size=40), other=st.binary(max_size=40))
@example(one=b"/" + b"a" * 4096, other=b"/" + b"a" * 4096 + b"1")
@example(one=b"/a.b", other=b"/a_b")
def check_allowed(spell: Spell, one: bytes, other: bytes) -> None:
    """Only what is allowed, cut to its length; and no two share a name."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,12}", spell(one)), spell(one)
    assert one == other or spell(one) != spell(other)


def check_apart(spell: Spell) -> None:
    """All short texts of the letters that matter have names of their own, and none can take another's."""
    texts = [bytes(each) for size in range(6) for each in itertools.product(b"/_:-.a", repeat=size)]
    # What has a hash is imitated by a text that is written so.
    names = [spell(text) for text in texts]
    imitations = {name.replace("_", slash).encode() for name in names for slash in "/_"}
    everything = {*texts, *imitations}
    assert len({spell(text) for text in everything}) == len(everything)


def only_cleaned(text: bytes) -> str:
    return re.sub(rb"[^A-Za-z0-9_-]", b"_", text).decode() or "_"


class InOrder:  # whoever comes first has the plain name
    def __init__(self) -> None:
        self._owners: dict[str, bytes] = {}

    def spell(self, text: bytes) -> str:
        name = only_cleaned(text)
        return name if self._owners.setdefault(name, text) == text else SEGMENT.spell(text)


def check_lasting(make: Callable[[], Spell]) -> None:
    """The same names after a restart, whoever comes first then."""
    texts = [b"/a.b", b"/a/b", b"/a_b", b"/a:b"]
    assert [make()(text) for text in texts] == [*map(make(), texts[::-1])][::-1]


def check_names_of_routes_fit_into_files() -> None:
    """Graphite's names of files have 255 bytes, with `.wsp`."""
    *_, route, _status = path_of_key("qps", Key(b"GET", b"/" + b"a" * 4096, 200)).split(".")
    assert len(route) == 150


TWICE_AS_LONG = Doubled("outputs.metric_names:_ROUTE", to=Alphabet("A-Za-z0-9_-", 300, flat=True))
test_promise, test_twin = promises(
    *(
        Promise(check_apart, alphabet.spell, [], label=str(number))
        for number, alphabet in enumerate(
            (PATH, Alphabet("A-Za-z0-9_.-", 60, flat=True), Alphabet("A-Za-z0-9_-", 60, flat=False))
        )
    ),
    Promise(check_apart, SEGMENT.spell, [only_cleaned], label="segment"),
    Promise(check_allowed, SHORT.spell, [only_cleaned]),
    Promise(check_lasting, lambda: SEGMENT.spell, {"in order": lambda: InOrder().spell}),
    Promise(check_names_of_routes_fit_into_files, None, [TWICE_AS_LONG]),
)
