"""Names in Ganglia: safe whatever a route holds, distinct for distinct metrics, the same in each process."""

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qps_service.configuration.parsers import parse_name
from qps_service.outputs.ganglia import names as names_module
from qps_service.outputs.ganglia.names import COUNT, MOST, name_of, safe_host, title_of
from tests.limits import Doubled
from tests.promised import Patches, Promise, promises
from tests.unit.fresh import loaded_by, name_a_metric_of_ganglia

NameOf = Callable[..., str]
Which = tuple[str, bytes | None, int]

SAFE = re.compile(r"qps_[A-Za-z0-9_.-]+")
# Few characters, so that what is drawn is alike: those that names treat in their own way, and hostile ones.
LOGS = st.from_regex(r"[ab]([ab_.-]|200|total){0,6}", fullmatch=True).map(parse_name)
ROUTES = st.one_of(
    st.lists(st.sampled_from([b"/", b"_", b"a", b"b", b".", b"-", b'"', b"200", b"root", b"other"])).map(
        b"".join
    ),
    st.lists(st.sampled_from([b"/a", b"/:a", b"/-a", b"/_", b"/a_b", b"/200", b"/total", b"//"])).map(
        b"".join
    ),
    st.binary(max_size=300),
)
SERIES = st.one_of(
    st.tuples(LOGS, ROUTES, st.sampled_from([0, 1, 20, 200, 404, 999])),
    st.tuples(LOGS, st.none(), st.just(0)),
)


def names(which: Which, name_of: NameOf) -> list[str]:
    """Those of its rate and of its counter."""
    name = name_of(*which)
    return [name, name + COUNT]


@pytest.mark.parametrize(
    ("log", "route", "status", "name"),
    [
        ("access", b"/", 200, "qps_access_root_200"),
        ("access", b"/help", 200, "qps_access_help_200"),
        ("access", b"/api/v1/users", 7, "qps_access_api_v1_users_007"),
        ("access", b"/api/user_profile", 404, "qps_access_api_user__profile_404"),
        ("access", b"/favicon.ico", 200, "qps_access_favicon.ico_200"),
        ("access", b"/users/:id/x", 200, "qps_access_users_-id_x_200"),
        ("access", b"/users/-id", 200, "qps_access_users_-id___"),
        ("access", b"/users/:_id", 200, "qps_access_users_id___"),
        ("access", b"/a:b", 200, "qps_access_a_b___"),
        ("access", b"/../etc", 200, "qps_access_.._etc_200"),
        ("access", b"other", 200, "qps_access_other_200"),
        ("access", None, 0, "qps_access_total"),
        ("my_log", b"/", 200, "qps_my__log_root_200"),
        ("access", b"/root", 200, "qps_access_root___b135f24723906961_200"),
        ("access", b"/other", 200, "qps_access_other___54aadde02afab9e1_200"),
        ("access", b"/a//b", 200, "qps_access_a_b___"),
        ("access", b"/a/", 200, "qps_access_a___"),
        ("access", b"", 200, "qps_access___"),
        ("access", b'/"<&>\0\xff', 200, "qps_access___"),
        ("a_", b"/help", 200, "qps_a_help___"),
        ("access", b"/" + b"x" * 500, 200, "qps_access_" + "x" * 100),
    ],
)
def test_names(log: str, route: bytes | None, status: int, name: str) -> None:
    """They are for good: RRD files are called so."""
    found = name_of(log, route, status)
    assert found.startswith(name)
    assert found == name or "___" in found


@given(which=SERIES)
@example(which=("a" * 64, b"/" + b"a" * 4096, 999))
@example(which=("a_" * 32, b"/" + b"a_" * 50, 999))
def check_safe(name_of: NameOf, which: Which) -> None:
    """It is for gmond's XML, and as the name of a file, and short enough for that: a longer route has the
    longest name."""
    for name in names(which, name_of):
        assert SAFE.fullmatch(name)
        assert len(name) <= MOST
    assert len(name_of("access", b"/" + b"x" * 4000, 200) + COUNT) == MOST


@given(one=SERIES, other=SERIES)
@example(one=("a", b"/b/c", 200), other=("a_b", b"/c", 200))
@example(one=("a", b"/b/c", 200), other=("a", b"/b_c", 200))
@example(one=("a", b"/b/c", 200), other=("a", b"/b_c_4", 200))
@example(one=("a", b"/b_/c", 200), other=("a", b"/b/_c", 200))
@example(one=("a", b"/", 200), other=("a", b"/root", 200))
@example(one=("a", b"other", 200), other=("a", b"/other", 200))
@example(one=("a", None, 0), other=("a_total", None, 0))
@example(one=("a", b"/x", 20), other=("a", b"/x", 200))
@example(one=("a", b"/" + b"x" * 4000, 200), other=("a", b"/" + b"x" * 3999 + b"y", 200))
@example(one=("a", b"/" + b"x" * 4000, 200), other=("a", b"/" + b"x" * 4000, 201))
def check_distinct(name_of: NameOf, one: Which, other: Which) -> None:
    """No two metrics have the same name."""
    if one != other:
        assert not set(names(one, name_of)) & set(names(other, name_of))


def test_all_short_routes_are_told_apart() -> None:
    found: dict[str, Which] = {}
    for length in range(6):
        for letters in itertools.product(b"/_a-:", repeat=length):
            for log in ("a", "a_a", "a-"):
                which = (log, bytes(letters), 200)
                assert found.setdefault(name_of(*which), which) == which


def without_hash(log: str, route: bytes | None = None, status: int = 0) -> str:
    """A broken twin: no sanitising but of letters, and alike routes share a name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", f"qps_{log}_{(route or b'').decode('latin1')[1:]}_{status:03d}")


def hash_like_text(log: str, route: bytes | None = None, status: int = 0) -> str:
    """A broken twin: another route's text may look like that with the hash."""
    is_plain = not route or re.fullmatch(rb"/[a-z0-9_]*", route)
    return without_hash(log, route if is_plain else b"%b_%d" % (route or b"", len(route or b"")), status)


@given(ROUTES, st.integers(0, 999))
def test_titles_are_safe_for_what_is_made_of_them(route: bytes, status: int) -> None:
    title = title_of(route, status)
    assert re.fullmatch(r"[A-Za-z0-9 _./~+=@,-]*", title)
    assert title.endswith(f" {status:03d}")
    assert len(title) <= 200


def test_titles_tell_the_route_and_a_host_is_safe() -> None:
    assert title_of(b"/api/user_profile", 404) == "/api/user_profile 404"
    assert title_of(b'/<script>alert("$(x)")', 200) == "/_script_alert____x___ 200"
    assert title_of(None, 0) == "all routes"
    assert safe_host('web-1.example:8"<&>') == "web-1.example:8____"


test_promise, test_twin = promises(
    Promise(
        check_safe,
        name_of,
        {
            "without hash": without_hash,
            "longer": Doubled(
                "outputs.ganglia.names:MOST", by=Patches((names_module, "_ROOM", 2 * MOST - len(COUNT)))
            ),
        },
    ),
    Promise(check_distinct, name_of, [without_hash, hash_like_text]),
)


def test_hashing_costs_no_openssl() -> None:
    loaded = loaded_by(name_a_metric_of_ganglia)
    assert "_blake2" in loaded
    assert "_hashlib" not in loaded
