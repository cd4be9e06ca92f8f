"""Between HTTP and Kafka: messages are sent to a source topic, and the verdicts of the workers are read.

A relay belongs to no consumer group: every relay reads all verdicts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from stream_app import wire
from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.errors import MalformedEvent, StreamAppError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.fleet_reader import FleetReader
from stream_app.kafka.clients.in_sync import WriteWatch
from stream_app.kafka.clients.lost_records import LostRecords, ReadPositions
from stream_app.kafka.clients.placement import Placement, find_placement
from stream_app.kafka.clients.producer import READABLE, give_up, make_producer
from stream_app.kafka.clients.retry import Problem, is_transient, retry
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.records import FORMAT

log = logging.getLogger(__name__)

#: Seconds between two attempts to reach Kafka.
_RETRY_SECONDS = 2.0
#: Seconds between two checks that the leaders of the source topic answer, and the time they have for it.
_CHECK_SECONDS = 5.0
#: Milliseconds that Kafka has for a request.
_REQUEST_MS = 20_000
#: Seconds for which a relay is not ready after verdicts were lost.
_UNREADY_SECONDS = 300.0
#: Seconds in which the position of a partition is known, unless Kafka is away.
_POSITION_SECONDS = 1.0


class RelayUnavailableError(StreamAppError):
    """Kafka does not accept messages at the moment; some of those sent may have been stored."""


class Relay:
    """Sends events to the first source topic, or to that of events, and reads the verdicts topic from its beginning.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics.
    on_verdict
        Called with each verdict in its JSON form, and with the time of its record in ms since 1970 UTC.
    on_lost
        Called with a number of verdicts that Kafka deleted before they were read.
    fleet
        Takes what workers publish of their pipelines; None: that is not read.
    """

    def __init__(
        self,
        connection: Connection,
        names: Names,
        on_verdict: Callable[[dict[str, Any], int], None],
        on_lost: Callable[[int], None] = lambda _: None,
        fleet: PublishedFleet | None = None,
    ) -> None:
        self._fleet = None if fleet is None else FleetReader(connection, names.analysis, fleet)
        self._connection = connection
        self._names = names
        self._topic = names.sources[0] if names.sources else names.events
        self._placement = Placement(names.events, 0)
        #: Whether only native events are read from the topic.
        self.native_only = not names.sources
        self._verdicts = names.verdicts
        self._writes = WriteWatch(connection, self._topic)
        self._on_verdict = on_verdict
        self._on_lost = on_lost
        #: They outlast a connection: what is deleted during an outage is missed, too.
        self._positions = ReadPositions()
        self._lost_until, self._lost = -math.inf, ""
        self._producer: AIOKafkaProducer | None = None
        #: An error after which the producer must be replaced.
        self._refusal: KafkaError | None = None
        self._problem = Problem(log, "Kafka has not been reached yet")

    @property
    def unavailable_reason(self) -> str:
        """Why requests cannot be served as they should be at the moment; "" when they can."""
        return self._problem.text or (self._lost if time.monotonic() < self._lost_until else "")

    async def run(self) -> None:
        """Keeps the connection open and reads verdicts and pipelines, until cancelled."""
        connected = retry(
            self._connected,
            self._problem.report,
            f"cannot reach Kafka at {self._connection.bootstrap_servers}",
            transient=lambda error: isinstance(error, KafkaError | OSError | StreamAppError),
            seconds=_RETRY_SECONDS,
        )
        await asyncio.gather(connected, *(() if self._fleet is None else (self._fleet.run(),)))

    async def send(self, messages: Sequence[tuple[bytes, str | None, str]]) -> None:
        """Sends messages and returns when all in-sync replicas have them.

        Parameters
        ----------
        messages
            Bodies, each with its pipeline, which becomes the key, and its format, which becomes a header.

        Raises
        ------
        RelayUnavailableError
            Not all of them are known to be stored; some may be.
        MalformedEvent
            One of them is larger than the topic takes; others may be stored.
        """
        if self._producer is None:
            raise RelayUnavailableError(self._problem.text)
        keyed = [(body, pipeline.encode() if pipeline is not None else None, kind) for body, pipeline, kind in messages]
        try:
            futures = [
                await self._producer.send(
                    self._topic,
                    body,
                    key=key,
                    partition=self._placement.of(self._topic, key, body),
                    headers=[(FORMAT, format_.encode())],
                )
                for body, key, format_ in keyed
            ]
            await asyncio.gather(*futures)
        except AssertionError:  # aiokafka's, where the topic was made anew with fewer partitions
            self._refusal = UnknownTopicOrPartitionError()
            raise RelayUnavailableError(f"topic {self._topic} was made anew with fewer partitions") from None
        except KafkaError as error:
            if not is_transient(error):
                self._refusal = error
            if isinstance(error, MessageSizeTooLargeError):
                reason = f"an event is larger than topic {self._topic} takes; see its max.message.bytes"
                raise MalformedEvent(reason) from error
            raise RelayUnavailableError(f"Kafka does not accept events: {type(error).__name__}") from error

    async def _connected(self) -> NoReturn:
        refused = await asyncio.to_thread(self._connection.refusal)
        if refused is not None:
            raise RelayUnavailableError(refused.text)
        producer = make_producer(self._connection, READABLE, linger_ms=5, request_timeout_ms=_REQUEST_MS)
        consumer = AIOKafkaConsumer(
            self._verdicts,
            **self._connection.client(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await producer.start()
            await consumer.start()
            if self.native_only:
                self._placement = await asyncio.to_thread(self._find_placement)
            self._refusal = None
            self._producer = producer
            await self._follow(producer, consumer)
        finally:
            self._producer = None
            self._writes.close()
            await consumer.stop()
            await give_up(producer)

    def _find_placement(self) -> Placement:
        admin = self._connection.admin()
        try:
            return find_placement(admin, self._names, self._topic)
        finally:
            admin.close()

    async def _follow(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> NoReturn:
        """Reads verdicts and checks that Kafka answers; raises KafkaError when the producer must be replaced."""
        ends = await consumer.end_offsets(consumer.assignment())
        checked, away = -math.inf, ""
        while True:
            if self._refusal is not None:
                raise self._refusal
            if time.monotonic() - checked >= _CHECK_SECONDS:
                away = await self._unreachable_reason(producer, consumer)
                checked = time.monotonic()
            if ends:
                behind = [each for each, end in ends.items() if await consumer.position(each) < end]
                ends = {each: ends[each] for each in behind}
            self._problem.report(away)
            if ends and not away:
                self._problem.text = "the verdicts so far have not been read yet"
            fetched = await consumer.getmany(timeout_ms=500)
            for at in consumer.assignment():
                await self._find_lost(consumer, at, fetched.get(at, []))
            for records in fetched.values():
                for record in records:
                    self._read(record.value, record.timestamp)

    async def _find_lost(self, consumer: AIOKafkaConsumer, at: TopicPartition, records: Sequence[Any]) -> None:
        """Reports verdicts of a partition that were gone before they were read."""
        if records:
            offset, end = records[0].offset, records[-1].offset + 1
        else:
            try:
                async with asyncio.timeout(_POSITION_SECONDS):
                    offset = end = await consumer.position(at)
            except TimeoutError:  # Kafka is away, which others report
                return
        begins = 0
        if self._positions.skips(at, offset):
            begins = (await consumer.beginning_offsets([at]))[at]
        lost = self._positions.move(at, offset, end, begins)
        if lost is not None:
            self._tell_lost(lost)

    def _tell_lost(self, lost: LostRecords) -> None:
        self._on_lost(lost.count)
        self._lost_until = time.monotonic() + _UNREADY_SECONDS
        self._lost = f"{lost}; the verdicts in them are not known here"
        log.error("%s", self._lost)

    async def _unreachable_reason(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> str:
        """Why events cannot be sent now; "" when the leaders of all partitions answer and take records."""
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                numbers = await producer.partitions_for(self._topic)
                await consumer.end_offsets([TopicPartition(self._topic, number) for number in numbers])
        except (KafkaError, TimeoutError) as error:
            refused = await asyncio.to_thread(self._connection.refusal)
            why = refused.text if refused is not None else str(error) or "no answer"
            return f"cannot reach {self._topic} at {self._connection.bootstrap_servers}: {why}"
        return await asyncio.to_thread(self._writes.look)

    def _read(self, value: bytes | None, time_ms: int) -> None:
        if value is None:
            return  # a graphlet's old id, under which nothing is held
        try:
            self._on_verdict(wire.upgrade(orjson.loads(value)), time_ms)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            log.warning("a record of %s is no verdict", self._verdicts)
