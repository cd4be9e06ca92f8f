"""Flags that a subscription is not to hear of, for a while or at all: somebody has snoozed or muted them.

Only messages are held back. The flag stays what it is, and so does what follows from it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from stream_app.alerts.hook_sinks import HOOKS
from stream_app.alerts.mailbox import Mailbox
from stream_app.alerts.messages import Fate, LogEntry, Message
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.store import KEEP_DAYS, AlertStore
from stream_app.core.units import DAY_MS
from stream_app.times import time_to_text

#: For how long it is kept that a flag is muted, in ms: for longer than its records.
KEEP_MS = (KEEP_DAYS + 2) * DAY_MS


@dataclass(frozen=True, slots=True)
class Quiet:
    """That a subscription is not to hear of a flag.

    Parameters
    ----------
    until_ms
        Until when, in ms since 1970 UTC; None: not at all.
    why
        Who wants it, and why.
    expires_ms
        When it can be forgotten, in ms since 1970 UTC.
    """

    until_ms: int | None
    why: str
    expires_ms: int

    @property
    def reason(self) -> str:
        """What the delivery log says."""
        if self.until_ms is None:
            return f"muted by {self.why}"
        return f"held until {time_to_text(self.until_ms)}: snoozed by {self.why}"


#: Returns whether a subscription is not to hear of a flag, by their ids.
QuietOf = Callable[[str, str], Quiet | None]


class Quiets(Protocol):
    """Remembers which flags are quiet, beyond restarts and for all processes that send messages."""

    def of(self, subscription: str, flag: str) -> Quiet | None:
        """Whether a subscription is not to hear of a flag."""

    async def put(self, subscription: str, flag: str, quiet: Quiet) -> None:
        """Keeps it; returns when that is stored. Raises AlertStoreError."""


class StoredQuiets:
    """The quiet flags in the store of a service that is the only one.

    Parameters
    ----------
    store
        The store.
    now_ms
        The clock, in ms since 1970 UTC.

    Raises
    ------
    AlertStoreError
        The store cannot be read.
    """

    def __init__(self, store: AlertStore, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._quiet: dict[tuple[str, str], Quiet] = {}
        store.change(self._load)

    def of(self, subscription: str, flag: str) -> Quiet | None:
        """Whether a subscription is not to hear of a flag."""
        return self._quiet.get((subscription, flag))

    async def put(self, subscription: str, flag: str, quiet: Quiet) -> None:
        """Keeps it; see `Quiets.put`."""

        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM quiet WHERE expires_ms < ?", (self._now_ms(),))
            row = (subscription, flag, quiet.until_ms, quiet.why, quiet.expires_ms)
            db.execute("INSERT OR REPLACE INTO quiet VALUES (?, ?, ?, ?, ?)", row)

        await asyncio.to_thread(self._store.change, write)
        self._quiet[subscription, flag] = quiet

    def _load(self, db: sqlite3.Connection) -> None:
        for subscription, flag, *fields in db.execute("SELECT * FROM quiet"):
            self._quiet[subscription, flag] = Quiet(*fields)


def hold_back(mailbox: Mailbox, message: Message, quiet_of: QuietOf, now_ms: int) -> Result | None:
    """Takes out of a message that is about to be sent what must not be sent now.

    Parameters
    ----------
    mailbox, message
        The mailbox and the message.
    quiet_of
        Tells which flags are quiet.
    now_ms
        The time in ms since 1970 UTC.

    Returns
    -------
    Result or None
        What becomes of the message; None: what is left of it is to be sent.
    """
    subscription = mailbox.subscription
    if isinstance(subscription.sink, HOOKS):
        return None  # it tells nobody anything, and what it does is not for those who are told
    held: dict[str, Quiet] = {}
    for record in message.records:
        quiet = quiet_of(subscription.id, record.subject)
        if quiet is not None and (quiet.until_ms is None or quiet.until_ms > now_ms):
            held[record.id] = quiet
    if not held:
        return None
    if len(message.records) == 1:
        (quiet,) = held.values()
        if quiet.until_ms is None:
            return Result(quiet.reason, dropped=True)
        return Result(quiet.reason, again_after=(quiet.until_ms - now_ms) / 1000.0)
    for record in [each for each in message.records if each.id in held]:
        quiet = held[record.id]
        fate = Fate.DROPPED if quiet.until_ms is None else Fate.POSTPONED
        mailbox.log.append(LogEntry(record.id, fate, now_ms, 0, quiet.reason, (record.id,)))
        if quiet.until_ms is not None:
            mailbox.again(record.id, [record], quiet.until_ms)
    message.records = [each for each in message.records if each.id not in held]
    mailbox.changed_messages.add(message.id)
    return None if message.records else Result("all of its flags are quiet", dropped=True)
