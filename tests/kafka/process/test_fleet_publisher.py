"""What partitions publish is sent, and sent again where Kafka refused it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from stream_app.kafka.process import fleet_publisher
from stream_app.kafka.process.fleet_publisher import FleetPublisher
from stream_app.kafka.processing import fleet_publication
from stream_app.kafka.state.outbox import Message
from tests.kafka.processing.test_fleet_publication import EVENTS, PIPELINES, Workers


def test_refused_records_are_sent_again_and_other_partitions_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once; each pipeline is there in the end."""
    monkeypatch.setattr(fleet_publisher, "_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(fleet_publication, "SLICE_SECONDS", 0.0)
    workers = Workers(2)
    workers.apply(EVENTS[:2000])
    assignment: Any = SimpleNamespace(partitions=dict(enumerate(workers.partitions)))
    sent: dict[bytes | None, int] = {}
    refusals = [KafkaTimeoutError() for _ in range(3)]
    done = asyncio.Event()

    async def send(messages: Iterable[Message]) -> None:
        given = list(messages)
        if given and refusals:
            raise refusals.pop()
        sent.update({message.key: len(message.value or b"") for message in given})
        if len(sent) == PIPELINES:
            done.set()

    async def body() -> None:
        running = asyncio.create_task(FleetPublisher(assignment, send).run())
        await done.wait()
        running.cancel()

    asyncio.run(body())

    assert all(sent.values())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith("figures of the fleet cannot be published: KafkaTimeoutError")
