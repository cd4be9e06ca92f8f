"""Deletes what is kept of an owner: subscriptions with their messages, and what is logged of them.

An owner who was forgotten is not subscribed by default again. What tells that is a digest, which names nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sqlite3
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from stream_app.alerts.ownership import subscription_id
from stream_app.alerts.saved import AuditEntry, erased
from stream_app.alerts.store import KEEP_DAYS, AlertStore
from stream_app.alerts.subscribers import Subscribers
from stream_app.alerts.subscriptions import Subscription

#: How marks begin; ids of subscriptions do not.
_MARK = "sha256:"


def mark_of(owner: str) -> str:
    """What tells that an owner was forgotten, without the name."""
    return f"{_MARK}{hashlib.sha256(subscription_id(owner).encode()).hexdigest()}"


class Erasure:
    """Deletes what is logged of an owner, and counts it.

    Parameters
    ----------
    names
        The ids of the owner's subscriptions.
    owner
        The owner's name.
    pseudonym
        What stands in the place of the name in the audit log.
    """

    def __init__(self, names: Iterable[str], owner: str, pseudonym: str) -> None:
        self.names = sorted(names)
        self.owner = owner
        self.pseudonym = pseudonym
        #: Entries of the delivery log that were deleted, and of the audit log that were changed.
        self.deliveries = self.audit_entries = 0

    def __call__(self, db: sqlite3.Connection) -> None:
        """Deletes it from a store."""
        for name in self.names:
            self.deliveries += db.execute("DELETE FROM deliveries WHERE subscription = ?", (name,)).rowcount
            audited = "UPDATE audit SET subject = ?, request = '' WHERE subject = ?"
            self.audit_entries += db.execute(audited, (self.pseudonym, name)).rowcount
            db.execute("DELETE FROM deleted WHERE id = ?", (name,))
            db.execute("INSERT OR IGNORE INTO deleted VALUES (?)", (erased(name),))
        by_owner = "UPDATE audit SET who = ? WHERE who = ?"
        self.audit_entries += db.execute(by_owner, (self.pseudonym, self.owner)).rowcount
        db.execute("INSERT OR IGNORE INTO deleted VALUES (?)", (mark_of(self.owner),))


class Logs(Protocol):
    """Where it is logged what became of subscriptions."""

    def deleted(self) -> Container[str]:
        """The ids of subscriptions that are not made again, and marks of owners who were forgotten."""

    async def erase(self, erasure: Erasure) -> None:
        """Erases what is logged of an owner; may be done again."""


class StoredLogs:
    """Logs in a store; see `Logs`.

    Parameters
    ----------
    store
        The store.
    """

    def __init__(self, store: AlertStore) -> None:
        self._store = store
        self._deleted = store.deleted()

    def deleted(self) -> Container[str]:
        """What was deleted before, and since."""
        return self._deleted

    async def erase(self, erasure: Erasure) -> None:
        """Erases it in the store."""
        self._deleted.add(mark_of(erasure.owner))
        await asyncio.to_thread(self._store.erase, erasure)


@dataclass(frozen=True)
class Forgotten:
    """What was deleted of an owner.

    Parameters
    ----------
    owner
        The owner's name.
    subscriptions, deliveries
        How many subscriptions, and entries of the delivery log, were deleted.
    audit_entries
        How many entries of the audit log have a pseudonym in the place of the name.
    named_in
        Subscriptions of others that name the owner.
    days
        Days for which flags still name the owner.
    """

    owner: str
    subscriptions: int
    deliveries: int
    audit_entries: int
    named_in: tuple[str, ...]
    days: int


class Forgetting:
    """Forgets owners.

    Parameters
    ----------
    subscribers
        Has the subscriptions.
    logs
        Where it is logged what became of them.
    """

    def __init__(self, subscribers: Subscribers, logs: Logs) -> None:
        self._subscribers = subscribers
        self._logs = logs

    def has(self, owner: str) -> bool:
        """Whether an owner was forgotten."""
        return mark_of(owner) in self._logs.deleted()

    async def forget(self, who: str, owner: str, now_ms: int) -> Forgotten:
        """Deletes an owner's subscriptions, and what is logged of them.

        Parameters
        ----------
        who
            Whoever asks, for the audit log.
        owner
            The owner's name.
        now_ms
            The time in ms since 1970 UTC.

        Raises
        ------
        AlertStoreError
            It cannot be saved now. To ask again deletes the rest.
        """
        names = [name for name, each in self._subscribers.registered.items() if each.subscription.owner == owner[:200]]
        own = (subscription_id(owner), subscription_id(owner, findings=True))
        logged, pseudonym = {*names, *own}, f"forgotten-{secrets.token_hex(4)}"
        erasure = Erasure(logged, owner, pseudonym)
        # Twice: without the subscriptions nobody could tell which entries to delete if the process died in between.
        await self._logs.erase(erasure)
        for name in names:
            self._subscribers.remove(name)
        await self._subscribers.saved()
        await self._logs.erase(erasure)
        self._subscribers.audit(AuditEntry(now_ms, who if who != owner else pseudonym, "forget-owner", pseudonym))
        await self._subscribers.saved()
        others = self._subscribers.registered.items()
        named = tuple(sorted(name for name, each in others if _names(each.subscription, owner)))
        return Forgotten(owner, len(names), erasure.deliveries, erasure.audit_entries, named, KEEP_DAYS)


def _names(subscription: Subscription, owner: str) -> bool:
    """Whether an owner is named in what a subscription asks for, or where it sends."""
    level: list[Any] = [subscription.model_dump(mode="json", include={"filter", "sink"})]
    while level:
        each = level.pop()
        if each == owner:
            return True
        if isinstance(each, dict | list):
            level += each.values() if isinstance(each, dict) else each
    return False
