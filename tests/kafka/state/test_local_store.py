"""The local copy of a partition's rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import OptionsError
from stream_app.kafka.state import local_store
from stream_app.kafka.state.local_store import LocalStore, Mark

MARK = Mark("changelog-1", 42, 3, 1_000)


def test_rows_and_mark_come_back(tmp_path: Path) -> None:
    """What was written last is there after a restart; the mark is not among the rows."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1"), (b"y", b"1")], Mark("changelog-1", 2, 3, 1))
    store.write([(b"x", b"2"), (b"y", None)], MARK)
    store.close()
    again = LocalStore(tmp_path / "0")

    assert (again.rows(), again.mark()) == ({b"x": b"2"}, MARK)


def test_a_new_copy_has_no_mark(tmp_path: Path) -> None:
    """Nothing is known: the changelog is to be read from its beginning."""
    assert LocalStore(tmp_path / "0").mark() is None


def test_a_wiped_copy_is_empty(tmp_path: Path) -> None:
    """Neither rows nor mark outlive a wipe."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], MARK)
    store.wipe()

    assert (store.rows(), store.mark()) == ({}, None)


def test_an_old_copy_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that missed deletions the changelog has forgotten would bring the dead back."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], MARK)
    now = local_store.time.time()
    monkeypatch.setattr(local_store.time, "time", lambda: now + local_store.OLDEST_SECONDS)

    assert store.mark() is None


def test_two_workers_cannot_share_a_folder(tmp_path: Path) -> None:
    """The second one is told what to change."""
    first = LocalStore(tmp_path / "0")
    with pytest.raises(OptionsError, match="give each worker a folder of its own"):
        LocalStore(tmp_path / "0")
    first.close()


def test_a_corrupt_copy_is_thrown_away(tmp_path: Path) -> None:
    """A damaged file costs a restore, not the worker."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], MARK)
    store.close()
    for file in (tmp_path / "0").glob("MANIFEST*"):
        file.write_bytes(b"torn")
    again = LocalStore(tmp_path / "0")

    assert (again.rows(), again.mark()) == ({}, None)
