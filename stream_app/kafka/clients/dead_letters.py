"""Reads dead letters, and writes them back to the topics they came from once their cause is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.errors import OptionsError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import READABLE, make_producer, sender
from stream_app.kafka.clients.topics import Names, find
from stream_app.kafka.records import FORMAT, Record
from stream_app.kafka.state.outbox import Headers, Message

_POLL_MS = 500


@dataclass(frozen=True)
class DeadLetter:
    """A record that is not an event."""

    key: bytes | None
    value: bytes | None
    reason: str
    #: Where the record came from.
    topic: str
    partition: int
    offset: int
    #: When it was written to the dead letters, in ms since 1970 UTC.
    time_ms: int
    #: Whether only its beginning was kept.
    truncated: bool
    #: The headers that it is written back with.
    headers: Headers = ()


async def read(connection: Connection, names: Names, limit: int | None = None) -> list[DeadLetter]:
    """The latest dead letters, ordered by time.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics.
    limit
        At most so many, the latest; None: all.

    Raises
    ------
    UnreachableError
        Kafka cannot be reached.
    OptionsError
        The topic does not exist.
    """
    partitions = _partitions(connection, names)
    async with _consumer(connection) as consumer:
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        letters = [letter async for letter in _letters(consumer, starts, ends)]
    letters.sort(key=lambda letter: (letter.time_ms, letter.topic, letter.partition, letter.offset))
    return letters if limit is None else letters[-limit:]


async def requeue(connection: Connection, names: Names) -> tuple[int, int]:
    """Writes the dead letters back to the topics they came from, each at least once.

    Those that are still not events become dead letters again. The position is committed to a consumer group, so the
    next call reads only later ones.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics.

    Returns
    -------
    tuple[int, int]
        How many were written back, and how many were not because only their beginnings were kept.

    Raises
    ------
    UnreachableError
        Kafka cannot be reached.
    OptionsError
        The topic does not exist.
    """
    partitions = _partitions(connection, names)
    back = truncated = 0
    async with (
        _consumer(connection, f"{names.group}-requeue") as consumer,
        make_producer(connection, READABLE) as producer,
    ):
        send = sender(producer)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        starts = {at: max(begins[at], await consumer.committed(at) or 0) for at in partitions}
        async for letter in _letters(consumer, starts, ends):
            if letter.truncated:
                truncated += 1
                continue
            await send([Message(letter.topic, letter.key, letter.value, letter.headers)])
            back += 1
        if ends:
            await consumer.commit(ends)
    return back, truncated


@asynccontextmanager
async def _consumer(connection: Connection, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **connection.client(), group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def _partitions(connection: Connection, names: Names) -> list[TopicPartition]:
    admin = connection.admin()
    try:
        found = find(admin, [names.dead_letters]).get(names.dead_letters)
    finally:
        admin.close()
    if found is None:
        raise OptionsError(f"topic {names.dead_letters} does not exist: run `stream-app topics apply`")
    return [TopicPartition(names.dead_letters, number) for number in range(found.partitions)]


async def _letters(
    consumer: AIOKafkaConsumer, starts: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> AsyncIterator[DeadLetter]:
    """The dead letters from `starts` to before `ends`."""
    consumer.assign(list(ends))
    for at, start in starts.items():
        consumer.seek(at, start)
    for at, end in ends.items():
        while await consumer.position(at) < end:
            for record in (await consumer.getmany(at, timeout_ms=_POLL_MS)).get(at, []):
                if record.offset < end and "topic" in dict(record.headers):
                    yield _letter(record)


def _letter(record: Record) -> DeadLetter:
    headers = dict(record.headers)
    return DeadLetter(
        key=record.key,
        value=record.value,
        reason=headers["reason"].decode(),
        topic=headers["topic"].decode(),
        partition=int(headers["partition"]),
        offset=int(headers["offset"]),
        time_ms=record.timestamp,
        truncated="truncated" in headers,
        headers=tuple(header for header in record.headers if header[0] == FORMAT),
    )
