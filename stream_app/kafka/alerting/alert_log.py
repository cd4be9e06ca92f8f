"""The alert log as each notifier has it: read from its topic into a file, from which questions are answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from stream_app.alerts.feed import FlagFeed
from stream_app.alerts.forgetting import Erasure
from stream_app.alerts.saved import AlertStoreError, Delivery, LogPage
from stream_app.alerts.store import AlertStore
from stream_app.kafka.alerting.log_entries import LoggedAudit, LoggedFlag, read_entry
from stream_app.kafka.alerting.malformed import ignore
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.retry import Problem
from stream_app.kafka.clients.whole_log import WholeLog
from stream_app.kafka.metrics.counts import NotifierCounts
from stream_app.kafka.records import Record

log = logging.getLogger(__name__)

#: Seconds between two tries while the file cannot be written, and between two deletions of what is old.
_AGAIN_SECONDS, _DELETE_SECONDS = 1.0, 3_600.0


class AlertLog:
    """Follows the alert log.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The topic.
    topic_id
        Its id: a topic made anew is another log.
    store
        The file.
    now_ms
        The clock, in ms since 1970 UTC.
    counts
        Where records are counted.

    Raises
    ------
    AlertStoreError
        The file cannot be read.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        topic_id: str,
        store: AlertStore,
        now_ms: Callable[[], int],
        counts: NotifierCounts,
    ) -> None:
        known, position = store.followed()
        self._topic_id = topic_id
        self._store = store
        self._now_ms = now_ms
        self._problem = Problem(log)
        self._counts = counts
        self.log = WholeLog(connection, topic, self._take, position if known == topic_id else 0)
        self.feed = FlagFeed(store)
        #: Erasures that this process waits for, by pseudonym: they count what is erased.
        self.waiting: dict[str, Erasure] = {}

    @property
    def unavailable_reason(self) -> str:
        """Why the file cannot be written now; "" when it can."""
        return self._problem.text

    async def delete_old(self) -> None:
        """Deletes what is old from the file, until cancelled."""
        while True:
            with contextlib.suppress(AlertStoreError):  # whatever else is written reports it
                await asyncio.to_thread(self._store.delete_old, self._now_ms())
            await asyncio.sleep(_DELETE_SECONDS)

    async def _take(self, records: Sequence[Record], position: int) -> None:
        page = LogPage(self._topic_id, position)
        for record in records:
            if page.erasures:  # it erases what is before it, wherever a page ends
                page.position = record.offset
                await self._store_page(page)
                page = LogPage(self._topic_id, position)
            self._add(page, record)
        await self._store_page(page)

    async def _store_page(self, page: LogPage) -> None:
        while True:
            try:
                await asyncio.to_thread(self._store.follow, page)
            except AlertStoreError as error:
                self._problem.report(str(error))
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                break
        self._problem.report("")
        if page.flags:
            self.feed.announce()

    def _add(self, page: LogPage, record: Record) -> None:
        # Numbers begin at 1: 0 stands for the beginning.
        try:
            entry = read_entry(record.offset + 1, record.value or b"")
        except ValueError as error:
            ignore(record, error, self._counts)
            return
        if isinstance(entry, LoggedFlag):
            page.flags.append((entry.number, entry.logged_ms, entry.record))
        elif isinstance(entry, Delivery):
            page.deliveries.append(entry)
        elif isinstance(entry, LoggedAudit):
            page.audit.append((entry.number, entry.entry))
        else:
            page.erasures.append(self.waiting.get(entry.pseudonym, entry))
