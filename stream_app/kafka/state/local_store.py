"""The local copy of one partition's rows: a cache, so that a restart reads only the tail of the changelog.

It is written once for each commit, rows and mark in one atomic write, after Kafka has the same rows.
Whatever is in doubt is thrown away and read again from the changelog, which is the truth.
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

#: No row of the changelog has this key: changelog keys are not empty.
MARK = b""
#: A copy left alone for longer than this could miss deletions that the changelog has forgotten since
#: (`delete.retention.ms` of the changelog is twice as long).
OLDEST_SECONDS = 3.5 * 86_400
MIB = 1 << 20


@dataclass(frozen=True)
class Mark:
    """Up to where a copy holds the changelog."""

    #: Id of the changelog topic: a topic made again under the same name is another log.
    topic_id: str
    #: The changelog offset after the last row held.
    next_offset: int
    #: Epoch and input position of the last row held.
    epoch: int
    position: int


class LocalStore:
    """Rows of one partition on disk.

    Parameters: `folder` is made if need be.

    Raises OptionsError when another process has the folder open.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db = self._open()

    def _open(self) -> Rdict:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            return Rdict(str(self._folder), options())
        except Exception as error:
            if "lock" in str(error).lower():
                raise OptionsError(
                    f"{self._folder} is open in another process; give each worker a folder of its own"
                ) from error
        shutil.rmtree(self._folder)  # corrupt: the changelog has it all
        self._folder.mkdir(parents=True)
        return Rdict(str(self._folder), options())

    def mark(self) -> Mark | None:
        """Up to where this copy goes; None when there is nothing that can be used."""
        stored = self._db.get(MARK)
        if stored is None:
            return None
        fields = orjson.loads(stored)
        written = fields.pop("written")
        return Mark(**fields) if 0 <= time.time() - written < OLDEST_SECONDS else None

    def rows(self) -> dict[bytes, bytes]:
        """All rows; the mark is none of them."""
        rows: dict[bytes, bytes] = dict(cast(Any, self._db.items()))
        rows.pop(MARK, None)
        return rows

    def measure(self) -> tuple[int, int]:
        """About how many rows there are, and their bytes in files and in memory."""
        sizes = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        rows, *sizes_now = (self._db.property_int_value(name) or 0 for name in ("rocksdb.estimate-num-keys", *sizes))
        return rows, sum(sizes_now)

    def write(self, rows: Iterable[Row], mark: Mark) -> None:
        """Put (or, where the value is None, delete) `rows` and the mark, all or none."""
        batch = WriteBatch(raw_mode=True)
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(MARK, orjson.dumps({**mark.__dict__, "written": time.time()}))
        self._db.write(batch)

    def wipe(self) -> None:
        """Forget everything."""
        self._db.close()
        shutil.rmtree(self._folder)
        self._db = self._open()

    def close(self) -> None:
        self._db.close()


def options() -> Options:
    """Options for many small databases in one process; RocksDB's own would take hundreds of MiB for each."""
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
