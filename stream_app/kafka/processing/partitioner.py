"""Which partition a pipeline belongs to. All its events must be in one, or its graphlets would be torn apart.

It is the one that Kafka's Java client, kafka-python and aiokafka choose for a key: murmur2. Others, such as
librdkafka and what is built on it, choose another, so a record in the wrong partition is forwarded, once.
"""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

#: Header of a record that a worker put where it belongs.
FORWARDED = "stream-app-forwarded"
#: Header of a tick: a record that moves the time of a partition and is no event.
TICK = "stream-app-tick"


@lru_cache(maxsize=1 << 16)
def partition_of(pipeline: str, partitions: int) -> int:
    """The partition of a pipeline's events, among `partitions`."""
    place: int = murmur2(pipeline.encode()) & 0x7FFFFFFF
    return place % partitions
