"""The binding to inotify(7): the kernel's numbers, names of any length and bytes, and refusals."""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qps_service.following import inotify
from qps_service.following.inotify import Event, Inotify
from tests.promised import Promise, promises

NAMES = [b"a" * length for length in range(1, 40)] + [b"\xff\xfe", "ä".encode(), b"new\nline", b"n" * 255]


@pytest.fixture
def instance() -> Iterator[Inotify]:
    with Inotify() as made:
        yield made


def check_names(part: Any, instance: Inotify, tmp_path: Path) -> None:
    watch = instance.add(str(tmp_path), inotify.CREATE)
    assert list(part(instance)) == []
    for name in NAMES:
        os.close(os.open(os.path.join(os.fsencode(tmp_path), name), os.O_CREAT))
    names = [os.fsdecode(name) for name in NAMES]
    assert list(part(instance)) == [Event(watch, inotify.CREATE, 0, name) for name in names]
    assert list(part(instance)) == []


def padded(instance: Inotify) -> list[Event]:
    """The kernel fills names up with zeros."""
    return [event._replace(name=event.name + "\0") for event in instance.events()]


def first_only(instance: Inotify) -> list[Event]:
    return [*instance.events()][:1]


test_promise, test_twin = promises(Promise(check_names, Inotify.events, [padded, first_only]))


def test_the_numbers_are_the_kernels() -> None:
    header = Path("/usr/include/linux/inotify.h").read_text()
    defined = {name: int(value, 16) for name, value in re.findall(r"#define IN_(\w+)\s+(0x\w+)", header)}
    ours = {name: value for name, value in vars(inotify).items() if name in defined}
    assert len(ours) == 10
    assert ours == {name: defined[name] for name in ours}


def test_refusals_are_errors(instance: Inotify, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        instance.add(str(tmp_path / "nowhere"), inotify.CREATE)
    with pytest.raises(OSError, match=f"Errno {errno.EINVAL}"):
        instance.remove(7)
