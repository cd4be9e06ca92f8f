"""What is saved of alerts, and what is answered of it: values."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.registered import Registered
from stream_app.errors import StreamAppError


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
    #: What identifies the request, where it may be sent again; see `SubscriptionService.create`.
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
    switch
        What the kill switch switches off, in JSON; None: as before.
    """

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    deliveries: list[tuple[str, LogEntry]] = field(default_factory=list)
    subscriptions: dict[str, Registered | None] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)
    cursor: int | None = None
    switch: str | None = None

    def __bool__(self) -> bool:
        fields = (self.rows, self.deliveries, self.subscriptions, self.audit)
        return any(fields) or self.cursor is not None or self.switch is not None


def merged(first: Changes, second: Changes) -> Changes:
    """Two sets of changes as one; where they differ the second holds."""
    return Changes(
        rows={**first.rows, **second.rows},
        deliveries=[*first.deliveries, *second.deliveries],
        subscriptions={**first.subscriptions, **second.subscriptions},
        audit=[*first.audit, *second.audit],
        cursor=second.cursor if second.cursor is not None else first.cursor,
        switch=second.switch if second.switch is not None else first.switch,
    )


def delivery_row(entry: LogEntry) -> tuple[str, str, int, int, str, str]:
    """An entry of the delivery log as the columns of its row."""
    records = orjson.dumps(entry.records).decode()
    return entry.message, str(entry.fate), entry.time_ms, entry.attempt, entry.reason, records


def delivery_of(row: tuple[Any, ...]) -> Delivery:
    """The delivery of a row, whose columns are its number, its subscription and those of its entry."""
    number, subscription, message, fate, time_ms, attempt, reason, records = row
    entry = LogEntry(message, Fate(fate), time_ms, attempt, reason, tuple(orjson.loads(records)))
    return Delivery(number, subscription, entry)


def erased(name: str) -> str:
    """What tells that the log of a subscription was erased, without its id."""
    return f"erased:{hashlib.sha256(name.encode()).hexdigest()}"


@dataclass(slots=True)
class LogPage:
    """Entries of a log that is kept elsewhere, with the numbers that they have there.

    Parameters
    ----------
    log
        The id of the log.
    position
        The position after the page.
    flags
        Number, log time in ms since 1970 UTC, and record of flag records.
    deliveries
        Entries of the delivery log.
    audit
        Number and entry of entries of the audit log.
    erasures
        What is to be deleted after that from the tables; each counts what it deletes.
    """

    log: str
    position: int
    flags: list[tuple[int, int, AlertRecord]] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    audit: list[tuple[int, AuditEntry]] = field(default_factory=list)
    erasures: list[Callable[[sqlite3.Connection], None]] = field(default_factory=list)
