"""A group with more partitions takes over from one with fewer, as docs/reliability.md says."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from pathlib import Path

import orjson
from kafka.admin import KafkaAdminClient

from stream_app.kafka.clients.topics import Names
from tests.broker.broker import Broker
from tests.broker.cluster import Cluster
from tests.broker.scenarios import SOURCE_PARTITIONS, check_state, keyed, pipeline


def test_a_new_group_takes_over(
    broker: Broker, admin: KafkaAdminClient, prefix: str, fleet: list[bytes], tmp_path: Path
) -> None:
    """From the sources and the old topic of events, which has what was sent there by others; both run meanwhile."""
    source = f"{prefix}-source"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old = Cluster(broker.bootstrap, admin, tmp_path / "old", Names(prefix, (source,)), partitions=4, tick_seconds=1.0)
    sources = (source, old.names.events)
    new = Cluster(broker.bootstrap, admin, tmp_path / "new", Names(f"{prefix}-new", sources), partitions=6)
    direct = {pipeline(message) for message in fleet[:40]}
    parts = [fleet[: len(fleet) // 3], fleet[len(fleet) // 3 : 2 * len(fleet) // 3], fleet[2 * len(fleet) // 3 :]]
    spread = random.Random(2)

    async def send(messages: list[bytes], events: str) -> None:
        """Some pipelines directly to a topic of events, as `follow` does, the others to the source."""
        others = [message for message in messages if pipeline(message) not in direct]
        records = [(spread.randrange(SOURCE_PARTITIONS), None, message) for message in others]
        await old.produce(source, records)
        await old.produce(events, keyed([message for message in messages if pipeline(message) in direct]))

    async def body() -> None:
        old.make_topics()
        before = old.worker()
        await send(parts[0], old.names.events)
        await old.settle()
        new.make_topics()
        catching_up = new.worker()
        await send(parts[1], old.names.events)
        await old.settle()
        await check_state(old, parts[0] + parts[1])
        before.signal(signal.SIGTERM)
        assert await asyncio.to_thread(before.wait) == 0
        await new.settle()
        await check_state(new, parts[0] + parts[1])
        catching_up.signal(signal.SIGTERM)
        assert await asyncio.to_thread(catching_up.wait) == 0
        new.names = Names(new.names.group, (source,))
        new.worker()
        await send(parts[2], new.names.events)
        await new.settle()
        await check_state(new, fleet)

        assert not await new.read(new.names.dead_letters, SOURCE_PARTITIONS)
        alerts = [orjson.loads(each.value) for each in await new.read(new.names.alerts, SOURCE_PARTITIONS)]
        assert not [key for key, count in Counter(alert["id"] for alert in alerts).items() if count > 1]

    try:
        asyncio.run(body())
    finally:
        old.stop()
        new.stop()
