"""Finds that the state of a group is gone: its changelog is empty, but it has read events and written outputs."""

from __future__ import annotations

from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from stream_app.errors import StreamAppError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topics import Names


class LostStateError(StreamAppError):
    """The state of the group is gone; the message says what remains and what to do. Exit code 1."""


@dataclass(frozen=True)
class Loss:
    """What remains of a group whose state is gone.

    Parameters
    ----------
    partitions
        Partitions of the events topic that the group has read, and whose part of the changelog is empty.
    verdicts, examples
        Records in the topics of outputs, where the whole changelog is empty.
    """

    partitions: tuple[int, ...]
    verdicts: int
    examples: int

    def explain(self, names: Names) -> str:
        """What is lost, what beginning anew would do, and what else can be done.

        Parameters
        ----------
        names
            The names of the topics.

        Returns
        -------
        str
            One line.
        """
        signs = [
            f"{count:,} {what}" for count, what in ((self.verdicts, "verdicts"), (self.examples, "examples")) if count
        ]
        if self.partitions:
            signs.append("commits in partition " + ", ".join(map(str, self.partitions)))
        return (
            f"{names.changelog} is empty, but the group {names.group} has {' and '.join(signs)}: its state is lost. "
            "--accept-loss begins anew: runs in flight are forgotten, and verdicts and examples may be said again in "
            "other words. To keep the state restore the topic, or replay the sources into another group (kafka.group)"
        )


def find_loss(connection: Connection, admin: KafkaAdminClient, names: Names, partitions: int) -> Loss | None:
    """Looks for a changelog that is empty although it should not be.

    Parameters
    ----------
    connection
        The cluster.
    admin
        A client of it.
    names
        The names of the topics, which exist.
    partitions
        Of the events topic.

    Returns
    -------
    Loss or None
        None when the group has its state, or never had any.

    Raises
    ------
    KafkaError
        The cluster does not answer.
    """
    changelog = [TopicPartition(names.changelog, number) for number in range(partitions)]
    consumer = KafkaConsumer(**connection.client())
    try:
        ends = consumer.end_offsets(changelog)
        empty = [at.partition for at in changelog if not ends[at]]
        if not empty:
            return None
        committed = admin.list_group_offsets([names.group])[names.group]
        read = tuple(n for n in empty if _offset(committed, TopicPartition(names.events, n)) > 0)
        whole = len(empty) == partitions
        verdicts, examples = (_records(consumer, topic) if whole else 0 for topic in (names.verdicts, names.examples))
    finally:
        consumer.close()
    return Loss(read, verdicts, examples) if read or verdicts or examples else None


def _offset(committed: dict[TopicPartition, object], at: TopicPartition) -> int:
    return int(getattr(committed.get(at), "offset", 0) or 0)


def _records(consumer: KafkaConsumer, topic: str) -> int:
    """About how many records a topic has."""
    parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    begins, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
    return sum(ends[at] - begins[at] for at in parts)
