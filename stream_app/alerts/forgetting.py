"""Deletes what is kept of an owner: subscriptions with their messages, and what is logged of them.

An owner who was forgotten is not subscribed by default again. What tells that is a digest, which names nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from stream_app.alerts.ownership import subscription_id
from stream_app.alerts.registered import Registered
from stream_app.alerts.store import KEEP_DAYS, AlertStore, AuditEntry
from stream_app.alerts.subscriptions import Subscription


class Subscribers(Protocol):
    """Whoever has the subscriptions."""

    @property
    def registered(self) -> Mapping[str, Registered]:
        """The subscriptions, by id."""

    def remove(self, name: str) -> None:
        """Removes a subscription with its messages."""

    def audit(self, entry: AuditEntry) -> None:
        """Adds an entry to the audit log."""

    async def saved(self) -> None:
        """Returns when all changes so far are saved."""


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
    store
        Keeps what is logged of them.
    """

    def __init__(self, subscribers: Subscribers, store: AlertStore) -> None:
        self._subscribers = subscribers
        self._store = store
        self._marks = {each for each in store.deleted() if each.startswith(_MARK)}

    def has(self, owner: str) -> bool:
        """Whether an owner was forgotten."""
        return bool(self._marks) and _mark(owner) in self._marks

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
        logged, pseudonym = {*names, subscription_id(owner)}, f"forgotten-{secrets.token_hex(4)}"
        erasure = _Erasure(logged, owner, pseudonym)
        self._marks.add(_mark(owner))
        # Twice: without the subscriptions nobody could tell which entries to delete if the process died in between.
        await asyncio.to_thread(self._store.erase, erasure)
        for name in names:
            self._subscribers.remove(name)
        await self._subscribers.saved()
        await asyncio.to_thread(self._store.erase, erasure)
        self._subscribers.audit(AuditEntry(now_ms, who if who != owner else pseudonym, "forget-owner", pseudonym))
        await self._subscribers.saved()
        others = self._subscribers.registered.items()
        named = tuple(sorted(name for name, each in others if _names(each.subscription, owner)))
        return Forgotten(owner, len(names), erasure.deliveries, erasure.audit_entries, named, KEEP_DAYS)


#: How marks begin; ids of subscriptions do not.
_MARK = "sha256:"


def _mark(owner: str) -> str:
    """Tells that an owner was forgotten."""
    return f"{_MARK}{hashlib.sha256(subscription_id(owner).encode()).hexdigest()}"


class _Erasure:
    """Deletes what is logged of subscriptions, and counts it."""

    def __init__(self, logged: set[str], owner: str, pseudonym: str) -> None:
        self._logged = sorted(logged)
        self._owner = owner
        self._pseudonym = pseudonym
        self.deliveries = self.audit_entries = 0

    def __call__(self, db: sqlite3.Connection) -> None:
        for name in self._logged:
            self.deliveries += db.execute("DELETE FROM deliveries WHERE subscription = ?", (name,)).rowcount
            audited = "UPDATE audit SET subject = ?, request = '' WHERE subject = ?"
            self.audit_entries += db.execute(audited, (self._pseudonym, name)).rowcount
            db.execute("DELETE FROM deleted WHERE id = ?", (name,))
        by_owner = "UPDATE audit SET who = ? WHERE who = ?"
        self.audit_entries += db.execute(by_owner, (self._pseudonym, self._owner)).rowcount
        db.execute("INSERT OR IGNORE INTO deleted VALUES (?)", (_mark(self._owner),))


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
