"""The local copy of a partition's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from rocksdict import WriteBatch

from stream_app.errors import OptionsError
from stream_app.kafka.state import local_store
from stream_app.kafka.state.local_store import POSITION_KEY, DamagedCopyError, Held, LocalStore, StorePosition

POSITION = StorePosition("changelog-1", 42, 3, 1_000)


def test_rows_and_position_are_read_back(tmp_path: Path) -> None:
    """What was written last is there after a restart; the position is not among the rows."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1"), (b"y", b"1")], StorePosition("changelog-1", 2, 3, 1))
    store.write([(b"x", b"2"), (b"y", None)], POSITION)
    store.close()
    again = LocalStore(tmp_path / "0")

    assert again.held() == Held(POSITION, {b"x": b"2"})


def test_a_new_copy_has_no_position(tmp_path: Path) -> None:
    """Nothing is known: the changelog is to be read from its beginning."""
    assert LocalStore(tmp_path / "0").held() is None


def test_a_wiped_copy_is_empty(tmp_path: Path) -> None:
    """Neither rows nor position outlive a wipe."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], POSITION)
    store.wipe()

    assert (store.rows(), store.held()) == ({}, None)


def test_an_old_copy_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that missed deletions the changelog has forgotten would bring the dead back."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], POSITION)
    now = local_store.time.time()
    monkeypatch.setattr(local_store.time, "time", lambda: now + local_store.OLDEST_SECONDS)

    assert store.held() is None


def test_two_workers_cannot_share_a_folder(tmp_path: Path) -> None:
    """The second one is told what to change."""
    first = LocalStore(tmp_path / "0")
    with pytest.raises(OptionsError, match="give each worker a folder of its own"):
        LocalStore(tmp_path / "0")
    first.close()


def test_a_corrupt_copy_is_thrown_away(tmp_path: Path) -> None:
    """A damaged file costs a restore, not the worker; and it is told."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], POSITION)
    store.close()
    for file in (tmp_path / "0").glob("MANIFEST*"):
        file.write_bytes(b"torn")
    again = LocalStore(tmp_path / "0")

    with pytest.raises(DamagedCopyError, match="Corruption"):
        again.held()
    again.wipe()
    assert again.held() is None


def raising(*errors: str) -> Any:
    """In the place of RocksDB: the errors of one attempt to open it after the other, then the real one."""
    left, opened = list(errors), local_store.Rdict

    def open_(*arguments: Any) -> Any:
        if left:
            raise Exception(left.pop(0))
        return opened(*arguments)

    return open_


def test_a_damaged_block_is_not_taken_for_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RocksDB has no codes of errors, only words."""
    LocalStore(tmp_path / "0").close()
    monkeypatch.setattr(local_store, "Rdict", raising("Corruption: block checksum mismatch: stored = 1"))

    with pytest.raises(DamagedCopyError, match="block checksum"):
        LocalStore(tmp_path / "0").held()


@pytest.mark.parametrize(
    "error",
    [
        "IO error: While lock file: /x/LOCK: Resource temporarily unavailable",
        "IO error: lock hold by current process, acquire time 1 acquiring thread 2: /x/LOCK: No locks available",
    ],
)
def test_a_copy_whose_lock_is_taken_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    """It belongs to somebody who is writing to it."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], POSITION)
    store.close()
    monkeypatch.setattr(local_store, "Rdict", raising(error))
    with pytest.raises(OptionsError, match="open already"):
        LocalStore(tmp_path / "0")

    assert LocalStore(tmp_path / "0").held() == Held(POSITION, {b"x": b"1"})


def test_a_copy_that_cannot_be_made_anew_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with what RocksDB says."""
    full = "IO error: No space left on device: While appending to file"
    monkeypatch.setattr(local_store, "Rdict", raising(full, full))

    with pytest.raises(OptionsError, match="cannot be opened: IO error: No space left on device"):
        LocalStore(tmp_path / "0")


@pytest.mark.parametrize(
    "digests",
    [{}, {"rows": 1, "digests": f"{local_store.digest((b'x', b'1')):016x}"}],
    ids=["no digests", "no digest of the position"],
)
def test_a_copy_of_a_version_without_digests_is_read_again(tmp_path: Path, digests: dict[str, object]) -> None:
    """Nothing tells whether it is whole, or at which position it is."""
    store = LocalStore(tmp_path / "0")
    old = WriteBatch(raw_mode=True)
    old.put(b"x", b"1")
    old.put(POSITION_KEY, orjson.dumps({**POSITION.__dict__, "written": local_store.time.time(), **digests}))
    store._db.write(old)

    assert store.held() is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda db: db.delete(b"x"),
        lambda db: db.put(b"x", b"2"),
        lambda db: db.put(b"z", b"1"),
        lambda db: db.delete(POSITION_KEY),
        lambda db: [db.delete(key) for key in (b"x", b"w", POSITION_KEY)],
        lambda db: db.put(POSITION_KEY, db.get(POSITION_KEY).replace(b":42,", b":46,")),
        lambda db: db.put(POSITION_KEY, db.get(POSITION_KEY).replace(b'"epoch":3', b'"epoch":7')),
        lambda db: db.put(POSITION_KEY, b"{"),
        lambda db: db.put(POSITION_KEY, b"[]"),
    ],
    ids=[
        "a row is gone",
        "another value",
        "a further row",
        "no position",
        "nothing at all",
        "another offset",
        "another epoch",
        "a torn position",
        "no object",
    ],
)
def test_a_copy_that_is_not_what_was_written_is_told(tmp_path: Path, spoil: Any) -> None:
    """However it came about: when it is opened, and when its rows are read again."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1"), (b"y", b"1"), (b"y", None), (b"w", b"7")], POSITION)
    spoil(store._db)

    with pytest.raises(DamagedCopyError):
        store.held()


def test_rows_that_changed_on_disk_are_not_read(tmp_path: Path) -> None:
    """A detector that starts anew from its rows must not start from others."""
    store = LocalStore(tmp_path / "0")
    store.write([(b"x", b"1")], POSITION)
    store._db.delete(b"x")

    with pytest.raises(DamagedCopyError, match="0 rows, 1 were written"):
        store.rows()


def test_a_copy_that_a_full_disk_leaves_unfinished_is_closed_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing writes what is left. Its failure must not hide why a worker ends, nor keep others from being closed."""

    class Full:
        def close(self) -> None:
            raise Exception("IO error: Writer has previous error.")  # as rocksdict raises it

    store = LocalStore(tmp_path / "copy")
    store._db.close()
    store._db = Full()
    store.close()

    assert "Writer has previous error" in caplog.text
