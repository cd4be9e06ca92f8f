"""Flag records for whoever listens: each listener reads them from the store, so that a slow one costs no memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import NamedTuple

from stream_app.alerts.records import AlertRecord
from stream_app.alerts.store import AlertStore

#: Listeners at one time, and records that are read for one at a time.
LISTENERS_MAX, PAGE = 100, 50


class Page(NamedTuple):
    """Some records, in order, each with its number."""

    #: The number of the last record that the listener then has.
    last: int
    records: list[tuple[int, AlertRecord]]


class FlagFeed:
    """Follows the flag records of a store.

    Parameters
    ----------
    store
        The store.
    """

    def __init__(self, store: AlertStore) -> None:
        self._store = store
        self._listeners: set[asyncio.Event] = set()
        self._closed = False

    def __len__(self) -> int:
        """Listeners."""
        return len(self._listeners)

    @property
    def full(self) -> bool:
        """Whether no further listener may begin."""
        return self._closed or len(self._listeners) >= LISTENERS_MAX

    def announce(self) -> None:
        """The store has new records."""
        for each in self._listeners:
            each.set()

    def close(self) -> None:
        """Ends all listeners."""
        self._closed = True
        self.announce()

    async def follow(self, after: int | None, seconds: float) -> AsyncGenerator[Page, None]:
        """Follows the records until the feed is closed.

        Parameters
        ----------
        after
            The number of the last record that the listener has; None: it has all that there are.
        seconds
            Seconds after which an empty page is given where there is no record.

        Yields
        ------
        Page
            The next records; the first page is empty.
        """
        woken = asyncio.Event()
        self._listeners.add(woken)
        try:
            # A number beyond the last one is of a log that is gone.
            last = await asyncio.to_thread(self._store.last_flag)
            number = min(after, last) if after is not None else last
            yield Page(number, [])
            while not self._closed:
                woken.clear()
                found = await asyncio.to_thread(self._store.flags_after, number, PAGE)
                if found:
                    number = found[-1][0]
                    yield Page(number, [(each, record) for each, _, record in found])
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await woken.wait()
                        continue
                yield Page(number, [])
        finally:
            self._listeners.discard(woken)
