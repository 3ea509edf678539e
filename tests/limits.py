"""The bounds of docs/reference/limits.md: where the figure of each stands in the code, and which tests reach it.

A row is added in three places: on the page, in LIMITS here, and as a twin `Doubled(...)` of the same name beside
the check that reaches the bound. tests/project/test_limits.py holds them together.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from qps_service.configuration import loader, settings
from qps_service.configuration.settings import Setting
from qps_service.text.units import SECOND
from tests.promised import Patches


class Doubled(Patches):
    """A bound that lets in twice as much."""

    def __init__(self, at: str, *, to: Any = None, by: Patches | None = None) -> None:
        """`at` as in Limit. `to` is the double of what is no number, or lets in more where it is less. `by`
        is what doubles it where something was made of the constant when its module was loaded."""
        self.at = at
        if by:
            super().__init__(*by.patches)
        elif ":" in at:
            module, name, value = constant(at)
            super().__init__((module, name, 2 * value if to is None else to))
        else:
            super().__init__(*_doubled_default(at))

    def __str__(self) -> str:
        return f"{self.at.rpartition(':')[2].strip('_')} doubled"


class Limit(NamedTuple):
    """One row of the page."""

    at: str  # MODULE:CONSTANT below qps_service, as whoever heeds it has it; or the key of a setting
    reached_by: str  # the module below tests/unit with its doubled twin
    figure: Callable[[Any], float] = lambda value: value  # what the page has: a number, bytes or nanoseconds

    @property
    def setting(self) -> str | None:
        """The key, where it can be set."""
        return None if ":" in self.at else self.at

    @property
    def value(self) -> float:
        """What it is now, where nothing is configured."""
        return self.figure(constant(self.at)[2] if ":" in self.at else default_of(self.at))


def default_of(key: str) -> Any:
    """What a setting is where nobody sets it; numbers, bytes or nanoseconds."""
    setting = _settings()[key]
    return setting.parse(setting.default or "")


def constant(at: str) -> tuple[Any, str, Any]:
    """The module, its name there, and its value."""
    module, _, name = at.partition(":")
    owner = import_module(f"qps_service.{module}")
    return owner, name, getattr(owner, name)


def _settings() -> Mapping[str, Setting]:
    """By the names that docs/reference/settings.md has for them."""
    tables = {"": (*settings.SERVICE, *settings.LOG), "history.": settings.HISTORY}
    tables |= {f"{name}.": kind.settings for name, kind in loader.OUTPUTS.items()}
    return {f"{above}{each.key}": each for above, table in tables.items() for each in table}


def _doubled_default(key: str) -> list[tuple[object, str, Any]]:
    """What is to be patched for the loader to find another default."""
    old, value = _settings()[key], default_of(key)
    text = old.parse.range or "" if isinstance(old.parse, settings.Within) else ""
    is_time = text.endswith(("s", "m", "h", "d"))
    new = old._replace(default=f"{2 * value / SECOND}s" if is_time else str(2 * value))

    def renewed(table: tuple[Setting, ...]) -> tuple[Setting, ...]:
        return tuple(new if each is old else each for each in table)

    outputs = {name: kind._replace(settings=renewed(kind.settings)) for name, kind in loader.OUTPUTS.items()}
    tables = [(loader, name, renewed(getattr(loader, name))) for name in ("SERVICE", "LOG", "HISTORY")]
    return [*tables, (loader, "OUTPUTS", outputs)]
