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

from stream_app.errors import OptionsError
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.topics import find

_POLL_MS = 500
#: Records that one poll returns: all that were fetched, whose bytes are bounded. kafka-python never returns the rest of
#: a partition that was paused when some of its fetched records had been returned.
_POLL_RECORDS = sys.maxsize
#: Seconds without any record after which Kafka counts as gone.
_SILENCE_S = 30.0


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
    """
    with closing(connection.admin()) as admin:
        if not find(admin, [topic]):
            raise OptionsError(f"topic {topic} does not exist at {connection.bootstrap_servers}")
    try:
        with closing(KafkaConsumer(**connection.client(), group_id=None, max_poll_records=_POLL_RECORDS)) as consumer:
            for record in _merged(consumer, topic):
                if record.value is not None and all(key != ignored_header for key, _ in record.headers):
                    yield record.value
    except KafkaError as error:
        raise UnreachableError(f"cannot read {topic} at {connection.bootstrap_servers}: {error}") from error


def _merged(consumer: Any, topic: str) -> Iterator[Any]:
    """The records up to the present ends; a partition of which records wait is paused, so that few wait."""
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    waiting: dict[Any, deque[Any]] = {partition: deque() for partition in partitions}
    unread = set(partitions)
    heard = time.monotonic()
    while True:
        empty = [each for each in unread if not waiting[each]]
        behind = [each for each in empty if consumer.position(each) < ends[each]]
        unread.difference_update(each for each in empty if each not in behind)
        if behind:
            consumer.pause(*(each for each in partitions if each not in behind))
            consumer.resume(*behind)
            for partition, records in consumer.poll(timeout_ms=_POLL_MS).items():
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
