"""What check, explain and summarize say of virtual hosts that are dropped, and kept."""

import json
from collections import Counter
from pathlib import Path

import pytest

from qps_service.cli import main
from qps_service.commands import check, hosts
from qps_service.counting.routes import Routes
from qps_service.formats import combined
from tests.promised import Patches, answers, promises

Captured = pytest.CaptureFixture[str]

LINE = '%s 192.0.2.1 - - [24/Nov/2026:14:50:08 +0000] "GET /cart HTTP/1.1" 200 5\n'
SHOPS = "".join(LINE % f"shop{number % 5}.example:443" for number in (1, 1, 2, 1, 2, 3, 4, 0, 0, 0, 0))
W3C = "#Fields: cs-host cs-uri-stem sc-status\na.example / 200\nb.example / 200\n"
DEFAULT = "192.0.2.1\tGET /cart\t200\t5\n"
KEEP = 'host = "keep" makes them a part of routes'
# The log, and what is said where its hosts are dropped, and kept.
SAID: list[tuple[str, str | None, str]] = [
    (SHOPS, f"dropped: 5, such as shop0.example, shop1.example, shop2.example; {KEEP}", "5, such as"),
    (LINE % "a.example:80" + LINE % "b.example:80", f"dropped: a.example, b.example; {KEEP}", "a.example, b"),
    (LINE % "a.example" * 3 + LINE % "A.example:80", None, "a.example"),
    (LINE % "-", None, "none is told: routes begin with -/"),
    (W3C, f"dropped: a.example, b.example; {KEEP}", "a.example, b.example"),
    (DEFAULT, None, "none is told: routes begin with -/"),
    ('{"host":"\\u001b[2J.a","uri":"/","status":200}\n', None, "none is told: routes begin with -/"),
    ('{"host":"\\u0080.a","uri":"/","status":200}\n{"host":"b","uri":"/","status":200}\n',
     rf"dropped: \xc2\x80.a, b; {KEEP}", r"\xc2\x80.a, b"),
]  # fmt: skip


def check_said(tmp_path: Path, capsys: Captured) -> None:
    """By check of a log's last lines, and by explain of those that it is given."""
    log, toml = tmp_path / "a.log", tmp_path / "some.toml"
    for text, dropped, kept in SAID:
        log.write_text(text)
        for word in ("drop", "keep"):
            toml.write_text(f"[log.a]\npath = '{log}'\nhost = '{word}'\n")
            main(["check", "--config", str(toml)])
            said = dict(line.strip().split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
            main(["explain", *text.splitlines(), "--host", word])
            last = capsys.readouterr().out.splitlines()[-1]
            if word == "keep":
                assert said["hosts"].startswith(kept)
                assert last.startswith(f"hosts {kept}")
            else:
                assert said.get("hosts") == dropped
                assert last.startswith("hosts ") == (dropped is not None)
                assert dropped is None or last == f"hosts {dropped}"


# Four of them fit no route with a host.
RULES = ("^/a", r"\A/a", "^(/a|/b)", "(?i)^/a", "/b", "^[^/]*/a", "(^/a|b)", "^/?")


def check_a_rule_that_fits_no_route(tmp_path: Path, capsys: Captured) -> None:
    toml = tmp_path / "some.toml"
    for word, number in (("drop", 0), ("keep", 4)):
        rules = "".join(f"[[log.a.route]]\nmatch = '{match}'\nname = 'x'\n" for match in RULES)
        toml.write_text(f"[log.a]\npath = '{tmp_path}/a.log'\nhost = '{word}'\n{rules}")
        main(["check", "--config", str(toml)])
        assert capsys.readouterr().out.count("a route begins with its host and not with a slash") == number


def check_kept(tmp_path: Path, capsys: Captured) -> None:
    """The same routes by both, which can be chosen by their host."""
    (tmp_path / "a.log").write_text(SHOPS)
    assert main(["summarize", str(tmp_path / "a.log"), "--host", "keep", "--output", "csv"]) == 0
    rows = [line.split(",")[1:4:2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows[:3] == [["shop0.example/cart", "4"], ["shop1.example/cart", "3"], ["shop2.example/cart", "2"]]
    words = ("--host", "keep", "--route", "shop[01].*", "--output", "csv")
    assert main(["summarize", str(tmp_path / "a.log"), *words]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["explain", SHOPS.partition("\n")[0], "--host", "keep", "--output", "json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert found["route"] == "shop1.example/cart"
    assert found["fields"][0] == {"name": "host", "role": "host", "value": "shop1.example:443"}


NONE = answers(combined, "_host_before")
test_promise, test_twin = promises(
    {
        check_said: {
            "none is found": Patches((hosts, "_hosts_in", lambda *_: Counter())),
            "one is several": Patches((hosts, "Routes", lambda **_: _AsTheyStand())),
            "all of them": Patches((hosts, "SHOWN", 100)),
        },
        check_a_rule_that_fits_no_route: {
            "by its looks": Patches((check, "wants_slash_first", lambda rule: rule.pattern.startswith(b"^/")))
        },
        check_kept: {"none is found": NONE},
    }
)


class _AsTheyStand(Routes):
    def of(self, target: bytes) -> bytes:
        return target.replace(b" ", b"", 1)
