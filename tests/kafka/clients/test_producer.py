"""The producer of a worker."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import make_producer


def test_a_batch_that_was_taken_is_never_given_up() -> None:
    """Its number would miss for ever; aiokafka keeps the time after which it gives up under a private name."""

    async def body() -> None:
        producer = make_producer(Connection("localhost:1"))
        accumulator = producer._message_accumulator
        batch = accumulator._append_batch(producer.create_batch(), TopicPartition("t", 0))
        batch._ctime -= 1e9

        assert not batch.expired()
        batch.failure(KafkaTimeoutError())
        with pytest.raises(KafkaTimeoutError):
            await batch.future

    asyncio.run(body())
