"""Moves verdicts to the ids that this release gives to graphlets.

The topic of verdicts is compacted by graphlet, so a record under an old id would stay for ever beside the new one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiokafka import TopicPartition

from stream_app import wire
from stream_app.kafka.state.changelog import LogReader
from stream_app.kafka.state.outbox import Message


async def renamed_verdicts(
    client: Mapping[str, Any], topic: str, partitions: int, renamed: Mapping[str, str]
) -> list[Message]:
    """The messages that move the last verdicts of graphlets from their old ids to their new ones.

    Verdicts are moved word for word: a reader upgrades them, as it does those that are not moved yet. To send the
    messages twice does no harm.

    Parameters
    ----------
    client
        Settings of an aiokafka client.
    topic, partitions
        The topic of verdicts and how many partitions it has.
    renamed
        Old id -> new id. No other worker may send verdicts of these graphlets.

    Returns
    -------
    list of Message
        For each verdict found, itself under the new id and a tombstone for the old one.

    Raises
    ------
    KafkaError
        Kafka does not answer.
    """
    keys = {old.encode() for old in renamed}
    last: dict[bytes, bytes | None] = {}
    for number in range(partitions):
        async with LogReader(client, TopicPartition(topic, number)) as log:
            async for records in log.read(0, await log.end()):
                last.update({record.key: record.value for record in records if record.key in keys})
    messages: list[Message] = []
    for old, value in last.items():
        new = new_key(value)
        if new is not None and new != old:
            messages += [Message(topic, new, value), Message(topic, old, None)]
    return messages


def new_key(value: bytes | None) -> bytes | None:
    """The key that a verdict has in this release, by its own names; None for a tombstone and for what is no verdict.

    The old key does not say it: what was one graphlet's old id may be another's present one.
    """
    if value is None:
        return None
    try:
        graphlet: str = wire.upgrade(orjson.loads(value))["graphlet"]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    return graphlet.encode()
