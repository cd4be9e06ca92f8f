"""Files of SQLite that cannot be read as they should be: told in a line, and never read in part."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stream_app.cli.stores import stores_of
from stream_app.errors import OptionsError, StreamAppError
from stream_app.options import load
from stream_app.sources import mlmd, sqlite_files
from tests.sources.history import history
from tests.sources.mlmd_store import StoreWriter, write_history

PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store, as the bytes of its file."""
    path = tmp_path_factory.mktemp("whole") / "store.sqlite"
    with StoreWriter(path) as writer:
        write_history(writer, history())
    return path.read_bytes()


def flip(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice([1, 1, 4, 20])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def flip_header(chance: random.Random, data: bytearray) -> None:
    data[chance.randrange(100)] ^= 1 << chance.randrange(8)


def clear(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    end = min(start + chance.choice([16, 512, PAGE]), len(data))
    data[start:end] = bytes(end - start)


def scramble(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data) // PAGE) * PAGE
    data[start : start + PAGE] = chance.randbytes(PAGE)


def cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(1, len(data)) :]


def swap(chance: random.Random, data: bytearray) -> None:
    one, other = (chance.randrange(1, len(data) // PAGE) * PAGE for _ in range(2))
    data[one : one + PAGE], data[other : other + PAGE] = data[other : other + PAGE], data[one : one + PAGE]


DAMAGES = [flip, flip, flip_header, clear, scramble, cut, swap]


def rows(path: Path) -> dict[str, int]:
    """How many rows each table has, counted in the table itself."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: sum(1 for _ in connection.execute(f'SELECT rowid FROM "{name}" NOT INDEXED'))
            for name in names
            if name != "sqlite_sequence"
        }


def read(path: Path) -> list[bytes] | None:
    """The messages of a store, as `replay` reads them; None where it is taken for a file of events."""
    found = stores_of(load())(str(path))
    return None if found is None else list(found)


def outcome(whole: bytes, seed: int, path: Path) -> str:
    """What becomes of a store that was damaged: told, right, other values (as many rows), or text."""
    chance = random.Random(seed)
    path.write_bytes(whole)
    expected, count = read(path), rows(path)
    data = bytearray(whole)
    chance.choice(DAMAGES)(chance, data)
    path.write_bytes(data)
    told = ""
    try:
        found = read(path)
    except StreamAppError as error:
        told = str(error)
    if told:
        assert told.startswith(f"{path}: ")
        assert "\n" not in told
        return "told"
    if found is None:
        assert not data.startswith(sqlite_files.MAGIC)
        return "text"  # whose reader says that it is binary
    if found == expected:
        return "right"
    assert rows(path) == count
    return "other values"


@pytest.mark.parametrize("block", range(6))
def test_whatever_is_damaged_is_told_or_was_not_needed(whole: bytes, block: int, tmp_path: Path) -> None:
    """Never a part of the rows. A value that is still well-formed cannot be told: SQLite has no checksums."""
    found = [outcome(whole, seed, tmp_path / "store.sqlite") for seed in range(block * 20, block * 20 + 20)]

    assert {"told", "right"} <= set(found)


def test_rows_that_a_damaged_page_hides_are_told(whole: bytes, tmp_path: Path) -> None:
    """SQLite counts fewer rows and no error where the number of cells of a page says so."""
    path = tmp_path / "store.sqlite"
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'Execution'").fetchone()
    data = bytearray(whole)
    cells = (root - 1) * PAGE + 3
    data[cells : cells + 2] = (int.from_bytes(data[cells : cells + 2], "big") - 1).to_bytes(2, "big")
    path.write_bytes(data)

    assert rows(path) != {}
    with pytest.raises(mlmd.StoreUnavailable, match=r"store\.sqlite: is damaged: restore it from a backup"):
        read(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("{}\n" * 100)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (empty, "is an empty file"),
        (pipe, "is a pipe or a device"),
        (folder, "is a folder"),
        (text, "is no database of SQLite"),
        (Path.unlink, "no such file"),
    ],
)
def test_what_is_no_database_is_a_mistake(
    whole: bytes, make: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    """By its address, and by `follow`; a pipe is not waited for."""
    path = tmp_path / "store.sqlite"
    path.write_bytes(whole)
    make(path)

    with pytest.raises(OptionsError, match=rf"store\.sqlite: {told}"):
        stores_of(load())(f"sqlite:///{path}")
    with pytest.raises(OptionsError, match=rf"store\.sqlite: {told}"):
        mlmd.Store(str(path))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers are not waited for."""
    monkeypatch.setattr(sqlite_files, "BUSY_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_a_store_that_another_process_has_locked_is_told(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(whole)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite_files.DamagedFileError, match=r"store\.sqlite: is locked by another process"):
            read(path)
        with pytest.raises(mlmd.StoreUnavailable, match=r"store\.sqlite: is locked by another process"):
            mlmd.Store(str(path))


def test_a_store_without_its_wal_is_an_earlier_commit(tmp_path: Path) -> None:
    """SQLite cannot know that there was one; what it holds is whole."""
    path, copy = tmp_path / "store.sqlite", tmp_path / "copy.sqlite"
    with StoreWriter(path) as writer:
        write_history(writer, history())
        earlier = read(path)
        writer.sql("PRAGMA journal_mode = WAL")
        writer.execution(9_000, "Trainer")
        copy.write_bytes(path.read_bytes())

        assert len(read(path) or ()) == len(earlier or ()) + 1
        assert read(copy) == earlier
