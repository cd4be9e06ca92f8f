"""The partition of a pipeline, or of a subscription: all records of one must be in it, since its state is kept there.

It is the one that Kafka's Java client, kafka-python and aiokafka choose for a key, by murmur2. Other clients, such as
those based on librdkafka, choose another, so a record in the wrong partition is forwarded once.
"""

from __future__ import annotations

from functools import lru_cache

from stream_app.kafka.clients.placement import partition_of_key

#: Header of a record that a worker forwarded to the partition of its pipeline.
FORWARDED = "stream-app-forwarded"
#: Header of a tick: a record that moves the clock of a partition and is not an event.
TICK = "stream-app-tick"


@lru_cache(maxsize=1 << 16)
def partition_of(name: str, partitions: int) -> int:
    """The partition of a pipeline's events, or of a subscription's deliveries.

    Parameters
    ----------
    name
        The name of the pipeline, or the id of the subscription.
    partitions
        How many partitions the topic has.
    """
    return partition_of_key(name.encode(), partitions)
