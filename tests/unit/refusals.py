"""Formats for tests: how a wrong one is refused."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from qps_service.errors import FormatError
from qps_service.formats.presets import compile_format


def refused(texts: Mapping[str, Sequence[str]]) -> Callable[..., None]:
    """A test that for each reason these texts are refused, at the place that ▸ marks."""

    @pytest.mark.parametrize(
        ("reason", "marked"), [(reason, each) for reason in texts for each in texts[reason]]
    )
    def test(reason: str, marked: str) -> None:
        with pytest.raises(FormatError) as caught:
            compile_format(marked.replace("▸", ""))
        assert (caught.value.reason, caught.value.position) == (reason, marked.index("▸"))

    return test
