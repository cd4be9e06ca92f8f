"""Reads dead letters, and writes them back to the topics they came from once their cause is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.errors import OptionsError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.lost_records import LostRecords, ReadPositions
from stream_app.kafka.clients.placement import find_placement
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


class Requeued(NamedTuple):
    """What became of the dead letters."""

    #: Written back.
    written: int
    #: Not written back, since only their beginnings were kept.
    truncated: int
    #: Deleted by Kafka before they were read.
    lost: tuple[LostRecords, ...] = ()


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


async def requeue(connection: Connection, names: Names) -> Requeued:
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
    Requeued
        How many were written back, and how many were not.

    Raises
    ------
    UnreachableError
        Kafka cannot be reached.
    OptionsError
        The topic does not exist.
    """
    partitions = _partitions(connection, names)
    with closing(connection.admin()) as admin:
        placement = find_placement(admin, names, names.events)
    back = truncated = 0
    lost: list[LostRecords] = []
    async with (
        _consumer(connection, f"{names.group}-requeue") as consumer,
        make_producer(connection, READABLE) as producer,
    ):
        send = sender(producer, placement=placement)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        # Letters from before the first call may have been deleted by then; they are not missed.
        committed = {at: await consumer.committed(at) for at in partitions}
        starts = {at: begins[at] if offset is None else offset for at, offset in committed.items()}
        async for letter in _letters(consumer, starts, ends, lost.append):
            if letter.truncated:
                truncated += 1
                continue
            await send([Message(letter.topic, letter.key, letter.value, letter.headers)])
            back += 1
        if ends:
            await consumer.commit(ends)
    return Requeued(back, truncated, tuple(lost))


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
    with closing(connection.admin()) as admin:
        found = find(admin, [names.dead_letters]).get(names.dead_letters)
    if found is None:
        raise OptionsError(f"topic {names.dead_letters} does not exist: run `stream-app topics apply`")
    return [TopicPartition(names.dead_letters, number) for number in range(found.partitions)]


async def _letters(
    consumer: AIOKafkaConsumer,
    starts: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
    on_lost: Callable[[LostRecords], None] = lambda _: None,
) -> AsyncIterator[DeadLetter]:
    """The dead letters from `starts` to before `ends`; calls `on_lost` for those that were deleted before."""
    consumer.assign(list(ends))
    positions = ReadPositions()
    for at, start in starts.items():
        positions.start(at, start)
    for at, end in ends.items():

        async def move(offset: int, following: int, at: TopicPartition = at) -> None:
            begins = (await consumer.beginning_offsets([at]))[at] if positions.skips(at, offset) else 0
            lost = positions.move(at, offset, following, begins)
            if lost is not None:
                on_lost(lost)

        consumer.seek(at, max(starts[at], (await consumer.beginning_offsets([at]))[at]))
        while await consumer.position(at) < end:
            records = (await consumer.getmany(at, timeout_ms=_POLL_MS)).get(at, [])
            if records:
                await move(min(records[0].offset, end), records[-1].offset + 1)
            for record in records:
                letter = _letter(record) if record.offset < end else None
                if letter is not None:
                    yield letter
        await move(end, end)


def _letter(record: Record) -> DeadLetter | None:
    """The dead letter in a record; None for a record that is none, which anybody may write."""
    headers = {name: value or b"" for name, value in record.headers}
    try:
        topic, partition, offset = headers["topic"].decode(), int(headers["partition"]), int(headers["offset"])
    except (KeyError, ValueError):  # UnicodeDecodeError is one
        return None
    return DeadLetter(
        key=record.key,
        value=record.value,
        reason=headers.get("reason", b"").decode(errors="replace"),
        topic=topic,
        partition=partition,
        offset=offset,
        time_ms=record.timestamp,
        truncated="truncated" in headers,
        headers=tuple(header for header in record.headers if header[0] == FORMAT),
    )
