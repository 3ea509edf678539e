"""Promises of what a fixture makes: the twins take the place of a part of it."""

import re
from functools import partial
from typing import Any

import pytest

from tests.unit.promised import Promise, promises

__all__ = ["MadePromise", "promises"]


class MadePromise(Promise):
    """What `check` asserts of all that the fixture `by` makes: it gets that function, which makes nothing but
    broken ones for a twin. A twin is caught by an error with `says` in its text."""

    def __init__(
        self,
        check: Any,
        *twins: Any,
        by: str = "make_site",
        caught: tuple[type[Exception], ...] = (),
        says: str = "",
        label: str = "",
        **given: Any,
    ) -> None:
        super().__init__(check, None, twins, caught, label, **given)
        self._by, self._says = by, says

    def hold(self, request: pytest.FixtureRequest) -> None:
        self._run(request.getfixturevalue(self._by), request)

    def catch(self, twin: Any, request: pytest.FixtureRequest) -> None:
        super().catch(partial(request.getfixturevalue(self._by), twin), request)

    def _is_caught(self, error: BaseException) -> bool:
        return super()._is_caught(error) and bool(re.search(self._says, str(error)))
