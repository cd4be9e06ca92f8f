"""A topic of Kafka: CloudEvents, keyed by what they are about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson

from stream_app.alerts.sinks.sink import Outgoing, Result, cleaned
from stream_app.alerts.sinks.webhook import event_of

#: Appends a record to a topic, with its key, its value and the id of its message, and returns when it is safe.
Append = Callable[[str, bytes, bytes, str], Awaitable[None]]


class KafkaTopic:
    """Appends messages to a topic.

    Parameters
    ----------
    append
        Appends a record.
    topic
        The topic.
    """

    def __init__(self, append: Append, topic: str) -> None:
        self._append = append
        self._topic = topic

    async def send(self, message: Outgoing) -> Result:
        """Appends a message; see `Sink.send`."""
        key = message.records[0].subject.encode()
        try:
            await self._append(self._topic, key, orjson.dumps(event_of(message.id, message.records)), message.id)
        except Exception as error:  # clients of Kafka share no base class of errors
            return Result(f"{type(error).__name__}: {cleaned(str(error).encode())}")
        return Result()
