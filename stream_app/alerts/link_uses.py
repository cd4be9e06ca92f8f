"""Which links were used: each is good for one use, whichever process is asked first."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Protocol

from stream_app.alerts.store import AlertStore


class LinkUses(Protocol):
    """Remembers links, beyond restarts and for all processes that may be asked."""

    async def claim(self, nonce: str, expires_ms: int) -> bool:
        """Uses a link; returns when that is stored.

        Parameters
        ----------
        nonce
            What tells the link from all others.
        expires_ms
            Until when it has to be remembered, in ms since 1970 UTC.

        Returns
        -------
        bool
            Whether it was not used before.

        Raises
        ------
        AlertStoreError
            That is not known; the link must not be followed.
        """

    async def used(self, nonce: str) -> bool:
        """Whether a link was used, as far as is known here; raises AlertStoreError."""

    async def release(self, nonce: str) -> None:
        """Lets a link be used that was claimed in vain; raises AlertStoreError."""


class StoredUses:
    """The links that were used, in the store of a service that is the only one.

    Parameters
    ----------
    store
        The store.
    now_ms
        The clock, in ms since 1970 UTC.
    """

    def __init__(self, store: AlertStore, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms

    async def claim(self, nonce: str, expires_ms: int) -> bool:
        """Uses a link; see `LinkUses.claim`."""
        counts: list[int] = []

        def claim(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM used_links WHERE expires_ms < ?", (self._now_ms(),))
            counts.append(db.execute("INSERT OR IGNORE INTO used_links VALUES (?, ?)", (nonce, expires_ms)).rowcount)

        await asyncio.to_thread(self._store.change, claim)
        return counts == [1]

    async def used(self, nonce: str) -> bool:
        """Whether a link was used."""
        found: list[object] = []
        select = "SELECT 1 FROM used_links WHERE nonce = ?"
        await asyncio.to_thread(self._store.change, lambda db: found.extend(db.execute(select, (nonce,)).fetchall()))
        return bool(found)

    async def release(self, nonce: str) -> None:
        """Lets a link be used again."""
        await asyncio.to_thread(
            self._store.change, lambda db: db.execute("DELETE FROM used_links WHERE nonce = ?", (nonce,))
        )
