"""Kafka does not take what is written, because too few replicas are in sync: this is told, and nothing is lost.

One broker is enough for it: a topic whose replicas are fewer than must be in sync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.event_producer import EventProducer
from stream_app.kafka.clients.in_sync import OFFSETS, find_unwritable
from stream_app.kafka.clients.publishing import publish
from tests.broker.cluster import Cluster, Process
from tests.broker.probes import figures, is_silent
from tests.broker.scenarios import check_outputs, check_state, keyed
from tests.broker.test_relay import ready, relayed, until, why_not


def need(admin: KafkaAdminClient, replicas: int, topic: str) -> None:
    """Makes a topic refuse what is written, or take it again."""
    change = {"min.insync.replicas": str(replicas)}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, change)])


def test_a_worker_tells_what_kafka_does_not_take_and_goes_on(
    cluster: Cluster, admin: KafkaAdminClient, fleet: list[bytes]
) -> None:
    """Once, with the numbers; it is live and not ready, and in the end every effect and word is there."""
    names = cluster.names
    topics = (names.changelog, names.verdicts, OFFSETS, names.events)
    parts = [fleet[number * 200 : (number + 1) * 200] for number in range(len(topics))]

    async def one(worker: Process, topic: str, messages: list[bytes]) -> None:
        says = f"Kafka does not take what is written: {topic} needs 2 replicas in sync (min.insync.replicas) and has 1"
        sending = None
        need(admin, 2, topic)
        try:
            await asyncio.to_thread(worker.said, says)
            sending = asyncio.create_task(cluster.produce(names.events, keyed(messages)))
            seen = figures(worker)
        finally:
            need(admin, 1, topic)
        while f"{topic} needs" in figures(worker).waiting_for:
            await asyncio.sleep(0.1)
        await sending
        await cluster.settle()
        assert (seen.live, seen.ready, topic in seen.waiting_for) == (200, 503, True)
        assert not is_silent(seen, worker.log)
        assert worker.log.read_text().count(says) == 1

    async def body() -> None:
        worker = cluster.worker()
        await asyncio.to_thread(worker.said, "are open")
        for topic, messages in zip(topics, parts, strict=True):
            await one(worker, topic, messages)
        assert worker.log.read_text().count("Kafka takes what is written again") == len(topics)
        while worker.ask("/readyz")[0] != 200:
            await asyncio.sleep(0.1)
        await check_state(cluster, fleet[:800])
        await check_outputs(cluster, fleet[:800])

    asyncio.run(body())


def test_serve_is_not_ready_and_what_was_posted_is_there_in_the_end(cluster: Cluster, admin: KafkaAdminClient) -> None:
    """The reason names the topic."""
    source = cluster.names.sources[0]
    with relayed(cluster) as service:
        until(lambda: ready(service))
        need(admin, 2, source)
        reason = why_not(service, "takes no records")
        live = service.get("/livez").status
        need(admin, 1, source)
        until(lambda: ready(service))

    assert f"{source} needs 2 replicas in sync (min.insync.replicas) and has 1" in reason
    assert live == 200


@pytest.mark.parametrize("send", ["publish", "follow"])
def test_senders_say_at_once_that_a_topic_takes_nothing(cluster: Cluster, admin: KafkaAdminClient, send: str) -> None:
    """Instead of repeating it until they give up."""
    connection, names = Connection(cluster.bootstrap), cluster.names
    calls: dict[str, Callable[[], object]] = {
        "publish": lambda: publish(connection, names, names.events, [b"{}"]),
        "follow": lambda: EventProducer(connection, names).send([(b"{}", "p")]),
    }
    need(admin, 2, names.events)
    until(lambda: find_unwritable(admin, [names.events]))

    with pytest.raises(UnreachableError, match=f"takes no records: {names.events} needs 2 replicas in sync"):
        calls[send]()
