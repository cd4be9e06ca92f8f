"""Sends events to the events topic, keyed by their pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka.errors import KafkaError

from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.in_sync import check_writable
from stream_app.kafka.clients.placement import Placement, find_placement
from stream_app.kafka.clients.publishing import make_producer
from stream_app.kafka.clients.topics import Names

#: Seconds in which a group of messages must be acknowledged.
_TIMEOUT_SECONDS = 30.0


class EventProducer:
    """Sends native events to the topic of events; it connects at the first call of `send`, and after a failure.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._producer: Any = None
        self._placement = Placement(names.events, 0)

    def send(self, messages: Sequence[tuple[bytes, str]]) -> None:
        """Sends messages, in order within a pipeline, and returns when every in-sync replica has all of them.

        Parameters
        ----------
        messages
            Bodies, each with its pipeline.

        Raises
        ------
        UnreachableError
            Kafka cannot be reached, or did not acknowledge all messages in time.
        OptionsError
            The topic, or the changelog of its group, does not exist.
        """
        topic = self._names.events
        try:
            if self._producer is None:
                self._producer = self._connected()
            sent = [self._send(topic, body, pipeline.encode()) for body, pipeline in messages]
            self._producer.flush(timeout=_TIMEOUT_SECONDS)
            for each in sent:
                each.get(timeout=_TIMEOUT_SECONDS)
        except (KafkaError, ValueError) as error:  # ValueError: the topic was made anew, with fewer partitions
            self.close()
            servers = self._connection.bootstrap_servers
            raise UnreachableError(f"cannot write to {topic} at {servers}: {error}") from error

    def _send(self, topic: str, body: bytes, key: bytes) -> Any:
        return self._producer.send(topic, body, key=key, partition=self._placement.of(topic, key, body))

    def close(self) -> None:
        """Closes the connection."""
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None

    def _connected(self) -> Any:
        admin = self._connection.admin()
        try:
            self._placement = find_placement(admin, self._names, self._names.events)
            check_writable(self._connection, admin, self._names.events)
        finally:
            admin.close()
        return make_producer(self._connection)
