"""The store of subscriptions, their mailboxes, the delivery log and the audit log: one SQLite file beside `serve`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from stream_app.alerts.filters import matcher
from stream_app.alerts.flags import FlagRecord, record_from_dict, record_to_dict
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.ownership import PREFIX as OWNED
from stream_app.alerts.registered import Registered, from_row, to_row
from stream_app.alerts.secrets import Vault
from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError, StreamAppError

#: Days for which flag records, deliveries and the audit log are kept.
KEEP_DAYS = 35
_VERSION = 1
#: AUTOINCREMENT: numbers never begin anew, also when everything old was deleted; cursors refer to them.
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscriptions (id TEXT PRIMARY KEY, owner TEXT NOT NULL, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS flags (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, flag TEXT NOT NULL, logged_ms INTEGER NOT NULL,
  record BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS flags_by_flag ON flags (flag, number);
CREATE INDEX IF NOT EXISTS flags_by_time ON flags (logged_ms);
CREATE TABLE IF NOT EXISTS deliveries (
  number INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, message TEXT NOT NULL, fate TEXT NOT NULL,
  time_ms INTEGER NOT NULL, attempt INTEGER NOT NULL, reason TEXT NOT NULL, records TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS deliveries_by_subscription ON deliveries (subscription, number);
CREATE INDEX IF NOT EXISTS deliveries_by_time ON deliveries (time_ms);
CREATE TABLE IF NOT EXISTS audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
  subject TEXT NOT NULL, request TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deleted (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class AlertStoreError(StreamAppError):
    """The store cannot be read or written now."""


class Delivery(NamedTuple):
    """An entry of the delivery log, with its place and its subscription."""

    number: int
    subscription: str
    entry: LogEntry


class AuditEntry(NamedTuple):
    """Who changed what."""

    time_ms: int
    who: str
    what: str
    subject: str
    #: What identifies the request, where it may be sent again; see `Desk.create`.
    request: str = ""


@dataclass(slots=True)
class Changes:
    """What is saved in one transaction.

    Parameters
    ----------
    rows
        Rows of mailboxes; None: the row is gone.
    deliveries
        Entries of the delivery log, by subscription.
    subscriptions
        Subscriptions that have changed; None: it is deleted.
    audit
        Entries of the audit log.
    cursor
        The number of the last flag record that the mailboxes have; None: as before.
    """

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    deliveries: list[tuple[str, LogEntry]] = field(default_factory=list)
    subscriptions: dict[str, Registered | None] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)
    cursor: int | None = None

    def __bool__(self) -> bool:
        return bool(self.rows or self.deliveries or self.subscriptions or self.audit or self.cursor is not None)


class AlertStore:
    """The store. Its methods may be called from any thread.

    Parameters
    ----------
    path
        The file, which is made where there is none.
    vault
        Encrypts the secrets of subscriptions.

    Raises
    ------
    OptionsError
        The file cannot be opened, or is no such store.
    """

    def __init__(self, path: Path, vault: Vault) -> None:
        self.path = path
        self._vault = vault
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA secure_delete=ON")  # what is deleted is not left in free pages
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise OptionsError(f"{path} was written by a newer release")
            self._db.executescript(_TABLES)
            self._db.execute(f"PRAGMA user_version={_VERSION}")
        except sqlite3.Error as error:
            raise OptionsError(f"cannot open the store of alerts {path}: {error}") from None

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    def save(self, changes: Changes) -> None:
        """Saves changes, all or none.

        Raises
        ------
        AlertStoreError
            They cannot be written.
        """
        self._transact(lambda: self._write(changes))

    def append_flags(self, records: Iterable[FlagRecord], logged_ms: int) -> None:
        """Appends flag records; one that is there already is left as it is.

        Raises
        ------
        AlertStoreError
            They cannot be written.
        """
        self.append_logged((logged_ms, record) for record in records)

    def append_logged(self, records: Iterable[tuple[int, FlagRecord]]) -> None:
        """Appends flag records, each with its log time in ms since 1970 UTC; see `append_flags`."""
        rows = [(each.id, each.flag, logged_ms, orjson.dumps(record_to_dict(each))) for logged_ms, each in records]
        insert = "INSERT OR IGNORE INTO flags (id, flag, logged_ms, record) VALUES (?, ?, ?, ?)"
        self._transact(lambda: self._db.executemany(insert, rows))

    def delete_old(self, now_ms: int) -> None:
        """Deletes flag records, deliveries and audit entries that are older than `KEEP_DAYS`."""
        before = now_ms - KEEP_DAYS * DAY_MS

        def delete() -> None:
            self._db.execute("DELETE FROM flags WHERE logged_ms < ?", (before,))
            self._db.execute("DELETE FROM deliveries WHERE time_ms < ?", (before,))
            self._db.execute("DELETE FROM audit WHERE time_ms < ?", (before,))

        self._transact(delete)

    def subscriptions(self) -> list[Registered]:
        """All subscriptions, by id.

        Raises
        ------
        OptionsError
            Their secrets were encrypted with another key.
        """
        return [from_row(row, self._vault) for (row,) in self._read("SELECT row FROM subscriptions ORDER BY id")]

    def rows(self) -> Mapping[bytes, bytes]:
        """The rows of all mailboxes."""
        return dict(self._read("SELECT key, value FROM rows"))

    def cursor(self) -> int:
        """The number of the last flag record that the mailboxes have."""
        found = self._read("SELECT value FROM meta WHERE name = 'cursor'")
        return int(found[0][0]) if found else 0

    def flags_after(self, number: int, limit: int = 1_000) -> list[tuple[int, int, FlagRecord]]:
        """Flag records in order: number, log time in ms since 1970 UTC, and record."""
        select = "SELECT number, logged_ms, record FROM flags WHERE number > ? ORDER BY number LIMIT ?"
        return [(each, logged, _record(row)) for each, logged, row in self._read(select, number, limit)]

    def last_flag(self) -> int:
        """The number of the last flag record."""
        ((number,),) = self._read("SELECT coalesce(max(number), 0) FROM flags")
        return int(number)

    def flags_since(self, logged_ms: int) -> Iterator[tuple[int, FlagRecord]]:
        """Log time and record of the flag records since a time, in order."""
        select = "SELECT logged_ms, record FROM flags WHERE logged_ms >= ? ORDER BY number"
        return ((logged, _record(row)) for logged, row in self._read(select, logged_ms))

    def latest_flags(self, limit: int, pipeline: str | None = None, *, opened: bool = False) -> list[FlagRecord]:
        """The last record of each flag of pipelines that match, newest first; of open flags alone if `opened`."""
        chosen = matcher((pipeline,)) if pipeline is not None else lambda _: True
        newest = "SELECT max(number) FROM flags GROUP BY flag"
        select = "SELECT record FROM flags WHERE number IN (" + newest + ") ORDER BY number DESC"
        found: list[FlagRecord] = []
        for (row,) in self._read(select):
            record = _record(row)
            if chosen(record.pipeline) and not (opened and record.is_end):
                found.append(record)
                if len(found) == limit:
                    break
        return found

    def records(self, ids: Iterable[str]) -> list[FlagRecord]:
        """Flag records by their ids; those that are no longer kept are missing."""
        found = []
        for record_id in ids:
            found += [_record(row) for (row,) in self._read("SELECT record FROM flags WHERE id = ?", record_id)]
        return found

    def deliveries(
        self, subscription: str, limit: int, before: int | None = None, fates: Iterable[Fate] = tuple(Fate),
        since_ms: int = 0,
    ) -> list[Delivery]:  # fmt: skip
        """Entries of the delivery log of a subscription, newest first.

        Parameters
        ----------
        subscription
            Its id.
        limit
            At most so many.
        before
            Only those before this number; None: all.
        fates
            Only those with these fates.
        since_ms
            Only those since this time in ms since 1970 UTC.
        """
        chosen = [str(each) for each in fates]
        select = (
            "SELECT number, subscription, message, fate, time_ms, attempt, reason, records FROM deliveries "
            f"WHERE subscription = ? AND number < ? AND time_ms >= ? AND fate IN ({', '.join('?' * len(chosen))}) "
            "ORDER BY number DESC LIMIT ?"
        )
        rows = self._read(select, subscription, before or 1 << 62, since_ms, *chosen, limit)
        return [_delivery(row) for row in rows]

    def delivery(self, number: int) -> Delivery | None:
        """An entry of the delivery log by its number; None where there is none."""
        select = "SELECT number, subscription, message, fate, time_ms, attempt, reason, records FROM deliveries"
        rows = self._read(f"{select} WHERE number = ?", number)
        return _delivery(rows[0]) if rows else None

    def audit(self, limit: int) -> list[AuditEntry]:
        """The last entries of the audit log, newest first."""
        select = "SELECT time_ms, who, what, subject, request FROM audit ORDER BY number DESC LIMIT ?"
        return [AuditEntry(*row) for row in self._read(select, limit)]

    def requests(self, since_ms: int) -> list[AuditEntry]:
        """The entries since a time whose requests may be sent again, in order."""
        select = "SELECT time_ms, who, what, subject, request FROM audit WHERE time_ms >= ? AND request != ''"
        return [AuditEntry(*row) for row in self._read(f"{select} ORDER BY number", since_ms)]

    def erase(self, change: Callable[[sqlite3.Connection], None]) -> None:
        """Makes a change, all or none of it; what it deletes is in no file of the store afterwards.

        Raises
        ------
        AlertStoreError
            It cannot be written.
        """
        self._transact(lambda: change(self._db))
        self._read("PRAGMA wal_checkpoint(TRUNCATE)")

    def deleted(self) -> set[str]:
        """The ids of subscriptions that were deleted and are not made again; see `ownership` and `forgetting`."""
        return {name for (name,) in self._read("SELECT id FROM deleted")}

    def _write(self, changes: Changes) -> None:
        db = self._db
        db.executemany("DELETE FROM rows WHERE key = ?", [(key,) for key, row in changes.rows.items() if row is None])
        db.executemany(
            "INSERT OR REPLACE INTO rows VALUES (?, ?)",
            [(key, row) for key, row in changes.rows.items() if row is not None],
        )
        db.executemany(
            "INSERT INTO deliveries (subscription, message, fate, time_ms, attempt, reason, records)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (name, each.message, str(each.fate), each.time_ms, each.attempt, each.reason,
                 orjson.dumps(each.records).decode())
                for name, each in changes.deliveries
            ],
        )  # fmt: skip
        for name, registered in changes.subscriptions.items():
            if registered is None:
                db.execute("DELETE FROM subscriptions WHERE id = ?", (name,))
                if name.startswith(OWNED):
                    db.execute("INSERT OR IGNORE INTO deleted VALUES (?)", (name,))
            else:
                row = (name, registered.subscription.owner, to_row(registered, self._vault))
                db.execute("INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?)", row)
        db.executemany("INSERT INTO audit (time_ms, who, what, subject, request) VALUES (?, ?, ?, ?, ?)", changes.audit)
        if changes.cursor is not None:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('cursor', ?)", (str(changes.cursor),))

    def _read(self, select: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(select, values).fetchall()
        except sqlite3.Error as error:
            raise AlertStoreError(f"cannot read {self.path}: {error}") from None

    def _transact(self, write: Callable[[], object]) -> None:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                write()
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise AlertStoreError(f"cannot write to {self.path}: {error}") from None


def _record(row: bytes) -> FlagRecord:
    return record_from_dict(orjson.loads(row))


def _delivery(row: tuple[Any, ...]) -> Delivery:
    number, subscription, message, fate, time_ms, attempt, reason, records = row
    entry = LogEntry(message, Fate(fate), time_ms, attempt, reason, tuple(orjson.loads(records)))
    return Delivery(number, subscription, entry)
