"""The guest keeps its own promises: alone with itself, waiting for events, nothing left behind."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.guest import Guest
from tests.system.image import GuestError, Image

pytestmark = [pytest.mark.system, pytest.mark.parametrize("image", ["bookworm"], indirect=True)]


def leftovers(name: str) -> list[str]:
    """Mounts and cgroups of the guest `name` that the host has; no process survives its cgroup."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if name in line]
    # Those of other guests may go meanwhile, which os.walk takes as it comes.
    return mounts + [path for path, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path) == name]


def test_a_stopped_guest_leaves_nothing(image: Image) -> None:
    guest = Guest(image)
    with guest:
        directory = guest.directory
        guest.start("sleep", "infinity")
        assert leftovers(directory.name)
    assert not leftovers(directory.name)
    assert not directory.exists()


def empty_image(cache: Path) -> Image:
    """Quickly unpacked, never booted."""
    image = Image(cache, suite="empty", downloads=())
    subprocess.run(["tar", "-cf", image.tarball, "--files-from=/dev/null"], check=True)
    image.provide()
    return image


def test_a_guest_that_is_being_removed_is_left_to_its_owner(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = empty_image(tmp_path)
    directory, held = empty.unpack()
    remove = shutil.rmtree

    def meanwhile(path: Path) -> None:
        remove(path)
        if path != directory:
            empty.provide()  # as another process does, which removes what nobody holds

    with held:
        monkeypatch.setattr(shutil, "rmtree", meanwhile)
        empty.discard(directory)
    assert not directory.exists()


def test_a_guest_whose_owner_is_dead_is_removed(image: Image, tmp_path: Path) -> None:
    empty = empty_image(tmp_path)
    directory, held = empty.unpack()
    empty.provide()
    assert directory.exists()
    held.close()
    empty.provide()
    assert not directory.exists()


def test_a_guest_that_cannot_boot_says_why_and_leaves_nothing(image: Image, tmp_path: Path) -> None:
    guest = Guest(empty_image(tmp_path))
    with pytest.raises(GuestError, match=r"ended while booting(.|\n)*OS root"):
        guest.boot()
    assert not list((tmp_path / "guests").iterdir())
