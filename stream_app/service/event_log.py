"""The log of accepted messages and the state of the detector, in one SQLite file.

There are two kinds of writes, both transactions that are on disk when they return (WAL, `synchronous=FULL`): entries
are appended before they are acknowledged; state is saved about once a second, together with the log position that it
includes. After a crash the entries after that position are applied again, with the same results.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from stream_app.core.events import Event
from stream_app.errors import OptionsError, StateError, StreamAppError
from stream_app.runtime.files import make_file, make_folder, tighten, warn_of_rights

#: Increased when a table changes. Files of earlier versions are upgraded, those of later ones refused.
_VERSION = 2
_APPLICATION_ID = 0x53417070

#: Entries of the log read at a time.
_PAGE = 1000
#: Entries deleted at a time, so that no transaction delays the next write for long.
_DELETED_AT_ONCE = 2_000

_TABLES = """
CREATE TABLE entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT, received_ms INTEGER NOT NULL, message BLOB, format TEXT
);
CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE verdicts (
    graphlet TEXT PRIMARY KEY, verdict BLOB NOT NULL, number INTEGER NOT NULL, issued_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE examples (position INTEGER PRIMARY KEY AUTOINCREMENT, example BLOB NOT NULL);
CREATE TABLE applied (position INTEGER NOT NULL);
INSERT INTO applied VALUES (0);
"""
#: The ids of deliveries that may be sent again, and when each was taken. Earlier releases of this version ignore it.
_DELIVERIES = "CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, taken_ms INTEGER NOT NULL) WITHOUT ROWID"
#: Records of flags that are not stored elsewhere yet. Earlier releases of this version ignore it too.
_FLAGS = (
    "CREATE TABLE IF NOT EXISTS flags (number INTEGER PRIMARY KEY, logged_ms INTEGER NOT NULL, record BLOB NOT NULL)"
)
#: Milliseconds for which deliveries are kept: twice the age up to which a webhook is accepted.
DELIVERIES_MS = 600_000
#: From version 1. It did not say when a verdict was issued: as good as now, so that none is dropped too early.
_UPGRADE = """
ALTER TABLE entries ADD COLUMN format TEXT;
ALTER TABLE verdicts ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE verdicts ADD COLUMN issued_ms INTEGER NOT NULL DEFAULT 0;
UPDATE verdicts SET issued_ms = 1000 * strftime('%s', 'now');
"""


class LogUnavailableError(StreamAppError):
    """The log cannot be written at the moment: the disk is full, or the file is damaged. The write had no effect."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that was decoded when it was accepted."""

    message: bytes
    #: None for a valid message about no execution.
    event: Event | None
    #: The format as which it was decoded.
    format: str
    #: The id of the delivery that it came in, where that may be sent again.
    delivery: str | None = None


@dataclass(slots=True)
class Entry:
    """An entry of the log: a message, or (None) a tick."""

    #: 0 until it is in the log.
    position: int
    #: When it was accepted, in ms since 1970 UTC.
    received_ms: int
    message: bytes | None
    #: The format of the message; None for a tick, and where an earlier release wrote the entry.
    format: str | None = None
    #: The decoded message; None for an entry that was read from the log.
    accepted: Accepted | None = None


class StoredVerdict(NamedTuple):
    """A verdict as the state holds it."""

    #: Its JSON form.
    record: bytes
    #: Rises with each verdict that is issued.
    number: int
    #: When the entry was accepted for which it was issued, in ms since 1970 UTC.
    issued_ms: int


class StoredFlag(NamedTuple):
    """A record of a flag that waits to be handed on."""

    #: Rises with each record.
    number: int
    #: When the entry was accepted from which it follows, in ms since 1970 UTC.
    logged_ms: int
    #: Its JSON form.
    record: bytes


@dataclass(slots=True)
class Changes:
    """Changes of the state since it was last saved."""

    #: Position of the last entry applied.
    applied: int = 0
    #: None: the row, or the verdict on the graphlet, was deleted.
    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    verdicts: dict[str, StoredVerdict | None] = field(default_factory=dict)
    examples: list[bytes] = field(default_factory=list)
    flags: list[StoredFlag] = field(default_factory=list)
    #: The records of flags up to this number are stored elsewhere, and are deleted.
    flags_done: int = 0


class EventLog:
    """An open log. It belongs to one process, and one thread of that may use it.

    Parameters
    ----------
    path
        The file; it and its folder are created if they do not exist.
    allow_pages
        The largest size of the file, in pages of 4 kB; None: not bounded.

    Raises
    ------
    OptionsError
        The file cannot be opened, or another process has it open.
    StateError
        The file is damaged, or is not such a log.
    """

    def __init__(self, path: Path, allow_pages: int | None = None) -> None:
        self.path = path
        #: When the access to the disk that is under way began, on the monotonic clock; None: there is none.
        self.busy_since: float | None = None
        try:
            make_folder(path.parent)
            warn_of_rights(path.parent)
            make_file(path)  # SQLite gives new files beside it the same rights
            for end in ("-wal", "-shm"):
                tighten(path.with_name(path.name + end))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        except (OSError, sqlite3.OperationalError) as error:
            raise OptionsError(f"{path}: cannot be opened: {error}") from None
        try:
            self._prepare(allow_pages)
        except sqlite3.OperationalError as error:
            self._db.close()
            why = "another process has it" if "locked" in str(error) else str(error)
            raise OptionsError(f"{path}: cannot be opened: {why}") from None
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise StateError(f"{path}: is damaged, or no log of this program: {error}") from None
        except StateError:
            self._db.close()
            raise

    def _prepare(self, allow_pages: int | None) -> None:
        run = self._db.execute
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        if allow_pages is not None:
            run(f"PRAGMA max_page_count={allow_pages}")
        run("BEGIN EXCLUSIVE")
        (version,) = run("PRAGMA user_version").fetchone()
        (owner,) = run("PRAGMA application_id").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        statements = ""
        if not tables:
            statements = _TABLES
        elif owner != _APPLICATION_ID:
            raise StateError(f"{self.path}: is a database of another program")
        elif version == 1:
            statements = _UPGRADE
        elif version != _VERSION:
            raise StateError(f"{self.path}: is of version {version}, expected {_VERSION}")
        for statement in statements.split(";"):
            run(statement)
        run(_DELIVERIES)
        run(_FLAGS)
        run(f"PRAGMA user_version={_VERSION}")
        run(f"PRAGMA application_id={_APPLICATION_ID}")
        run("COMMIT")
        (found,) = run("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StateError(f"{self.path}: is damaged: {found}")

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def append(self, entries: Iterable[Entry]) -> None:
        """Writes entries, sets their positions, and returns when they are on disk.

        Parameters
        ----------
        entries
            Not yet in the log.

        Raises
        ------
        LogUnavailableError
            None of them was written.
        """
        insert = "INSERT INTO entries (received_ms, message, format) VALUES (?, ?, ?)"
        given = list(entries)
        positions: list[int] = []

        def write() -> None:
            for entry in given:
                values = (entry.received_ms, entry.message, entry.format)
                positions.append(self._db.execute(insert, values).lastrowid or 0)
                if entry.accepted is not None and entry.accepted.delivery is not None:
                    taken = (entry.accepted.delivery, entry.received_ms)
                    self._db.execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?)", taken)

        self._transact(write)
        for entry, position in zip(given, positions, strict=True):
            entry.position = position

    def save(self, changes: Changes) -> None:
        """Writes changes of the state together with its new position.

        Parameters
        ----------
        changes
            All changes since the last call.

        Raises
        ------
        LogUnavailableError
            The saved state was not changed.
        """

        def write() -> None:
            rows = ((key, value) for key, value in changes.rows.items() if value is not None)
            verdicts = ((name, *stored) for name, stored in changes.verdicts.items() if stored is not None)
            self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", verdicts)
            self._delete("rows", "key", changes.rows)
            self._delete("verdicts", "graphlet", changes.verdicts)
            self._db.executemany("INSERT INTO examples (example) VALUES (?)", [(each,) for each in changes.examples])
            self._db.executemany("INSERT INTO flags VALUES (?, ?, ?)", changes.flags)
            self._db.execute("DELETE FROM flags WHERE number <= ?", (changes.flags_done,))
            self._db.execute("UPDATE applied SET position = ?", (changes.applied,))

        self._transact(write)

    def delete(self, before_ms: int) -> bool:
        """Deletes some of the old entries that the saved state includes.

        Parameters
        ----------
        before_ms
            Entries accepted before this time are deleted, in ms since 1970 UTC.

        Returns
        -------
        bool
            Whether there may be more of them.

        Raises
        ------
        LogUnavailableError
            None was deleted.
        """
        oldest = "SELECT position, received_ms FROM entries WHERE position <= ? ORDER BY position LIMIT ?"
        found = self._read(oldest, self.applied(), _DELETED_AT_ONCE)
        old = list(itertools.takewhile(lambda row: row[1] < before_ms, found))
        if old:
            self._transact(lambda: self._db.execute("DELETE FROM entries WHERE position <= ?", (old[-1][0],)))
        return len(old) == _DELETED_AT_ONCE

    def deliveries(self, now_ms: int) -> dict[str, int]:
        """The deliveries that may be sent again: id -> when it was taken, in ms since 1970 UTC, the oldest first.

        Older ones are deleted.

        Parameters
        ----------
        now_ms
            The time in ms since 1970 UTC.

        Raises
        ------
        LogUnavailableError
            They cannot be read.
        """
        old = "DELETE FROM deliveries WHERE taken_ms < ?"
        self._transact(lambda: self._db.execute(old, (now_ms - DELIVERIES_MS,)))
        return dict(self._read("SELECT id, taken_ms FROM deliveries ORDER BY taken_ms"))

    def check(self) -> None:
        """Writes something without an effect, as far as the disk.

        Raises
        ------
        LogUnavailableError
            The log cannot be written.
        """
        self._transact(lambda: self._db.execute("UPDATE applied SET position = position"))

    def applied(self) -> int:
        """Position of the last entry that the saved state includes.

        Raises
        ------
        LogUnavailableError
            It cannot be read.
        """
        ((position,),) = self._read("SELECT position FROM applied")
        return int(position)

    def rows(self) -> Mapping[bytes, bytes]:
        """The rows of the state."""
        return dict(self._db.execute("SELECT key, value FROM rows"))

    def verdicts(self) -> Iterator[StoredVerdict]:
        """The verdicts of the state."""
        select = "SELECT verdict, number, issued_ms FROM verdicts"
        return (StoredVerdict(*row) for row in self._db.execute(select))

    def examples(self) -> Iterator[bytes]:
        """The examples, in the order in which they were learned."""
        return (example for (example,) in self._db.execute("SELECT example FROM examples ORDER BY position"))

    def flags(self) -> list[StoredFlag]:
        """The records of flags that are not stored elsewhere yet, in order."""
        select = "SELECT number, logged_ms, record FROM flags ORDER BY number"
        return [StoredFlag(*row) for row in self._db.execute(select)]

    def last_flag(self) -> int:
        """The number of the last of these records; 0 where there is none."""
        ((number,),) = self._read("SELECT coalesce(max(number), 0) FROM flags")
        return int(number)

    def after(self, position: int) -> Iterator[Entry]:
        """Yields the entries after a position, in order.

        Raises
        ------
        LogUnavailableError
            They cannot be read.
        """
        select = (
            "SELECT position, received_ms, message, format FROM entries WHERE position > ? ORDER BY position LIMIT ?"
        )
        while page := self._read(select, position, _PAGE):
            for row in page:
                yield Entry(*row)
            position = page[-1][0]

    def _read(self, select: str, *values: int) -> list[Any]:
        try:
            with self._busy():
                return self._db.execute(select, values).fetchall()
        except sqlite3.Error as error:
            raise LogUnavailableError(f"cannot read {self.path}: {error}") from error

    def _delete(self, table: str, key: str, changes: Mapping[bytes, object] | Mapping[str, object]) -> None:
        gone = [(name,) for name, held in changes.items() if held is None]
        self._db.executemany(f"DELETE FROM {table} WHERE {key} = ?", gone)

    def _transact(self, write: Callable[[], object]) -> None:
        try:
            with self._busy():
                self._db.execute("BEGIN IMMEDIATE")
                write()
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # the next transaction rolls back again
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            raise LogUnavailableError(f"cannot write to {self.path}: {error}") from error

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        self.busy_since = time.monotonic()
        try:
            yield
        finally:
            self.busy_since = None
