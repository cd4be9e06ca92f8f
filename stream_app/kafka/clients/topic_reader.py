"""Reads a topic from its beginning to its present end, without a consumer group: it leaves no trace in Kafka."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stream_app.errors import OptionsError, StreamAppError
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.lost_records import LostRecords, ReadPositions
from stream_app.kafka.clients.topics import find

_POLL_MS = 500
#: Records that one poll returns: all that were fetched, whose bytes are bounded. kafka-python never returns the rest of
#: a partition that was paused when some of its fetched records had been returned.
_POLL_RECORDS = sys.maxsize
#: Seconds without any record after which Kafka counts as gone.
_SILENCE_S = 30.0


class LostRecordsError(StreamAppError):
    """Records were deleted while the topic was read; all others were read. Exit code 1."""


def messages(connection: Connection, topic: str, ignored_header: str) -> Iterator[bytes]:
    """Yields the messages that a topic holds now, those of several partitions in the order of their log times.

    Tombstones are left out.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The name of the topic.
    ignored_header
        A header of records that are no messages, such as the ticks of workers.

    Yields
    ------
    bytes
        One message after another.

    Raises
    ------
    OptionsError
        There is no such topic.
    UnreachableError
        Kafka cannot be reached, or stops answering.
    LostRecordsError
        At the end: records that were there at the beginning were deleted before they were read.
    """
    lost: list[LostRecords] = []
    with closing(connection.admin()) as admin:
        if not find(admin, [topic]):
            raise OptionsError(f"topic {topic} does not exist at {connection.bootstrap_servers}")
    try:
        with closing(_consumer(connection)) as consumer:
            for record in _merged(consumer, topic, lost):
                if record.value is not None and all(key != ignored_header for key, _ in record.headers):
                    yield record.value
    except KafkaError as error:
        raise UnreachableError(f"cannot read {topic} at {connection.bootstrap_servers}: {error}") from error
    if lost:
        raise LostRecordsError("; ".join(map(str, lost)))


def _consumer(connection: Connection) -> KafkaConsumer:
    # What was deleted before it was read is passed: by default the consumer would go on at the end of the topic.
    return KafkaConsumer(
        **connection.client(), group_id=None, max_poll_records=_POLL_RECORDS, auto_offset_reset="earliest"
    )


def _merged(consumer: Any, topic: str, lost: list[LostRecords]) -> Iterator[Any]:
    """The records up to the present ends; a partition of which records wait is paused, so that few wait."""
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    positions = ReadPositions()
    for at, offset in consumer.beginning_offsets(partitions).items():
        positions.start(at, offset)
    waiting: dict[Any, deque[Any]] = {partition: deque() for partition in partitions}
    unread = set(partitions)
    heard = time.monotonic()
    while True:
        empty = [each for each in unread if not waiting[each]]
        behind = [each for each in empty if consumer.position(each) < ends[each]]
        for at in [each for each in empty if each not in behind]:
            unread.discard(at)
            _move(consumer, positions, at, ends[at], ends[at], lost)
        if behind:
            consumer.pause(*(each for each in partitions if each not in behind))
            consumer.resume(*behind)
            for partition, records in consumer.poll(timeout_ms=_POLL_MS).items():
                first, last = records[0].offset, records[-1].offset
                _move(consumer, positions, partition, min(first, ends[partition]), last + 1, lost)
                waiting[partition].extend(record for record in records if record.offset < ends[partition])
                heard = time.monotonic()
            if time.monotonic() - heard > _SILENCE_S:
                raise KafkaError(f"no record for {_SILENCE_S:.0f} s")
            continue
        ready = [each for each in partitions if waiting[each]]
        if not ready:
            return
        yield waiting[min(ready, key=lambda each: waiting[each][0].timestamp)].popleft()
        heard = time.monotonic()


def _move(
    consumer: Any, positions: ReadPositions, at: TopicPartition, offset: int, end: int, lost: list[LostRecords]
) -> None:
    """Moves on in a partition, and adds to `lost` what was missed."""
    begins = consumer.beginning_offsets([at])[at] if positions.skips(at, offset) else 0
    missed = positions.move(at, offset, end, begins)
    if missed is not None:
        lost.append(missed)
