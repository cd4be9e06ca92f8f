"""One partition of the topic of deliveries: the mailboxes of its subscriptions, in a table, and their notifier.

What mailboxes take is committed with the position after it. What becomes of messages is committed as it happens, at the
same position, with the entries of the delivery log as its outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiokafka.errors import KafkaError

from stream_app.alerts.clocks import Clocks
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.notifier import Notifier, Save
from stream_app.alerts.registered import Registered
from stream_app.alerts.saved import AlertStoreError, Changes
from stream_app.kafka.alerting.deliveries import Again, Matched, read_delivery
from stream_app.kafka.alerting.log_entries import delivery_message
from stream_app.kafka.alerting.malformed import ignore
from stream_app.kafka.alerting.subscription_log import SubscriptionLog
from stream_app.kafka.clients.producer import Send
from stream_app.kafka.clients.retry import Problem, retry
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import NotifierCounts
from stream_app.kafka.processing.partitioner import TICK, partition_of
from stream_app.kafka.records import Batch, Record
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import PartitionTable

log = logging.getLogger(__name__)

#: Seconds for which attempts that are under way are waited for before a partition is given up.
DRAIN_SECONDS = 8.0

#: Makes the notifier of a partition, which saves changes as it is told.
MakeNotifier = Callable[[Save], Notifier]


class MailboxPartition:
    """Takes the batches of one partition, and sends the messages of its mailboxes.

    Parameters
    ----------
    number
        The number of this partition.
    partitions
        How many there are.
    names
        The topics.
    table
        The state of this partition.
    subscriptions
        All subscriptions of the group.
    make_notifier
        As of `MakeNotifier`.
    send
        Sends messages to topics; it raises KafkaError.
    wake
        Writes a record into this partition that says nothing.
    counts
        Where records are counted.
    clocks
        The clocks.
    on_changes
        Called with what was committed.
    """

    def __init__(
        self,
        number: int,
        partitions: int,
        names: Names,
        table: PartitionTable,
        subscriptions: SubscriptionLog,
        make_notifier: MakeNotifier,
        send: Send,
        wake: Callable[[int], Awaitable[None]],
        counts: NotifierCounts,
        clocks: Clocks,
        on_changes: Callable[[Changes], None],
    ) -> None:
        self.number = number
        self.table = table
        self.needs_restore = False
        self._partitions = partitions
        self._names = names
        self._subscriptions = subscriptions
        self._send = send
        self._wake = wake
        self._counts = counts
        self._clocks = clocks
        self._on_changes = on_changes
        self.notifier = make_notifier(self._save)
        self._tasks: list[asyncio.Task[None]] = []
        self._running: asyncio.Task[None] | None = None
        self._committing = asyncio.Lock()
        #: Why nothing can be committed any more: the mailboxes are ahead of Kafka then, and must be restored.
        self._failure: Exception | None = None
        self._closed = False

    async def open(self) -> None:
        """Restores the mailboxes, takes the partition over, and begins to send.

        Raises
        ------
        ForeignAppendError
            Another process keeps writing to the changelog.
        """
        began = time.monotonic()
        restored = await self.table.restore()
        self._counts.copies_damaged += self.table.damaged
        await self._send(restored.outbox)
        await self._subscriptions.log.read_to_end()
        mine = [each for name, each in self._subscriptions.registered.items() if self.has(name)]
        self.notifier.load(mine, {key: row for key, row in restored.rows.items() if not key.startswith(b"\x00")})
        self._counts.restore.add(time.monotonic() - began)
        self._running = self._start(self.notifier.run())

    def has(self, name: str) -> bool:
        """Whether a subscription belongs to this partition."""
        return partition_of(name, self._partitions) == self.number

    def changed(self, name: str, registered: Registered | None) -> None:
        """Takes a subscription of this partition that has changed; None: it was deleted."""
        if registered is None:
            self.notifier.remove(name, stored=True)
        else:
            self.notifier.put(registered, stored=True)

    async def apply(self, batch: Batch, owned: Callable[[], bool]) -> None:
        """Takes a batch and marks it done.

        Parameters
        ----------
        batch
            Records in offset order; those that the mailboxes already have are skipped.
        owned
            Whether the partition still belongs to this process.

        Raises
        ------
        ForeignAppendError, KafkaError
            What was committed is not known; the partition must be restored.
        """
        if not owned():
            return
        has_read = False
        for record in batch.records:
            delivery = self._read(record) if record.offset >= self.table.position else None
            if delivery is None:
                continue
            if not has_read and delivery.subscription not in self.notifier.registered:
                await self._subscriptions.log.read_to_end()  # it may have been made a moment ago
                has_read = True
            self._take(delivery, record.timestamp)
        self.notifier.reach(max(batch.end, self.table.position))
        try:
            await self.notifier.saved()
        except AlertStoreError:
            if self._failure is None and not self._closed:
                raise
        if self._closed:
            return  # what it takes after that is saved by nobody
        if self._failure is not None:
            raise self._failure
        batch.done = True

    async def drain(self) -> None:
        """Sends nothing more; returns when attempts under way are finished and saved, or have taken too long."""
        if self._running is not None:
            self._running.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._tasks:
                    await asyncio.wait(self._tasks)
                async with self._committing:  # a commit that has begun is finished
                    pass

    def close(self) -> None:
        """Ends sending, and closes the local copy. Attempts under way are repeated by the next owner."""
        self._closed = True
        self.notifier.leave()
        for task in self._tasks:
            task.cancel()
        self.table.close()

    def _read(self, record: Record) -> Matched | Again | None:
        """The delivery in a record; None where there is none, which is counted unless the record only wakes."""
        if any(name == TICK for name, _ in record.headers):
            return None
        try:
            return read_delivery(record.key, record.value)
        except ValueError as error:
            ignore(record, error, self._counts)
            return None

    def _take(self, delivery: Matched | Again, time_ms: int) -> None:
        name = delivery.subscription
        if name not in self.notifier.registered:
            self._drop(delivery, time_ms)
        elif isinstance(delivery, Matched):
            self.notifier.deliver(name, delivery.record, delivery.logged_ms, exact=delivery.exact)
        else:
            self.notifier.again(name, delivery.message, delivery.records, self._clocks.now_ms())

    def _drop(self, delivery: Matched | Again, time_ms: int) -> None:
        """Logs that there is nobody to send it to; with the time of its record, so that doubles are alike."""
        records = (delivery.record,) if isinstance(delivery, Matched) else delivery.records
        message = delivery.record.id if isinstance(delivery, Matched) else delivery.message
        entry = LogEntry(
            message,
            Fate.DROPPED,
            time_ms,
            0,
            "the subscription was deleted",
            tuple(each.id for each in records),
        )
        self.notifier.note(delivery.subscription, entry)

    async def _save(self, changes: Changes) -> None:
        # A commit that has begun is finished, also where whoever waits for it is cancelled.
        await asyncio.shield(asyncio.ensure_future(self._save_in_turn(changes)))

    async def _save_in_turn(self, changes: Changes) -> None:
        async with self._committing:
            if self._failure is None and not self._closed:
                try:
                    await self._commit(changes)
                except Exception as error:  # whatever it is, the mailboxes are ahead of Kafka now
                    self._fail(error)
                else:
                    return
        why = self._failure or "it was given up"
        raise AlertStoreError(f"partition {self.number} of {self._names.deliveries}: {why}")

    async def _commit(self, changes: Changes) -> None:
        outbox: list[Message] = [
            delivery_message(self._names.alert_log, name, entry) for name, entry in changes.deliveries
        ]
        position = changes.cursor if changes.cursor is not None else self.table.position
        if changes.rows or outbox or changes.cursor is not None:
            await self.table.commit(list(changes.rows.items()), outbox, position)
            self._counts.commits += 1
            self._counts.rows += len(changes.rows)
            await self._send(outbox)
        self._on_changes(changes)
        for name, registered in changes.subscriptions.items():
            self._start(self._write(name, registered))

    async def _write(self, name: str, registered: Registered | None) -> None:
        """Writes a subscription that the notifier has changed itself: it has disabled it."""
        try:
            await self._subscriptions.write(name, registered)
        except Exception as error:  # it is disabled again when its next message fails
            log.warning("subscription %s could not be changed: %s", name, error)

    async def _ask_for_restore(self) -> None:
        """A partition is restored when a batch finds that it must be: makes sure that there is one."""

        async def wake() -> bool:
            await self._wake(self.number)
            return True

        try:
            await retry(wake, Problem(log).report, f"partition {self.number} must be restored")
        except KafkaError as error:
            log.error("partition %d must be restored, and cannot be: %r", self.number, error)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("sending in partition %d has failed", self.number, exc_info=task.exception())
            self._fail(AlertStoreError(f"sending has failed: {task.exception()!r}"))

    def _fail(self, error: Exception) -> None:
        self.needs_restore = True
        if self._failure is None and not self._closed:
            self._start(self._ask_for_restore())
        self._failure = self._failure or error
