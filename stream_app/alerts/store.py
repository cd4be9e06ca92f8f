"""The store of subscriptions, their mailboxes, the delivery log and the audit log: one SQLite file beside `serve`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from stream_app.alerts.filters import matcher
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.messages import Fate
from stream_app.alerts.ownership import PREFIX as OWNED
from stream_app.alerts.records import AlertRecord, record_from_dict, record_to_dict
from stream_app.alerts.registered import Registered, from_row, to_row
from stream_app.alerts.saved import (
    AlertStoreError,
    AuditEntry,
    Changes,
    Delivery,
    LogPage,
    delivery_of,
    delivery_row,
    erased,
)
from stream_app.alerts.secrets import Vault
from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError

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
CREATE INDEX IF NOT EXISTS deliveries_by_message ON deliveries (message);
CREATE INDEX IF NOT EXISTS deliveries_by_time ON deliveries (time_ms);
CREATE TABLE IF NOT EXISTS audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
  subject TEXT NOT NULL, request TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deleted (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quiet (
  subscription TEXT NOT NULL, flag TEXT NOT NULL, until_ms INTEGER, why TEXT NOT NULL, expires_ms INTEGER NOT NULL,
  PRIMARY KEY (subscription, flag)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used_links (nonce TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL) WITHOUT ROWID;
"""


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
        self.vault = vault
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

    def append_flags(self, records: Iterable[AlertRecord], logged_ms: int) -> None:
        """Appends flag records; one that is there already is left as it is.

        Raises
        ------
        AlertStoreError
            They cannot be written.
        """
        self.append_logged((logged_ms, record) for record in records)

    def append_logged(self, records: Iterable[tuple[int, AlertRecord]]) -> None:
        """Appends flag records, each with its log time in ms since 1970 UTC; see `append_flags`."""
        rows = [(each.id, each.subject, logged_ms, orjson.dumps(record_to_dict(each))) for logged_ms, each in records]
        insert = "INSERT OR IGNORE INTO flags (id, flag, logged_ms, record) VALUES (?, ?, ?, ?)"
        self._transact(lambda: self._db.executemany(insert, rows))

    def follow(self, page: LogPage) -> None:
        """Stores a page of a log that is kept elsewhere; what is stored already is left as it is.

        Parameters
        ----------
        page
            The page. One of another log than the last one replaces everything; one that ends before the last one says
            that the log has lost its end, and what is stored of that is deleted.

        Raises
        ------
        AlertStoreError
            It cannot be written.
        """

        def write() -> None:
            log, position = self._followed()
            if log != page.log or page.position < position:
                kept = page.position if log == page.log else 0
                for table in ("flags", "deliveries", "audit"):
                    self._db.execute(f"DELETE FROM {table} WHERE number > ?", (kept,))
            self._db.executemany(
                "INSERT OR IGNORE INTO flags (number, id, flag, logged_ms, record) VALUES (?, ?, ?, ?, ?)",
                [
                    (number, each.id, each.subject, logged_ms, orjson.dumps(record_to_dict(each)))
                    for number, logged_ms, each in page.flags
                ],
            )
            for _, entry in page.audit:
                if entry.what == "create":
                    self._db.execute("DELETE FROM deleted WHERE id = ?", (erased(entry.subject),))
            gone = {name for (name,) in self._db.execute("SELECT id FROM deleted WHERE id LIKE 'erased:%'")}
            # A writer that died may have written an entry twice. What was erased may be logged a moment later.
            self._db.executemany(
                "INSERT OR IGNORE INTO deliveries"
                " (number, subscription, message, fate, time_ms, attempt, reason, records)"
                " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE message = ?3"
                " AND subscription = ?2 AND fate = ?4 AND time_ms = ?5 AND attempt = ?6)",
                [
                    (each.number, each.subscription, *delivery_row(each.entry))
                    for each in page.deliveries
                    if not gone or erased(each.subscription) not in gone
                ],
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO audit (number, time_ms, who, what, subject, request) VALUES (?, ?, ?, ?, ?, ?)",
                [(number, *entry) for number, entry in page.audit],
            )
            for erase in page.erasures:
                erase(self._db)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('log', ?)", (f"{page.log} {page.position}",))

        self._transact(write)
        if page.erasures:
            self._read("PRAGMA wal_checkpoint(TRUNCATE)")

    def followed(self) -> tuple[str, int]:
        """The log that is followed, and the position in it up to which it is stored; "" and 0: none is.

        Raises
        ------
        AlertStoreError
            The file cannot be read.
        """
        try:
            with self._lock:
                return self._followed()
        except sqlite3.Error as error:
            raise AlertStoreError(f"cannot read {self.path}: {error}") from None

    def _followed(self) -> tuple[str, int]:
        found = self._db.execute("SELECT value FROM meta WHERE name = 'log'").fetchone()
        if found is None:
            return "", 0
        log, _, position = str(found[0]).rpartition(" ")
        return log, int(position)

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
        return [from_row(row, self.vault) for (row,) in self._read("SELECT row FROM subscriptions ORDER BY id")]

    def rows(self) -> Mapping[bytes, bytes]:
        """The rows of all mailboxes."""
        return dict(self._read("SELECT key, value FROM rows"))

    def cursor(self) -> int:
        """The number of the last flag record that the mailboxes have."""
        found = self._read("SELECT value FROM meta WHERE name = 'cursor'")
        return int(found[0][0]) if found else 0

    def switch(self) -> str:
        """What the kill switch switches off, in JSON; "" where it was never turned. Raises AlertStoreError."""
        found = self._read("SELECT value FROM meta WHERE name = 'acting'")
        return str(found[0][0]) if found else ""

    def flags_after(self, number: int, limit: int = 1_000) -> list[tuple[int, int, AlertRecord]]:
        """Flag records in order: number, log time in ms since 1970 UTC, and record."""
        select = "SELECT number, logged_ms, record FROM flags WHERE number > ? ORDER BY number LIMIT ?"
        return [(each, logged, _record(row)) for each, logged, row in self._read(select, number, limit)]

    def last_flag(self) -> int:
        """The number of the last flag record."""
        ((number,),) = self._read("SELECT coalesce(max(number), 0) FROM flags")
        return int(number)

    def flags_since(self, logged_ms: int) -> Iterator[tuple[int, AlertRecord]]:
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
            if isinstance(record, FlagRecord) and chosen(record.pipeline) and not (opened and record.is_end):
                found.append(record)
                if len(found) == limit:
                    break
        return found

    def flag(self, name: str) -> FlagRecord | None:
        """The last record of a flag by its id; None where there is none."""
        rows = self._read("SELECT record FROM flags WHERE flag = ? ORDER BY number DESC LIMIT 1", name)
        record = _record(rows[0][0]) if rows else None
        return record if isinstance(record, FlagRecord) else None

    def records(self, ids: Iterable[str]) -> list[AlertRecord]:
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
        return [delivery_of(row) for row in rows]

    def delivery(self, number: int) -> Delivery | None:
        """An entry of the delivery log by its number; None where there is none."""
        select = "SELECT number, subscription, message, fate, time_ms, attempt, reason, records FROM deliveries"
        rows = self._read(f"{select} WHERE number = ?", number)
        return delivery_of(rows[0]) if rows else None

    def audit(self, limit: int) -> list[AuditEntry]:
        """The last entries of the audit log, newest first."""
        select = "SELECT time_ms, who, what, subject, request FROM audit ORDER BY number DESC LIMIT ?"
        return [AuditEntry(*row) for row in self._read(select, limit)]

    def request(self, identity: str, since_ms: int) -> AuditEntry | None:
        """The entry after a time whose request begins with what identifies it; None where there is none."""
        select = (
            "SELECT time_ms, who, what, subject, request FROM audit "
            "WHERE time_ms > ? AND request >= ? AND request < ? ORDER BY number LIMIT 1"
        )
        rows = self._read(select, since_ms, f"{identity} ", f"{identity}!")
        return AuditEntry(*rows[0]) if rows else None

    def change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Makes a change, all or none of it; raises AlertStoreError where it cannot be written."""
        self._transact(lambda: change(self._db))

    def erase(self, change: Callable[[sqlite3.Connection], None]) -> None:
        """Makes a change as `change` does; what it deletes is in no file of the store afterwards."""
        self.change(change)
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
            [(name, *delivery_row(each)) for name, each in changes.deliveries],
        )
        for name, registered in changes.subscriptions.items():
            if registered is None:
                db.execute("DELETE FROM subscriptions WHERE id = ?", (name,))
                if name.startswith(OWNED):
                    db.execute("INSERT OR IGNORE INTO deleted VALUES (?)", (name,))
            else:
                row = (name, registered.subscription.owner, to_row(registered, self.vault))
                db.execute("INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?)", row)
        db.executemany("INSERT INTO audit (time_ms, who, what, subject, request) VALUES (?, ?, ?, ?, ?)", changes.audit)
        if changes.cursor is not None:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('cursor', ?)", (str(changes.cursor),))
        if changes.switch is not None:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('acting', ?)", (changes.switch,))

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
                raise AlertStoreError(f"cannot write to {self.path}: {error}") from None
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


def _record(row: bytes) -> AlertRecord:
    return record_from_dict(orjson.loads(row))
