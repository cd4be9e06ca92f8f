"""Finds that the state of a group is gone: its changelog is empty, but it has read records or written outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from stream_app.errors import StreamAppError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.flow import Flow


class LostStateError(StreamAppError):
    """The state of the group is gone; the message says what remains and what to do. Exit code 1."""


@dataclass(frozen=True)
class Loss:
    """What remains of a group whose state is gone.

    Parameters
    ----------
    partitions
        Partitions of the topic with state that the group has read, and whose part of the changelog is empty.
    written
        What the group has written, in words -> how many, where the whole changelog is empty.
    """

    partitions: tuple[int, ...]
    written: Mapping[str, int]

    def explain(self, flow: Flow, consequences: str, remedy: str) -> str:
        """What is lost, what beginning anew would do, and what else can be done.

        Parameters
        ----------
        flow
            The topics.
        consequences
            What beginning anew would do.
        remedy
            What else can be done.

        Returns
        -------
        str
            One line.
        """
        signs = [f"{count:,} {what}" for what, count in self.written.items() if count]
        if self.partitions:
            signs.append("commits in partition " + ", ".join(map(str, self.partitions)))
        return (
            f"{flow.changelog} is empty, but the group {flow.group} has {' and '.join(signs)}: its state is lost. "
            f"--accept-loss begins anew: {consequences}. To keep the state {remedy}"
        )


def find_loss(
    connection: Connection, admin: KafkaAdminClient, flow: Flow, partitions: int, outputs: Mapping[str, str]
) -> Loss | None:
    """Looks for a changelog that is empty although it should not be.

    Parameters
    ----------
    connection
        The cluster.
    admin
        A client of it.
    flow
        The topics, which exist.
    partitions
        Of the topic with state.
    outputs
        What a group without state has not written, in words -> its topic.

    Returns
    -------
    Loss or None
        None when the group has its state, or never had any.

    Raises
    ------
    KafkaError
        The cluster does not answer.
    """
    changelog = [TopicPartition(flow.changelog, number) for number in range(partitions)]
    consumer = KafkaConsumer(**connection.client())
    try:
        ends = consumer.end_offsets(changelog)
        empty = [at.partition for at in changelog if not ends[at]]
        if not empty:
            return None
        committed = admin.list_group_offsets([flow.group])[flow.group]
        read = tuple(n for n in empty if _offset(committed, TopicPartition(flow.keyed, n)) > 0)
        whole = len(empty) == partitions
        written = {what: _records(consumer, topic) for what, topic in outputs.items()} if whole else {}
    finally:
        consumer.close()
    return Loss(read, written) if read or any(written.values()) else None


def _offset(committed: dict[TopicPartition, object], at: TopicPartition) -> int:
    return int(getattr(committed.get(at), "offset", 0) or 0)


def _records(consumer: KafkaConsumer, topic: str) -> int:
    """About how many records a topic has."""
    parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    begins, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
    return sum(ends[at] - begins[at] for at in parts)
