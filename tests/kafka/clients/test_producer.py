"""The producer, and which of its faults pass."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import make_producer, passes


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


@pytest.mark.parametrize(
    ("error", "over"),
    [
        (KafkaTimeoutError, True),
        (UnknownTopicOrPartitionError, True),
        (NotLeaderForPartitionError, True),
        (MessageSizeTooLargeError, False),
        (TopicAuthorizationFailedError, False),
    ],
)
def test_what_an_outage_brings_passes(error: type[KafkaError], over: bool) -> None:
    """And what no waiting will mend does not."""
    assert passes(error()) is over
