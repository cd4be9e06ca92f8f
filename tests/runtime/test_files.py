"""Atomic replacement of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream_app.runtime import files
from stream_app.runtime.files import replace_file


def test_the_content_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    """Neither a temporary file of this time nor one of a process that was killed."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.with_name("file.part").write_bytes(b"of a killed process, longer than the new content")
    replace_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    """Whatever the umask, and whatever mode the old file had."""
    path = tmp_path / "file"
    path.touch(mode=0o666)
    before = os.umask(0)
    try:
        replace_file(path, b"secret")
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    """Whoever may write to the folder must not direct the content elsewhere."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / "file.part").symlink_to(victim)
    replace_file(tmp_path / "file", b"new")

    assert victim.read_bytes() == b"untouched"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_content_then_name_reach_the_disk_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is synced before the rename, the folder after it."""
    path = tmp_path / "file"
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, path.exists()))

    monkeypatch.setattr(files.os, "fsync", fsync)
    replace_file(path, b"new")

    assert synced == [("file.part", False), (tmp_path.name, True)]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no temporary file, which would keep a full disk full."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")

    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
