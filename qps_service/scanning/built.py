"""The compiled module: whether it is wanted, and there."""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

PURE_VARIABLE = "QPS_REPORTER_PURE"


def load() -> ModuleType:
    """The compiled module. Raises ImportError."""
    return import_module("qps_service.scanning._scan")


def is_native(environment: Mapping[str, str]) -> bool:
    """Whether the native scanner is wanted, and there."""
    return why_pure(environment) is None


def why_pure(environment: Mapping[str, str]) -> str | None:
    """Why the pure scanner is used, for people; None if it isn't."""
    if environment.get(PURE_VARIABLE, "0") not in ("", "0"):
        return f"{PURE_VARIABLE} is set"
    try:
        load()
    except ModuleNotFoundError:  # there was no compiler
        return "the native one was not built"
    except ImportError as error:
        return f"the native one can't be loaded: {error}"
    return None


def describe(environment: Mapping[str, str]) -> str:
    """Which scanner is used, for people."""
    reason = why_pure(environment)
    return f"native scanner, {load().LEVELS[0]}" if reason is None else f"pure scanner, {reason}"
