"""The local copy of one partition's rows: a cache, with which a restart reads only the tail of the changelog.

It is written once for each commit, rows and position in one atomic write, after Kafka has the same rows.
A copy that may be wrong is deleted and read again from the changelog, which is authoritative.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from stream_app.errors import OptionsError

Row = tuple[bytes, bytes | None]

#: Key of the position; keys of the changelog are not empty.
POSITION_KEY = b""
#: A copy that was not written for longer than this could miss deletions that the changelog no longer has
#: (`delete.retention.ms` of the changelog is twice as long).
OLDEST_SECONDS = 3.5 * 86_400
MIB = 1 << 20


@dataclass(frozen=True)
class StorePosition:
    """The position in the changelog that a local copy holds."""

    #: Id of the changelog topic: a topic created again under the same name is another log.
    topic_id: str
    #: The changelog offset after the last row held.
    next_offset: int
    #: Epoch and input position of the last row held.
    epoch: int
    position: int


class LocalStore:
    """Rows of one partition on disk.

    Parameters
    ----------
    folder
        Created if it does not exist.

    Raises
    ------
    OptionsError
        The folder is open already, or cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db = self._open()

    def _open(self) -> Rdict:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                return Rdict(str(self._folder), options())
            except Exception as error:
                if _is_lock(error):
                    raise
            shutil.rmtree(self._folder)  # corrupt: the changelog has it all
            self._folder.mkdir(parents=True)
            return Rdict(str(self._folder), options())
        except Exception as error:  # rocksdict has no errors of its own
            why = "it is open already; give each worker a folder of its own" if _is_lock(error) else error
            raise OptionsError(f"{self._folder}: cannot be opened: {why}") from error

    def position(self) -> StorePosition | None:
        """The position of this copy; None when it is empty or too old to be used."""
        stored = self._db.get(POSITION_KEY)
        if stored is None:
            return None
        fields = orjson.loads(stored)
        written = fields.pop("written")
        return StorePosition(**fields) if 0 <= time.time() - written < OLDEST_SECONDS else None

    def rows(self) -> dict[bytes, bytes]:
        """All rows, without the position."""
        rows: dict[bytes, bytes] = dict(cast(Any, self._db.items()))
        rows.pop(POSITION_KEY, None)
        return rows

    def measure(self) -> tuple[int, int]:
        """About how many rows there are, and their size in files and in memory in bytes."""
        sizes = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        rows, *sizes_now = (self._db.property_int_value(name) or 0 for name in ("rocksdb.estimate-num-keys", *sizes))
        return rows, sum(sizes_now)

    def write(self, rows: Iterable[Row], position: StorePosition) -> None:
        """Writes rows and the position, all or none of them.

        Parameters
        ----------
        rows
            Keys and values; a value of None deletes the row.
        position
            The position in the changelog after these rows.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(POSITION_KEY, orjson.dumps({**position.__dict__, "written": time.time()}))
        self._db.write(batch)

    def wipe(self) -> None:
        """Deletes everything."""
        self._db.close()
        shutil.rmtree(self._folder)
        self._db = self._open()

    def close(self) -> None:
        """Releases the folder."""
        self._db.close()


def _is_lock(error: Exception) -> bool:
    """Whether RocksDB has found its lock taken, by another process or by this one. A damaged `block` is none."""
    return any(words in str(error) for words in ("While lock file:", "lock hold by current process"))


def options() -> Options:
    """Options for many small databases in one process; RocksDB's defaults would take hundreds of MiB for each."""
    table = BlockBasedOptions()
    table.set_block_cache(Cache(8 * MIB))
    chosen = Options(raw_mode=True)
    chosen.create_if_missing(True)
    chosen.set_block_based_table_factory(table)
    chosen.set_write_buffer_size(8 * MIB)
    chosen.set_max_write_buffer_number(2)
    chosen.set_max_open_files(128)
    chosen.set_keep_log_file_num(2)
    chosen.set_max_log_file_size(MIB)
    return chosen
