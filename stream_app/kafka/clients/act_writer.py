"""Writes acts of people to the topic of events, from a process that otherwise only reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson

from stream_app.core.events import Event
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.event_producer import EventProducer
from stream_app.kafka.clients.topics import Names
from stream_app.wire import event_to_dict


class ActWriter:
    """Writes events; see `stream_app.alerts.flag_acts.WriteEvents`. It connects at the first one.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._producer = EventProducer(connection, names)
        #: One at a time: acts are few, and a connection that has failed is replaced.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="acts")

    async def __call__(self, events: Sequence[Event]) -> None:
        """Writes events, and returns when every in-sync replica has them.

        Parameters
        ----------
        events
            The events.

        Raises
        ------
        UnreachableError, OptionsError
            As of `EventProducer.send`.
        """
        messages = [(orjson.dumps(event_to_dict(event)), event.pipeline) for event in events]
        await asyncio.get_running_loop().run_in_executor(self._thread, self._producer.send, messages)

    def close(self) -> None:
        """Closes the connection, once what is being written is."""
        self._thread.submit(self._producer.close)
        self._thread.shutdown(wait=False)
