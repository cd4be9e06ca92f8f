"""The local copy of one partition's rows: a cache, with which a restart reads only the tail of the changelog.

It is written once for each commit, rows and position in one atomic write, after Kafka has the same rows.
A copy that may be wrong is deleted and read again from the changelog, which is authoritative.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson
from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from stream_app.errors import OptionsError
from stream_app.runtime.files import make_file, make_folder

log = logging.getLogger(__name__)

Row = tuple[bytes, bytes | None]

#: Key of the position; keys of the changelog are not empty.
POSITION_KEY = b""
#: A copy that was not written for longer than this could miss deletions that the changelog no longer has
#: (`delete.retention.ms` of the changelog is twice as long).
OLDEST_SECONDS = 3.5 * 86_400
MIB = 1 << 20
_MASK = (1 << 64) - 1
#: The file that says that something was written.
_WRITTEN = "written"


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


class DamagedCopyError(Exception):
    """A local copy does not have the rows that were written to it; the message says what was found."""


@dataclass(frozen=True)
class Held:
    """What a local copy holds.

    Parameters
    ----------
    position
        The position in the changelog.
    rows
        All rows before it.
    """

    position: StorePosition
    rows: dict[bytes, bytes]


class LocalStore:
    """Rows of one partition on disk.

    A disk may lose or change what was written to it, and RocksDB does not always say so: an iterator ends at a damaged
    block as at the end of the rows. With the position the number of rows, the sum of their digests and a digest of the
    position itself are therefore written, and compared whenever all rows are read.

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
        #: What was found damaged when it was opened, and deleted; None if nothing was.
        self.damage: str | None = None
        #: The rows, without the position, and the sum of their digests.
        self._count = self._sum = 0
        self._db = self._open()
        #: Whether anything was ever written: a damaged list of files is read as an empty copy.
        self._written = (folder / _WRITTEN).exists()

    def _open(self) -> Rdict:
        try:
            make_folder(self._folder)
            try:
                return Rdict(str(self._folder), options())
            except Exception as error:
                if _is_lock(error):
                    raise
                self.damage = str(error)
            shutil.rmtree(self._folder)  # the changelog has it all
            make_folder(self._folder)
            return Rdict(str(self._folder), options())
        except Exception as error:  # rocksdict has no errors of its own
            why = "it is open already; give each worker a folder of its own" if _is_lock(error) else error
            raise OptionsError(f"{self._folder}: cannot be opened: {why}") from error

    def held(self) -> Held | None:
        """Reads the whole copy; None when it is empty, too old to be used, or of a version without digests.

        Raises
        ------
        DamagedCopyError
            It is not what was written.
        """
        rows = self._read()
        stored = rows.pop(POSITION_KEY, None)
        if stored is None:
            if rows or self.damage is not None or self._written:
                raise DamagedCopyError(self.damage or f"{len(rows):,} rows without their position")
            return None
        try:
            fields = orjson.loads(stored)
            own = fields.pop("digest", None)
            mark = _mark_digest(fields)
            written, count, digests = fields.pop("written"), fields.pop("rows", None), fields.pop("digests", None)
            position = StorePosition(**fields)
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise DamagedCopyError(f"its position cannot be read: {error}") from None
        self._count, self._sum = len(rows), sum(map(digest, rows.items())) & _MASK
        if count is None or own is None:
            return None
        if own != mark:
            raise DamagedCopyError("its position is not the one that was written")
        self._compare(count, digests)
        return Held(position, rows) if 0 <= time.time() - written < OLDEST_SECONDS else None

    def rows(self) -> dict[bytes, bytes]:
        """All rows, without the position.

        Raises
        ------
        DamagedCopyError
            They are not what was written.
        """
        rows = self._read()
        rows.pop(POSITION_KEY, None)
        count, digests = self._count, self._sum
        self._count, self._sum = len(rows), sum(map(digest, rows.items())) & _MASK
        self._compare(count, f"{digests:016x}")
        return rows

    def _read(self) -> dict[bytes, bytes]:
        rows: dict[bytes, bytes] = {}
        try:
            found = self._db.iter()
            found.seek_to_first()
            while found.valid():
                rows[found.key()] = found.value()
                found.next()
            found.status()
        except Exception as error:  # rocksdict has no errors of its own
            raise DamagedCopyError(str(error)) from error
        return rows

    def _compare(self, count: object, digests: object) -> None:
        if (count, digests) != (self._count, f"{self._sum:016x}"):
            raise DamagedCopyError(f"{self._count:,} rows, {count} were written, or rows with other contents")

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

        Raises
        ------
        DamagedCopyError
            A row that is replaced cannot be read.
        """
        batch = WriteBatch(raw_mode=True)
        count, digests = self._count, self._sum
        for key, value in dict(rows).items():
            before = self._value_of(key)
            if before is not None:
                count, digests = count - 1, digests - digest((key, before))
            if value is None:
                batch.delete(key)
            else:
                count, digests = count + 1, digests + digest((key, value))
                batch.put(key, value)
        digests &= _MASK
        mark = {**position.__dict__, "written": time.time(), "rows": count, "digests": f"{digests:016x}"}
        batch.put(POSITION_KEY, orjson.dumps({**mark, "digest": _mark_digest(mark)}))
        if not self._written:
            make_file(self._folder / _WRITTEN)
            self._written = True
        self._db.write(batch)
        self._count, self._sum = count, digests

    def _value_of(self, key: bytes) -> bytes | None:
        try:
            return cast("bytes | None", self._db.get(key))
        except Exception as error:  # rocksdict has no errors of its own
            raise DamagedCopyError(str(error)) from error

    def wipe(self) -> None:
        """Deletes everything."""
        self._db.close()
        shutil.rmtree(self._folder)
        self._count, self._sum, self.damage, self._written = 0, 0, None, False
        self._db = self._open()

    def close(self) -> None:
        """Releases the folder. What cannot be written any more is in the changelog."""
        try:
            self._db.close()
        except Exception as error:  # rocksdict has no errors of its own
            log.warning("%s: the local copy is not whole: %s", self._folder, error)


def digest(row: tuple[bytes, bytes]) -> int:
    """The digest of a row, of 64 bits. Digests are added, so that a sum follows the rows as they are replaced.

    Parameters
    ----------
    row
        Key and value.

    Returns
    -------
    int
        The digest.
    """
    key, value = row
    return int.from_bytes(
        hashlib.blake2b(value, digest_size=8, key=hashlib.blake2b(key, digest_size=8).digest()).digest()
    )


def _mark_digest(mark: dict[str, object]) -> str:
    """The digest of the position, with which nobody finds rows at another one."""
    return f"{digest((POSITION_KEY, orjson.dumps(mark))):016x}"


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
