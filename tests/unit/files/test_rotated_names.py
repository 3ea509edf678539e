"""Names that rotations make, and others beside them."""

import pytest

from qps_service.files.rotated_names import is_sibling, plain_name

ROTATED = (
    *("access.log.1", "access.log.12", "access.log-20261123", "access.log.1726000000", "access.log_1"),
    *("access.log.1726000000.2", "access.log.2026-11-23T10:00:00Z", "access.log.old", "access-20261123.log"),
    *("access.1.log", "access.log.1.gz", "access.log-20261123.xz", "access-20261123.log.zst"),
)
OTHERS = (
    *("access.log", "access.log.gz", "access.log.1.zip", "access.log.1.Z", "access.log.lock", "access.log2"),
    *("access.log-errors", "access2.log", "access-api.log", "access-api.log.1", "other.log.1"),
    *("xaccess.log.1", "access.log.1~", ".access.log.1.swp"),
)


@pytest.mark.parametrize(
    ("log", "name", "is_of_it"),
    [
        *(("access.log", name, True) for name in ROTATED),
        *(("access.log", name, False) for name in OTHERS),
        ("access", "access.1", True),
        ("access", "access1", False),
        ("a+b.log", "a+b.log.1", True),
        ("a.b", "axb.1", False),
    ],
)
def test_what_rotations_make_of_a_name(log: str, name: str, is_of_it: bool) -> None:
    assert is_sibling(log, name) is is_of_it


def test_what_a_compressed_file_was_called() -> None:
    assert plain_name("/a/access.log.1.gz") == "/a/access.log.1"
    assert plain_name("/a/access.log.1") == "/a/access.log.1"
