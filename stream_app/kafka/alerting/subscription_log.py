"""The topic of subscriptions: compacted, with one partition, read by every notifier.

Several notifiers may change one subscription at the same time. The order of the topic decides: a change counts where
its version follows the one before it. Whoever wrote a change that does not count is told, and writes the one that does
again, since compaction keeps the last record of a subscription.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from stream_app.alerts.ownership import PREFIX as OWNED
from stream_app.alerts.registered import Registered, from_row, to_row
from stream_app.alerts.saved import AlertStoreError
from stream_app.alerts.secrets import Vault
from stream_app.alerts.subscribers import ConflictError
from stream_app.errors import StateError
from stream_app.kafka.alerting.whole_log import WholeLog
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.records import Record

log = logging.getLogger(__name__)

#: Seconds after which a change that Kafka has not taken is reported as not possible now.
_WRITE_SECONDS = 10.0
#: Header by which a writer finds its own change, and the value of a subscription that must not be made again.
_CHANGE, _DELETED = "change", b"deleted"


class SubscriptionLog:
    """The subscriptions of a group.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The topic.
    vault
        Encrypts the secrets of subscriptions.
    producer
        A started producer.
    on_change
        Called with each subscription that has changed; with None where it was deleted.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        vault: Vault,
        producer: AIOKafkaProducer,
        on_change: Callable[[str, Registered | None], None],
    ) -> None:
        self._topic = topic
        self._vault = vault
        self._producer = producer
        self._on_change = on_change
        self.log = WholeLog(connection, topic, self._take)
        self.registered: dict[str, Registered] = {}
        #: Subscriptions of owners that were deleted and are not made again; see `ownership` and `forgetting`.
        self.deleted: set[str] = set()
        self._values: dict[str, bytes] = {}
        self._gone: set[str] = set()
        #: Changes of this process that do not count.
        self._refused: set[bytes] = set()

    async def write(self, name: str, registered: Registered | None) -> None:
        """Changes a subscription.

        Parameters
        ----------
        name
            Its id.
        registered
            The subscription; None deletes it.

        Raises
        ------
        ConflictError
            Another change came first.
        AlertStoreError
            Kafka has not taken the change in time; it may yet.
        """
        if registered is not None:
            value: bytes | None = to_row(registered, self._vault)
        else:
            value = _DELETED if name.startswith(OWNED) else None
        change = uuid4().bytes
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                offset = await self._append(name, value, change)
                await self.log.reached(offset + 1)
        except TimeoutError:
            raise AlertStoreError(f"Kafka has not taken the change within {_WRITE_SECONDS:g} s") from None
        if change in self._refused:
            self._refused.discard(change)
            await self._append(name, self._values.get(name), uuid4().bytes)
            raise ConflictError("another change of this subscription came first")

    async def forget(self, mark: str, names: Iterable[str]) -> None:
        """Leaves of subscriptions of an owner, which are deleted, nothing but a mark.

        Parameters
        ----------
        mark
            What is kept in `deleted`.
        names
            The ids of the subscriptions.
        """
        last = await self._append(mark, _DELETED, uuid4().bytes)
        for name in names:
            if name in self.deleted:
                last = await self._append(name, None, uuid4().bytes)
        await self.log.reached(last + 1)

    async def _append(self, name: str, value: bytes | None, change: bytes) -> int:
        headers = [(_CHANGE, change)]
        appended = await self._producer.send(self._topic, value, name.encode(), partition=0, headers=headers)
        return int((await appended).offset)

    async def _take(self, records: Sequence[Record], _: int) -> None:
        for record in records:
            self._apply(record)

    def _apply(self, record: Record) -> None:
        name = (record.key or b"").decode(errors="replace")
        if record.value is None or record.value == _DELETED:
            self._delete(name, keep_away=record.value is not None)
            return
        if record.value == self._values.get(name):
            return
        try:
            registered = from_row(record.value, self._vault)
        except StateError as error:
            log.error("%s at offset %d is ignored: %s", self._topic, record.offset, error)
            return
        if not self._follows(name, registered.version) or registered.subscription.id != name:
            log.info("a change of subscription %s at offset %d came second", name, record.offset)
            self._refused.update(value for header, value in record.headers if header == _CHANGE)
            return
        self.registered[name], self._values[name] = registered, record.value
        self._gone.discard(name)
        self._on_change(name, registered)

    def _follows(self, name: str, version: int) -> bool:
        current = self.registered.get(name)
        if current is not None:
            return version == current.version + 1
        # What compaction has left may begin at any version.
        return name not in self._gone or version == 1

    def _delete(self, name: str, *, keep_away: bool) -> None:
        self._gone.add(name)
        if keep_away:
            self.deleted.add(name)
        else:
            self.deleted.discard(name)
        self._values.pop(name, None)
        if self.registered.pop(name, None) is not None:
            self._on_change(name, None)
