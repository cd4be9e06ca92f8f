"""The kill switch of a group: records in the topic of subscriptions, which all notifiers and relays read.

A record has the pattern of pipelines in its key; a tombstone switches them on again. The last record of a pattern
counts. Whoever has not read the topic to its end for some seconds does not know the switch, and stops nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import orjson
from aiokafka.errors import KafkaError

from stream_app.acting.switch import Off, OffFile, Switch
from stream_app.alerts.saved import AlertStoreError, AuditEntry
from stream_app.errors import StateError
from stream_app.kafka.alerting.in_time import in_time
from stream_app.kafka.alerting.log_entries import audit_message
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.producer import READABLE, Send, give_up, make_producer, sender
from stream_app.kafka.clients.retry import Problem, cause
from stream_app.kafka.clients.topics import Names, find
from stream_app.kafka.clients.whole_log import WholeLog
from stream_app.kafka.records import Record
from stream_app.kafka.state.outbox import Message

log = logging.getLogger(__name__)

#: How the keys of records of the kill switch begin; no subscription has such an id.
ACTING = "acting:"
#: Seconds between two looks at the end of the topic, after which the switch is not known, and between two attempts.
LOOK_SECONDS, STALE_SECONDS, _RETRY_SECONDS = 1.0, 10.0, 5.0


class SwitchLog:
    """The kill switch of a group, as one process of it knows it; see `stream_app.alerts.kill_switch.SwitchStore`.

    Parameters
    ----------
    names
        The topics.
    off_file
        A file whose presence switches acting off; None: there is none.
    clock
        Returns the time in seconds.
    """

    def __init__(self, names: Names, off_file: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.switch = Switch((), OffFile(off_file) if off_file is not None else None, self._fault)
        self._names = names
        self._clock = clock
        self._problem = Problem(log)
        self._log: WholeLog | None = None
        self._send: Send | None = None
        #: When the end of the topic was asked for that was reached last.
        self._known_at = -math.inf

    def attach(self, whole_log: WholeLog, send: Send) -> None:
        """Takes whoever reads the topic and gives its records to `take`, and whoever sends messages."""
        self._log, self._send = whole_log, send

    def take(self, record: Record) -> None:
        """Takes a record whose key begins with `ACTING`; one that cannot be read switches off."""
        pattern = (record.key or b"").decode(errors="replace").removeprefix(ACTING)
        off = None
        if record.value is not None:
            try:
                off = Off.from_dict(orjson.loads(record.value))
            except (orjson.JSONDecodeError, StateError) as error:
                log.error("%s at offset %d counts as off: %s", record.topic, record.offset, error)
                off = Off(pattern, "stream-app", "its entry in Kafka cannot be read", record.timestamp)
        self.switch.set(pattern, off)

    async def turn(self, pattern: str, off: Off | None, entry: AuditEntry) -> None:
        """Switches pipelines off or on for the group.

        Parameters
        ----------
        pattern
            The pipelines.
        off
            Who switches them off; None: on again.
        entry
            The entry of the audit log.

        Raises
        ------
        AlertStoreError
            Kafka has not taken it in time, though it may yet, or it refuses it.
        """
        if self._log is None or self._send is None:
            raise AlertStoreError(self._fault())
        value = orjson.dumps(off.to_dict()) if off is not None else None
        messages = [
            Message(self._names.subscriptions, f"{ACTING}{pattern}".encode(), value),
            audit_message(self._names.alert_log, entry),
        ]
        try:
            async with in_time():
                await self._send(messages)
                await self._log.read_to_end()
        except KafkaError as error:
            raise AlertStoreError(f"Kafka does not take the change: {cause(error)}") from None
        log.warning("%s: %s, by %s", entry.subject, entry.what, entry.who)

    async def read_to_end(self) -> None:
        """Returns when the switch is known as it is now; not before Kafka answers."""
        asked_at = self._clock()
        while self._log is None:
            await asyncio.sleep(LOOK_SECONDS / 10)
        await self._log.read_to_end()
        self._known_at = max(self._known_at, asked_at)

    async def watch(self) -> None:
        """Looks at the end of the topic again and again, until cancelled."""
        while True:
            await self.read_to_end()
            await asyncio.sleep(LOOK_SECONDS)

    def _fault(self) -> str:
        """Why the switch is not known; "" while it is."""
        age = self._clock() - self._known_at
        if age <= STALE_SECONDS:
            return ""
        since = "yet" if math.isinf(age) else f"for {age:.0f} s"
        return self._problem.text or f"topic {self._names.subscriptions} has not been read {since}"


class GroupSwitch(SwitchLog):
    """The same for a process that has no other use for the topic, and reads it itself.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names, off_file
        As of `SwitchLog`.
    """

    def __init__(self, connection: Connection, names: Names, off_file: Path | None = None) -> None:
        super().__init__(names, off_file)
        self._connection = connection

    async def run(self) -> None:
        """Reads the topic until cancelled."""
        topic = self._names.subscriptions
        while True:
            try:
                if await asyncio.to_thread(self._exists, topic):
                    self._problem.report("")
                    await self._follow()
                self._problem.report(f"topic {topic} does not exist: run `stream-app topics apply`")
            except UnreachableError:
                pass  # whoever reads the verdicts logs that
            except Exception as error:  # whatever it is, it stops no run, and events are taken
                self._problem.report(f"{topic} cannot be read: {cause(error)}")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self) -> None:
        async def take(records: Sequence[Record], _: int) -> None:
            for record in records:
                if (record.key or b"").startswith(ACTING.encode()):
                    self.take(record)

        producer = make_producer(self._connection, READABLE)
        try:
            await producer.start()
            whole_log = WholeLog(self._connection, self._names.subscriptions, take)
            self.attach(whole_log, sender(producer))
            reading = asyncio.create_task(whole_log.run())
            watching = asyncio.create_task(self.watch())
            try:
                await asyncio.gather(reading, watching)
            finally:
                reading.cancel()
                watching.cancel()
                await asyncio.gather(reading, watching, return_exceptions=True)
        finally:
            self._log = self._send = None
            await give_up(producer)

    def _exists(self, topic: str) -> bool:
        with closing(self._connection.admin()) as admin:
            return bool(find(admin, [topic]))
