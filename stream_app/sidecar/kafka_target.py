"""Delivers messages to a topic of Kafka that workers read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import READABLE, give_up, make_producer
from stream_app.kafka.records import FORMAT
from stream_app.sidecar.forwarding import Refused, TargetUnavailableError
from stream_app.sidecar.spool import Message

#: Seconds that Kafka has for a batch.
_SECONDS = 30.0


class KafkaTarget:
    """A source topic.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The topic.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def send(self, messages: Sequence[Message]) -> list[Refused]:
        """Sends messages; see `Target.send`. They have no key: the workers bring each to its pipeline."""
        try:
            async with asyncio.timeout(_SECONDS):
                producer = await self._started()
                futures = [
                    await producer.send(self._topic, each.body, headers=[(FORMAT, each.format.encode())])
                    for each in messages
                ]
                results = await asyncio.gather(*futures, return_exceptions=True)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise self._unavailable(error) from None
        refused = []
        for index, result in enumerate(results):
            if isinstance(result, MessageSizeTooLargeError):
                # It is told of all messages of one batch: which of them is too large, each says alone.
                if len(messages) > 1:
                    refused += [Refused(index, each.reason) for each in await self.send([messages[index]])]
                else:
                    refused.append(Refused(0, f"it is larger than topic {self._topic} takes; see max.message.bytes"))
            elif isinstance(result, BaseException):
                await self.close()
                raise self._unavailable(result) from None
        return refused

    async def close(self) -> None:
        """Closes the connection; what is under way is sent again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError):
                await give_up(producer)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = make_producer(self._connection, READABLE, request_timeout_ms=20_000)
            self._producer = producer
            await producer.start()
        return self._producer

    def _unavailable(self, error: BaseException) -> TargetUnavailableError:
        why = str(error) or f"no answer within {_SECONDS:g} s"
        return TargetUnavailableError(f"cannot write to {self._topic} at {self._connection.bootstrap_servers}: {why}")
