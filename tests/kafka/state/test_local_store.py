"""The local copy of a partition's rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import OptionsError
from stream_app.kafka.state import local_store
from stream_app.kafka.state.local_store import LocalStore, StorePosition

POSITION = StorePosition("changelog-1", 42, 3, 1_000)


def test_rows_and_position_are_read_back(tmp_path: Path) -> None:
    """What was written last is there after a restart; the position is not among the rows."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1"), (b"y", b"1")], StorePosition("changelog-1", 2, 3, 1))
    store.write([(b"x", b"2"), (b"y", None)], POSITION)
    store.close()
    again = LocalStore(tmp_path / "0")

    assert (again.rows(), again.position()) == ({b"x": b"2"}, POSITION)


def test_a_new_copy_has_no_position(tmp_path: Path) -> None:
    """Nothing is known: the changelog is to be read from its beginning."""
    assert LocalStore(tmp_path / "0").position() is None


def test_a_wiped_copy_is_empty(tmp_path: Path) -> None:
    """Neither rows nor position outlive a wipe."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], POSITION)
    store.wipe()

    assert (store.rows(), store.position()) == ({}, None)


def test_an_old_copy_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that missed deletions the changelog has forgotten would bring the dead back."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], POSITION)
    now = local_store.time.time()
    monkeypatch.setattr(local_store.time, "time", lambda: now + local_store.OLDEST_SECONDS)

    assert store.position() is None


def test_two_workers_cannot_share_a_folder(tmp_path: Path) -> None:
    """The second one is told what to change."""
    first = LocalStore(tmp_path / "0")
    with pytest.raises(OptionsError, match="give each worker a folder of its own"):
        LocalStore(tmp_path / "0")
    first.close()


def test_a_corrupt_copy_is_thrown_away(tmp_path: Path) -> None:
    """A damaged file costs a restore, not the worker."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], POSITION)
    store.close()
    for file in (tmp_path / "0").glob("MANIFEST*"):
        file.write_bytes(b"torn")
    again = LocalStore(tmp_path / "0")

    assert (again.rows(), again.position()) == ({}, None)
