"""What tests of workers have in common: load, kills, and the comparison with a replay."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson

from stream_app import wire
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Example, Verdict
from tests.broker.cluster import Cluster, replay, state

SOURCE_PARTITIONS = 4


def pipeline(message: bytes) -> bytes:
    name: str = orjson.loads(message)["pipeline"]
    return name.encode()


def keyed(messages: list[bytes]) -> list[tuple[None, bytes, bytes]]:
    """Records for the events topic as a Java, Python or aiokafka sender would key them."""
    return [(None, pipeline(message), message) for message in messages]


def expected_records(messages: list[bytes], learner: Learner | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The verdicts and examples of a replay with a model (an empty one) that learns nothing, by id, as sent."""
    _, outputs = replay(messages, learner or Learner())
    verdicts = {output.id: wire.verdict_to_dict(output) for output in outputs if isinstance(output, Verdict)}
    examples = {output.id: wire.example_to_dict(output) for output in outputs if isinstance(output, Example)}
    return verdicts, examples


def by_id(records: list[Any]) -> dict[str, Any]:
    """Records by the id in their value; one sent twice must have been sent with the same words."""
    said: dict[str, Any] = {}
    for record in records:
        value = orjson.loads(record.value)
        assert said.setdefault(value["id"], value) == value
    return said


async def check_outputs(cluster: Cluster, messages: list[bytes], learner: Learner | None = None) -> None:
    """Every verdict and example of a replay was sent, with its words, and nothing else."""
    verdicts, examples = expected_records(messages, learner)

    assert by_id(await cluster.read(cluster.names.verdicts, SOURCE_PARTITIONS)) == verdicts
    assert by_id(await cluster.read(cluster.names.examples, 1)) == examples


async def check_state(cluster: Cluster, messages: list[bytes]) -> None:
    """Graphlets, outcomes and ledgers are those of a replay."""
    assert await cluster.state() == state([replay(messages)[0]])


async def trickle(cluster: Cluster, messages: list[bytes], seconds: float) -> None:
    """Write to the events topic for about this long."""
    await cluster.produce(cluster.names.events, keyed(messages), seconds)


async def kill_under_load(cluster: Cluster, messages: list[bytes], kills: int, seed: int) -> None:
    """Kill and restart workers of the cluster at random points while messages come in."""
    chance = random.Random(seed)
    size = len(messages) // kills + 1
    for start in range(0, len(messages), size):
        load = asyncio.create_task(trickle(cluster, messages[start : start + size], seconds=4))
        await asyncio.sleep(chance.uniform(0.5, 3.5))
        victim = chance.choice(cluster.workers)
        victim.kill()
        victim.start()
        await load
