"""Reads what workers publish of their pipelines, so that figures of the whole fleet can be made.

A reader belongs to no consumer group: each one reads the topic from its beginning, and again after a lost connection,
since a record that is read twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer

from stream_app.analysis.fleet_record import UnreadableRecordError
from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.retry import Problem, retry
from stream_app.kafka.clients.topics import MissingTopicsError, find_seen

log = logging.getLogger(__name__)

#: Seconds between two attempts to reach Kafka.
_RETRY_SECONDS = 2.0
#: Records that are taken at once.
_RECORDS_MAX = 500
#: Unreadable records that are logged, each with its place; of more their number is logged.
_LOGGED_MAX = 20


class FleetReader:
    """Reads the topic of the analysis.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The name of the topic.
    fleet
        Where records are added; questions are answered once the topic was read to the end that it has at the start.
    """

    def __init__(self, connection: Connection, topic: str, fleet: PublishedFleet) -> None:
        self._connection = connection
        self._topic = topic
        self._fleet = fleet
        self._problem = Problem(log)
        #: Whether the last failure was that Kafka is away, or refuses: whoever reads other topics, too, logs that.
        self._is_away = False
        self._unreadable = 0

    async def run(self) -> None:
        """Reads until cancelled, however long Kafka or the topic are away."""
        await retry(self._read, self._report, transient=self._is_transient, seconds=_RETRY_SECONDS)

    def _is_transient(self, error: Exception) -> bool:
        self._is_away = isinstance(error, UnreachableError)
        return True

    def _report(self, text: str) -> None:
        if not (text and self._is_away):
            self._problem.report(f"the figures of the fleet cannot be read: {text}" if text else "")
        self._fleet.tell_problem(text)

    async def _read(self) -> NoReturn:
        await asyncio.to_thread(self._check_topic)
        consumer = AIOKafkaConsumer(
            self._topic,
            **self._connection.client(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            ends = await consumer.end_offsets(consumer.assignment())
            self._report("")
            while True:
                ends = {at: end for at, end in ends.items() if await consumer.position(at) < end}
                if not ends:
                    self._fleet.is_complete = True
                fetched = await consumer.getmany(timeout_ms=500, max_records=_RECORDS_MAX)
                for records in fetched.values():
                    await asyncio.to_thread(self._add, records)
        finally:
            await consumer.stop()

    def _check_topic(self) -> None:
        """Raises MissingTopicsError: a consumer would wait without a word, or have the broker make it."""
        with closing(self._connection.admin()) as admin:
            if self._topic not in find_seen(admin, [self._topic]):
                raise MissingTopicsError(f"no such topic: {self._topic}: run `stream-app topics apply`")

    def _add(self, records: Sequence[Any]) -> None:
        for record in records:
            if record.value is None:
                continue
            try:
                self._fleet.add(record.value)
            except UnreadableRecordError as error:
                self._unreadable += 1
                if self._unreadable <= _LOGGED_MAX:
                    log.warning(
                        "%s[%d] at offset %d is ignored: %s", record.topic, record.partition, record.offset, error
                    )
                elif self._unreadable % 1_000 == 0:
                    log.warning("%d records of %s were ignored so far", self._unreadable, record.topic)
