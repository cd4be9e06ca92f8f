"""T17: one worker and three get the same input and say the same; the amount is the number of events."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from stream_app.core.learning.learner import Learner
from tests.broker.chaos import figure
from tests.broker.cluster import Cluster
from tests.broker.scenarios import SOURCE_PARTITIONS, by_id, keyed
from tests.broker.test_learning import trained_model
from tests.reliability.deployment import broker, deployment, fleet
from tests.reliability.invariants import check_state, check_words, expected_state
from tests.reliability.rounds import join, ready

NAME = "one worker and three say the same of the same input"
AMOUNT = 50_000
WORKERS = (1, 3)
SEED = 17


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    missing = [count for count in WORKERS if str(count) not in so_far]
    if not missing:
        return
    trained, messages = trained_model(), fleet(amount, SEED)
    expected = expected_state(messages)
    with broker() as bootstrap:
        for count in missing:
            with deployment(bootstrap, work, f"workers{count}-{random.randrange(1 << 32):x}") as cluster:
                so_far = {**so_far, str(count): asyncio.run(said(cluster, count, messages, expected, trained))}
            yield so_far
    one, three = (so_far[str(count)] for count in WORKERS)
    for name in ("digest", "flags", "events"):
        assert one[name] == three[name], f"{name}: {one[name]} by one worker, {three[name]} by three"


async def said(
    cluster: Cluster, count: int, messages: list[bytes], expected: dict[str, Any], trained: Learner
) -> dict[str, Any]:
    """What some workers said of the events, as a digest, once it is that of the oracle and of a replay."""
    for _ in range(count):
        join(cluster, trained)
    for worker in cluster.workers:
        await ready(worker)
    await cluster.produce(cluster.names.events, keyed(messages))
    await cluster.settle()
    await check_state(cluster, expected)
    words = await check_words(cluster, messages, trained)
    topics = {
        cluster.names.verdicts: SOURCE_PARTITIONS,
        cluster.names.alerts: SOURCE_PARTITIONS,
        cluster.names.examples: 1,
    }
    records = [by_id(await cluster.read(topic, partitions)) for topic, partitions in topics.items()]
    digest = hashlib.sha256(orjson.dumps(records, option=orjson.OPT_SORT_KEYS)).hexdigest()
    processed = sum(int(figure(worker, "stream_app_events_processed_total")) for worker in cluster.workers)
    assert processed == len(messages), f"I7: the workers count {processed} events of {len(messages)}"
    return {"digest": digest, "events": processed, **words}
