"""The pages of docs/reference say what the program says now: docs/make_reference.py would change nothing."""

from pathlib import Path
from types import ModuleType

import pytest

from tests.project.pages import script
from tests.project.test_docs import ROOT

PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    return script(ROOT / "docs" / "make_reference.py")


def parts_that_are_old(maker: ModuleType, text: str) -> bool:
    return bool(maker.current(text) != text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_reference_is_current(maker: ModuleType, page: Path) -> None:
    """Where it is not: .venv/bin/python docs/make_reference.py."""
    assert not parts_that_are_old(maker, page.read_text())


def test_each_part_stands_on_a_page(maker: ModuleType) -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert [name for name in maker.PARTS if f"<!-- {name} -->" not in text] == []


@pytest.mark.twin
@pytest.mark.parametrize(
    ("page", "right", "wrong"),
    [
        ("settings", "Default: `10s`.", "Default: `15s`."),
        ("commands", "needs --state.", "needs nothing."),
        ("messages", "What to do: nothing.", "What to do: something."),
        ("metrics", "| Lines that were no requests, by reason. |", "| Lines. |"),
        ("metrics", "qps.access.rate:3.2|g", "qps.access.rate:3.2|c"),
        ("formats", '"$http_user_agent"', "$http_user_agent"),
        ("report", "- `sequence`: The report's number", "- `sequence`: The number"),
    ],
)
def test_a_page_that_is_not_current_is_noticed(maker: ModuleType, page: str, right: str, wrong: str) -> None:
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text()
    assert right in text
    assert parts_that_are_old(maker, text.replace(right, wrong))


@pytest.mark.twin
def test_a_mark_of_no_part_is_noticed(maker: ModuleType) -> None:
    with pytest.raises(KeyError):
        maker.current("<!-- of_nothing -->\n<!-- /of_nothing -->\n")
