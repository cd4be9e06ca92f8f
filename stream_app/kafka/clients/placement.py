"""Which partition of the topic of events a record is sent to.

The state of a pipeline is in one partition, so the number of partitions by which its records are placed is that of the
group's changelog. Clients of Kafka count the partitions that the topic has at the moment: after one was added, they
would send a pipeline to another partition than its state.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka.partitioner import murmur2
from kafka.admin import KafkaAdminClient

from stream_app.errors import OptionsError
from stream_app.kafka.clients.topics import Names, find_seen


def partition_of_key(key: bytes, partitions: int) -> int:
    """The partition that Kafka's Java client, kafka-python and aiokafka choose for a key.

    Parameters
    ----------
    key
        The key.
    partitions
        How many partitions there are.
    """
    positive: int = murmur2(key) & 0x7FFFFFFF
    return positive % partitions


@dataclass(frozen=True)
class Placement:
    """Places the records of the topic of events, and leaves those of other topics to the client.

    Parameters
    ----------
    events
        The topic of events.
    partitions
        Partitions of the changelog.
    """

    events: str
    partitions: int

    def of(self, topic: str, key: bytes | None, value: bytes | None) -> int | None:
        """The partition of a record.

        Parameters
        ----------
        topic
            Where it is sent.
        key
            Its key; a record without one, which names no pipeline, is placed by its value.
        value
            Its value.

        Returns
        -------
        int or None
            None where the client chooses, among all partitions of the topic.
        """
        if topic != self.events:
            return None
        return partition_of_key(key if key is not None else value or b"", self.partitions)


def find_placement(admin: KafkaAdminClient, names: Names, target: str) -> Placement:
    """The placement of records that are sent to a topic.

    Parameters
    ----------
    admin
        A connected client.
    names
        The topics of the group.
    target
        The topic that is to be sent to.

    Raises
    ------
    OptionsError
        It does not exist; or it is the topic of events, and has fewer partitions than the changelog, or the changelog
        does not exist or may not be described.
    """
    seen = find_seen(admin, [target, names.changelog])
    if target not in seen:
        raise OptionsError(f"topic {target} does not exist: run `stream-app topics apply`")
    partitions = seen[names.changelog].partitions if names.changelog in seen else 0
    if target == names.events and not partitions:
        why = "may not be described by this user" if names.changelog in seen else "does not exist"
        raise OptionsError(
            f"topic {names.changelog}, by which the records of {target} are placed, {why}: run `stream-app topics "
            "apply`, and let the user describe it"
        )
    if target == names.events and seen[target].partitions < partitions:
        raise OptionsError(
            f"topic {target} has {seen[target].partitions} partitions, fewer than the {partitions} of "
            f"{names.changelog}: it was made anew with another number; delete it, and run `stream-app topics apply`"
        )
    return Placement(names.events, partitions)
