"""The topic of subscriptions: compacted, with one partition, read by every notifier.

Several notifiers may change one subscription at the same time. The order of the topic decides: a change counts where
its version follows the one before it, and a deletion always. Compaction however keeps the last record of a
subscription, whether it counts or not. After a change that does not count, whoever reads it therefore writes the one
that does again, as a *confirmation*: a record that counts for all who have nothing later than what its writer had read.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_app.alerts.ownership import PREFIX as OWNED
from stream_app.alerts.registered import Registered, from_row, to_row
from stream_app.alerts.secrets import Vault
from stream_app.alerts.subscribers import ConflictError
from stream_app.errors import OptionsError, StateError
from stream_app.kafka.alerting.in_time import in_time
from stream_app.kafka.alerting.quiet_flags import QuietFlags
from stream_app.kafka.alerting.switch_log import ACTING
from stream_app.kafka.alerting.used_links import UsedLinks
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.retry import Problem, retry
from stream_app.kafka.clients.whole_log import WholeLog
from stream_app.kafka.records import Record

log = logging.getLogger(__name__)

#: Headers: by which a writer finds its own change, and up to which offset the writer of a confirmation had read.
_CHANGE, _CONFIRMS = "change", "confirms"
_OFFSET = struct.Struct(">q")
#: The value of a subscription that must not be made again, and the key of a record by which a wrong vault is found.
_DELETED, _KEY = b"deleted", "vault:"


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
    on_acting
        Called with each record of the kill switch, which is kept in the same topic.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        vault: Vault,
        producer: AIOKafkaProducer,
        on_change: Callable[[str, Registered | None], None],
        on_acting: Callable[[Record], None] = lambda _: None,
    ) -> None:
        self._topic = topic
        self._vault = vault
        self._producer = producer
        self._on_change = on_change
        self._on_acting = on_acting
        self.log = WholeLog(connection, topic, self._take)
        self.registered: dict[str, Registered] = {}
        #: Subscriptions of owners that were deleted and are not made again; see `ownership` and `forgetting`.
        self.deleted: set[str] = set()
        self._values: dict[str, bytes] = {}
        self._gone: set[str] = set()
        #: The offset of the last record that counts, by subscription.
        self._counts_at: dict[str, int] = {}
        #: Subscriptions that are to be confirmed: the offset of the last change that does not count.
        self._unconfirmed: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        #: Changes of this process that are under way, and those of them that do not count.
        self._pending: set[bytes] = set()
        self._refused: set[bytes] = set()
        self._key_is_known = False
        #: The links that were used, and the flags that are quiet, which the topic has too.
        self.links = UsedLinks(self._append_read, _now_ms)
        self.quiet = QuietFlags(self._append_read, _now_ms)

    async def check_key(self) -> None:
        """Sees to it that all notifiers have the same key.

        Raises
        ------
        KafkaError
            Kafka does not take what the first notifier writes; it is not transient.
        """
        if not self._key_is_known:
            await self._write_key()

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
        self._pending.add(change)
        try:
            async with in_time():
                offset = await self._append(name, value, [(_CHANGE, change)])
                await self.log.reached(offset + 1)
            if change in self._refused:
                raise ConflictError("another change of this subscription came first")
        finally:
            self._pending.discard(change)
            self._refused.discard(change)

    async def forget(self, mark: str, names: Iterable[str]) -> None:
        """Leaves of subscriptions of an owner, which are deleted, nothing but a mark.

        Parameters
        ----------
        mark
            What is kept in `deleted`.
        names
            The ids of the subscriptions.
        """
        last = await self._append(mark, _DELETED, [])
        for name in names:
            if name in self.deleted:
                last = await self._append(name, None, [])
        await self.log.reached(last + 1)

    async def _append(self, name: str, value: bytes | None, headers: list[tuple[str, bytes]]) -> int:
        appended = await self._producer.send(self._topic, value, name.encode(), partition=0, headers=headers)
        return int((await appended).offset)

    async def _append_read(self, name: str, value: bytes | None, headers: list[tuple[str, bytes]]) -> int:
        offset = await self._append(name, value, headers)
        await self.log.reached(offset + 1)
        return offset

    async def _take(self, records: Sequence[Record], _: int) -> None:
        for record in records:
            self._apply(record)

    def _apply(self, record: Record) -> None:
        name = (record.key or b"").decode(errors="replace")
        if name == _KEY:
            self._take_key(record)
            return
        if self.links.take(record) or self.quiet.take(record):
            return
        if name.startswith(ACTING):
            self._on_acting(record)
            return
        confirms = _confirms(record)
        if confirms is not None and self._counts_at.get(name, -1) > confirms:
            if not self._is_current(name, record.value):
                self._refuse(name, record)
            return
        if record.value is None or record.value == _DELETED:
            self._delete(name, keep_away=record.value is not None)
        elif record.value != self._values.get(name):
            registered = self._read(name, record)
            if registered is None:
                return
            if confirms is None and not self._follows(name, registered.version):
                self._refuse(name, record)
                return
            self.registered[name], self._values[name] = registered, record.value
            self._gone.discard(name)
            self.deleted.discard(name)
            self._on_change(name, registered)
        self._counts_at[name] = record.offset
        if confirms is not None and self._unconfirmed.get(name, record.offset) <= confirms:
            del self._unconfirmed[name]

    def _take_key(self, record: Record) -> None:
        try:
            self._vault.decrypt((record.value or b"").decode(errors="replace"))
        except OptionsError:
            if not self._key_is_known:
                raise
            # Somebody has begun at the same time, with another key. Compaction shall not keep that one.
            self._start(self._write_key())
        self._key_is_known = True

    async def _write_key(self) -> None:
        async def write() -> int:
            return await self._append(_KEY, self._vault.encrypt(_KEY).encode(), [])

        last = await retry(write, Problem(log).report, f"{self._topic} cannot be written to")
        await self.log.reached((last or 0) + 1)

    def _read(self, name: str, record: Record) -> Registered | None:
        """The subscription in a record; None where there is none, which is logged."""
        try:
            found = from_row(record.value or b"", self._vault)
            if found.subscription.id != name:
                raise StateError(f"the subscription {found.subscription.id} has the key {name}")
        except StateError as error:
            log.error("%s at offset %d is ignored: %s", self._topic, record.offset, error)
            return None
        return found

    def _follows(self, name: str, version: int) -> bool:
        current = self.registered.get(name)
        if current is not None:
            return version == current.version + 1
        # What compaction has left may begin at any version.
        return name not in self._gone or version == 1

    def _is_current(self, name: str, value: bytes | None) -> bool:
        if value is None or value == _DELETED:
            return name not in self.registered and (name in self.deleted) == (value is not None)
        return value == self._values.get(name)

    def _delete(self, name: str, *, keep_away: bool) -> None:
        self._gone.add(name)
        if keep_away:
            self.deleted.add(name)
        else:
            self.deleted.discard(name)
        self._values.pop(name, None)
        if self.registered.pop(name, None) is not None:
            self._on_change(name, None)

    def _refuse(self, name: str, record: Record) -> None:
        log.info("a change of subscription %s at offset %d came second", name, record.offset)
        self._refused.update(value for header, value in record.headers if header == _CHANGE and value in self._pending)
        is_new = name not in self._unconfirmed
        self._unconfirmed[name] = record.offset
        if is_new:
            self._start(self._confirm(name))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _confirm(self, name: str) -> None:
        """Writes again what counts of a subscription, unless another notifier has done so."""

        async def confirm() -> bool:
            await self.log.read_to_end()
            while name in self._unconfirmed:
                value = self._values.get(name, _DELETED if name in self.deleted else None)
                last = await self._append(name, value, [(_CONFIRMS, _OFFSET.pack(self.log.position - 1))])
                await self.log.reached(last + 1)
            return True

        try:
            await retry(confirm, Problem(log).report, f"subscription {name} cannot be confirmed")
        except KafkaError as error:
            log.error("subscription %s cannot be confirmed, other notifiers may do it: %r", name, error)
            self._unconfirmed.pop(name, None)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _confirms(record: Record) -> int | None:
    """Up to which offset the writer of a confirmation had read; None for a change."""
    for header, value in record.headers:
        if header == _CONFIRMS and len(value or b"") == _OFFSET.size:
            return int(_OFFSET.unpack(value)[0])
    return None
