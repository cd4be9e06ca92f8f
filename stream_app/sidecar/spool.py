"""Messages on disk until they are delivered: one SQLite file with a bound, and a little memory for when it fails.

What `put` has stored is on disk (WAL, `synchronous=FULL`), so that neither a kill nor a loss of power loses it. Where
the disk is full or the file cannot be used, messages are kept in memory, within a bound of their own, and delivered as
soon as possible; only what does not fit there either is dropped, which `put` reports.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from stream_app.errors import OptionsError
from stream_app.runtime.files import make_file, make_folder

log = logging.getLogger(__name__)

#: Bytes of the file by default, and of the messages in memory while it takes none.
SPOOL_BYTES, MEMORY_BYTES = 256 << 20, 8 << 20
#: The least that a file is bounded to.
SPOOL_LEAST = 1 << 20
_FILE = "spool.sqlite"
_PAGE = 4096
#: Bytes of the write-ahead log, which come on top of those of the file.
_LOG_BYTES = 4 << 20
_TABLES = """
CREATE TABLE IF NOT EXISTS messages (
    position INTEGER PRIMARY KEY AUTOINCREMENT, format TEXT NOT NULL, message BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, device INTEGER NOT NULL, inode INTEGER NOT NULL, position INTEGER NOT NULL
)
"""
_INSERT = "INSERT INTO messages (format, message, crc) VALUES (?, ?, ?)"
_ALL = "SELECT position, format, message, crc FROM messages"


class Message(NamedTuple):
    """A message and its format: `native` or `openlineage`."""

    format: str
    body: bytes


class Stored(NamedTuple):
    """A message of the spool. Its place is that of the file; that of a message in memory is below 0."""

    place: int
    message: Message


class ReadPosition(NamedTuple):
    """How far a file was read.

    Attributes
    ----------
    device, inode
        Of the file, which tell it from another one under its name.
    position
        Bytes from its beginning.
    """

    device: int
    inode: int
    position: int


class Spool:
    """The messages that are not delivered yet. One thread uses it at a time.

    Parameters
    ----------
    folder
        Where the file is; made for this user alone where it is missing.
    limit
        Bytes that the file may have; the write-ahead log has up to 4 MiB more.
    memory
        Bytes of the messages that are kept in memory while the file takes none.

    Raises
    ------
    OptionsError
        Another sidecar uses the folder.
    """

    def __init__(self, folder: Path, limit: int = SPOOL_BYTES, memory: int = MEMORY_BYTES) -> None:
        self._path = folder / _FILE
        self._limit = limit
        self._memory_limit = memory
        self._memory: deque[Stored] = deque()
        self._memory_bytes = 0
        self._next = -1
        #: Why messages are kept in memory; "" while they are stored on disk.
        self.fault = ""
        self._database = self._opened()
        self._count = self._stored_count()

    @property
    def count(self) -> int:
        """Messages that are not delivered yet."""
        return self._count + len(self._memory)

    @property
    def size(self) -> int:
        """Bytes that messages take, in the file and in memory."""
        if self._database is None:
            return self._memory_bytes
        with contextlib.suppress(sqlite3.Error):
            pages, free = (
                self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
            )
            return int(pages - free) * _PAGE + self._memory_bytes
        return self._memory_bytes

    def put(self, messages: Sequence[Message], read: tuple[Path, ReadPosition] | None = None) -> int:
        """Stores messages.

        Parameters
        ----------
        messages
            The messages.
        read
            The file that they were read from, and how far: stored together with them, or not at all.

        Returns
        -------
        int
            How many are kept. The others, the last ones, fit neither on disk nor in memory; where a file is given that
            is all or none, and none is kept in memory, since they are still in the file.
        """
        try:
            self._store(messages, read)
        except sqlite3.Error as error:
            if read is not None:
                self._failed(error)
                return 0
            if len(messages) == 1:
                self._failed(error)
                return self._remember(messages[0])
        else:
            self._works()
            return len(messages)
        half = len(messages) // 2  # a part of them may still fit
        kept = self.put(messages[:half])
        return kept + self.put(messages[half:]) if kept == half else kept

    def take(self, count: int, size: int) -> list[Stored]:
        """The oldest messages, which stay until `drop`.

        Parameters
        ----------
        count, size
            At most so many messages, and, but for the first, so many bytes.

        Returns
        -------
        list of Stored
            Messages in memory first; [] where there are none, or the file cannot be read now.
        """
        found = list(_within(self._memory, count, size))
        if found or self._database is None:
            return found
        try:
            # A cursor that is left open would keep the file locked.
            with contextlib.closing(self._database.execute(f"{_ALL} ORDER BY position LIMIT ?", (count,))) as rows:
                checked = (Stored(row[0], Message(row[1], row[2])) for row in map(_checked, rows))
                return list(_within(checked, count, size))
        except sqlite3.Error as error:
            self._failed(error)
            return []

    def drop(self, delivered: Sequence[Stored]) -> None:
        """Forgets messages. Where that fails they are delivered again, which changes nothing at the receiver."""
        gone = {each.place for each in delivered if each.place < 0}
        while self._memory and self._memory[0].place in gone:
            self._memory_bytes -= len(self._memory.popleft().message.body)
        places = [(each.place,) for each in delivered if each.place >= 0]
        if not places or self._database is None:
            return
        try:
            with self._database:
                self._database.executemany("DELETE FROM messages WHERE position = ?", places)
        except sqlite3.Error as error:
            self._failed(error)
        else:
            self._count -= len(places)

    def position(self, path: Path) -> ReadPosition | None:
        """How far a file was read; None: it was not."""
        if self._database is None:
            return None
        try:
            row = self._database.execute(
                "SELECT device, inode, position FROM files WHERE path = ?", (str(path),)
            ).fetchone()
        except sqlite3.Error as error:
            self._failed(error)
            return None
        return None if row is None else ReadPosition(*row)

    def close(self) -> None:
        """Closes the file. What is still in memory is lost; see `count`."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()

    def _opened(self) -> sqlite3.Connection | None:
        """The file; one that is damaged is moved aside; None where there can be none."""
        try:
            make_folder(self._path.parent)
            make_file(self._path)
            try:
                return self._connected()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                return self._begun_anew(error)
        except (OSError, sqlite3.Error) as error:
            self._failed(error)
            return None

    def _begun_anew(self, damage: sqlite3.DatabaseError) -> sqlite3.Connection:
        """A new file with the messages of the damaged one that can be read; the damaged one is kept."""
        readable = _readable(self._path)
        aside = self._path.with_name(f"{_FILE}.damaged-{time.time_ns() // 1_000_000}")
        self._path.rename(aside)
        for end in ("-wal", "-shm"):
            self._path.with_name(_FILE + end).unlink(missing_ok=True)
        log.error(
            "%s is damaged (%s): it is kept as %s; a new one has the %d messages that can be read",
            self._path, damage, aside.name, len(readable),
        )  # fmt: skip
        make_file(self._path)
        database = self._connected()
        with database:
            database.executemany(_INSERT, map(_row, readable))
        return database

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=0.0, check_same_thread=False, isolation_level="IMMEDIATE")
        try:
            database.execute(f"PRAGMA page_size = {_PAGE}")
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            database.execute(f"PRAGMA max_page_count = {max(self._limit, SPOOL_LEAST) // _PAGE}")
            for statement in _TABLES.split(";"):
                database.execute(statement)
            [found] = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        except sqlite3.OperationalError as error:
            database.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise OptionsError(f"{self._path} is used by another sidecar: give each a folder of its own") from None
            raise
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _stored_count(self) -> int:
        if self._database is None:
            return 0
        return int(self._database.execute("SELECT count(*) FROM messages").fetchone()[0])

    def _store(self, messages: Sequence[Message], read: tuple[Path, ReadPosition] | None) -> None:
        if self._database is None:
            self._database = self._opened()
            if self._database is None:
                raise sqlite3.OperationalError(self.fault)
            self._count = self._stored_count()
        with self._database:
            self._database.executemany(_INSERT, map(_row, messages))
            if read is not None:
                path, position = read
                self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (str(path), *position))
        self._count += len(messages)

    def _remember(self, message: Message) -> int:
        if self._memory_bytes + len(message.body) > self._memory_limit:
            return 0
        self._memory.append(Stored(self._next, message))
        self._next -= 1
        self._memory_bytes += len(message.body)
        return 1

    def _failed(self, error: Exception) -> None:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            self.close()
            self._database, self._count = None, 0
            try:
                self._database = self._begun_anew(error)
                self._count = self._stored_count()
            except (OSError, sqlite3.Error) as another:
                error = another
            else:
                return
        fault = str(error)
        if fault != self.fault:
            log.error("%s cannot be used: %s; events are kept in memory meanwhile", self._path, fault)
        self.fault = fault

    def _works(self) -> None:
        """The file has taken something: it takes what is in memory too."""
        if self.fault:
            log.warning("%s can be used again", self._path)
        self.fault = ""
        if self._memory:
            kept, self._memory, self._memory_bytes = self._memory, deque(), 0
            self.put([each.message for each in kept])


def _row(message: Message) -> tuple[str, bytes, int]:
    return message.format, message.body, zlib.crc32(message.body)


def _checked(row: tuple[int, str, bytes, int]) -> tuple[int, str, bytes]:
    """A row as it was stored; raises DatabaseError for another one, of which SQLite itself knows nothing."""
    position, format_, body, crc = row
    if zlib.crc32(body) != crc:
        raise sqlite3.DatabaseError(f"message {position} is not what was stored")
    return position, format_, body


def _readable(path: Path) -> list[Message]:
    """The messages of a damaged file, in order, as far as they can be read from either end."""
    found: dict[int, Message] = {}
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=0.0)) as database:
            for row in database.execute(f"{_ALL} ORDER BY position {order}"):
                with contextlib.suppress(sqlite3.DatabaseError, TypeError):
                    position, format_, body = _checked(row)
                    found[position] = Message(format_, body)
    return [found[position] for position in sorted(found)]


def _within(messages: Iterable[Stored], count: int, size: int) -> Iterable[Stored]:
    total = 0
    for number, each in enumerate(messages):
        total += len(each.message.body)
        if number == count or (number and total > size):
            return
        yield each
