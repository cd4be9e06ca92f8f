"""The producer of a worker, and what holds of every producer."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from stream_app.kafka.clients import publishing
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.flow import worker_flow
from stream_app.kafka.clients.producer import READABLE, make_producer, unacknowledged
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.engine.app import make_app
from tests.support.modules import MODULES, calls


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


def test_what_is_not_acknowledged_has_an_age_and_a_topic() -> None:
    """Whether it waits to be sent or to be answered; aiokafka keeps both under private names."""

    async def body() -> None:
        producer = make_producer(Connection("localhost:1"))
        producer._txn_manager.set_pid_and_epoch(1, 0)
        accumulator = producer._message_accumulator
        nothing = unacknowledged(producer)
        young = accumulator._append_batch(producer.create_batch(), TopicPartition("young", 0))
        young._ctime -= 10
        queued = unacknowledged(producer)
        old = accumulator._append_batch(producer.create_batch(), TopicPartition("old", 0))
        old._ctime -= 100
        accumulator._pop_batch(TopicPartition("old", 0))
        in_flight = unacknowledged(producer)
        old.done(0)
        await asyncio.sleep(0)

        assert nothing == (0.0, "")
        assert [(round(seconds, -1), topic) for seconds, topic in (queued, in_flight, unacknowledged(producer))] == [
            (10, "young"),
            (100, "old"),
            (10, "young"),
        ]

    asyncio.run(body())


def test_every_producer_waits_for_all_replicas_and_is_idempotent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours of aiokafka, the one of kafka-python, and Faust's, which sends nothing; there is no other."""

    async def body() -> None:
        for producer in (make_producer(Connection("localhost:1")), make_producer(Connection("localhost:1"), READABLE)):
            assert producer._sender._acks == -1
            assert producer._txn_manager is not None
        settings = {"session_seconds": 6.0, "instance_id": None}
        app = make_app(Connection("localhost:1"), worker_flow(Names()), Path(), dict, print, **settings)  # type: ignore[arg-type]
        assert app.conf.producer_acks == -1

    asyncio.run(body())
    monkeypatch.setattr(Connection, "admin", lambda _: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(publishing, "KafkaProducer", lambda **settings: settings)
    settings = publishing.make_producer(Connection("localhost:1"))
    assert (settings["acks"], settings["enable_idempotence"]) == ("all", True)
    gc.collect()  # what an unclosed producer logs when it is collected disturbs the parser of Python 3.11
    kinds = ("AIOKafkaProducer", "KafkaProducer", "Producer")
    made = {(module.name, kind) for module in MODULES for kind in kinds if calls(module, kind)}
    assert made == {("kafka.clients.producer", "AIOKafkaProducer"), ("kafka.clients.publishing", "KafkaProducer")}
