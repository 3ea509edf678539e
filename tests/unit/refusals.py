"""Formats for tests: how a wrong one is refused."""

import pytest

from qps_service.errors import FormatError
from qps_service.formats.presets import compile_format


def refusal(text: str) -> tuple[str, str]:
    """What stands before the place at which it is refused, and why."""
    with pytest.raises(FormatError) as caught:
        compile_format(text)
    return text[: caught.value.position], caught.value.reason
