"""Sends events to the events topic, keyed by their pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka.errors import KafkaError

from stream_app.errors import OptionsError
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.publishing import make_producer
from stream_app.kafka.clients.topics import find

#: Seconds in which a group of messages must be acknowledged.
_TIMEOUT_SECONDS = 30.0


class EventProducer:
    """Sends native events to a topic; it connects at the first call of `send`, and again after a failure.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The events topic.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._producer: Any = None

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
            The topic does not exist.
        """
        try:
            if self._producer is None:
                self._producer = self._connected()
            sent = [self._producer.send(self._topic, body, key=pipeline.encode()) for body, pipeline in messages]
            self._producer.flush(timeout=_TIMEOUT_SECONDS)
            for each in sent:
                each.get(timeout=_TIMEOUT_SECONDS)
        except KafkaError as error:
            self.close()
            servers = self._connection.bootstrap_servers
            raise UnreachableError(f"cannot write to {self._topic} at {servers}: {error}") from error

    def close(self) -> None:
        """Closes the connection."""
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None

    def _connected(self) -> Any:
        admin = self._connection.admin()
        try:
            if not find(admin, [self._topic]):
                raise OptionsError(f"topic {self._topic} does not exist: run `stream-app topics apply`")
        finally:
            admin.close()
        return make_producer(self._connection)
