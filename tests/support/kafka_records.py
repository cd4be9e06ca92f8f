"""Kafka records made by hand."""

from __future__ import annotations

from typing import Any

from aiokafka.structs import ConsumerRecord

from stream_app.kafka.state.changelog import Rank, rank_headers


def record(
    offset: int,
    value: bytes | None = b"v",
    *,
    key: bytes | None = b"k",
    topic: str = "topic",
    partition: int = 0,
    timestamp: int = 1_700_000_000_000,
    headers: tuple[tuple[str, bytes | None], ...] = (),
) -> ConsumerRecord[Any, Any]:
    """A record as aiokafka hands it over; `timestamp` in ms since 1970 UTC."""
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(value or b""),
        headers=headers,
    )


def row(offset: int, key: bytes, value: bytes | None, rank: Rank) -> ConsumerRecord[Any, Any]:
    """A record of a changelog."""
    return record(offset, value, key=key, headers=tuple(rank_headers(rank)))
