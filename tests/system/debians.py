"""The Debians that tests run on, and which tests run on one of them alone.

Where the Debian makes no difference, one is enough for the checks; `scripts/campaign.sh debians` runs all on
each.
"""

import os

import pytest

SUITES = ("bookworm", "trixie")
ON_EACH = bool(os.environ.get("QPS_REPORTER_ON_EACH_DEBIAN"))
on_one = pytest.mark.parametrize("image", SUITES if ON_EACH else SUITES[:1], indirect=True)
