"""Rounds of faults under load: each has topics of its own and a fleet of its seed, and ends with the invariants."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from stream_app.core.learning.learner import Learner
from tests.broker.cluster import Cluster, Process
from tests.broker.scenarios import SOURCE_PARTITIONS, keyed, pipeline
from tests.broker.test_learning import checkpoint_of, trained_model
from tests.reliability.deployment import broker, deployment, fleet
from tests.reliability.invariants import (
    check_dead_letters,
    check_flags,
    check_model,
    check_offsets,
    check_state,
    check_words,
    expected_state,
)

WORKERS = 3
#: Of a round: faults, and events.
FAULTS, EVENTS = 5, 9_000
#: Records of a round that are no events.
BAD = 20
#: Seconds between two faults, at most, and until the last events are written.
PAUSE_SECONDS, LOAD_SECONDS = 6.0, 40.0

#: Does something to one worker and has it running again; figures.
Fault = Callable[[Cluster, Process], Awaitable[dict[str, float]]]


def rounds(work: Path, so_far: dict[str, Any], faults: int, fault: Fault) -> Iterator[dict[str, Any]]:
    """Rounds until there were so many faults; what each fault did and each round sent, added to what is there."""
    with broker() as bootstrap:
        trained = trained_model()
        while so_far.get("faults", 0) < faults:
            number = so_far.get("rounds", 0)
            count = min(FAULTS, faults - so_far.get("faults", 0))
            with deployment(bootstrap, work, f"round{number}-{random.randrange(1 << 32):x}") as cluster:
                # Every other round learns; the words of the others are those of a replay with the same model.
                cluster.learning = number % 2 == 1
                done, said = asyncio.run(one(cluster, number, count, fault, trained))
            so_far = {
                **so_far,
                "rounds": number + 1,
                "faults": so_far.get("faults", 0) + count,
                "each": [*so_far.get("each", []), *done],
                "totals": {
                    name: so_far.get("totals", {}).get(name, 0) + said.get(name, 0)
                    for name in so_far.get("totals", {}).keys() | said.keys()
                },
            }
            yield so_far


async def one(
    cluster: Cluster, seed: int, count: int, fault: Fault, trained: Learner
) -> tuple[list[dict[str, float]], dict[str, int]]:
    """A round: what each fault did, and what was sent."""
    chance = random.Random(seed)
    messages = fleet(EVENTS, seed)
    bad = [b'{"time": %d, "nothing": "else' % number for number in range(BAD)]
    expected = await asyncio.to_thread(expected_state, messages)
    for number in range(WORKERS):
        if not cluster.learning:
            checkpoint_of(cluster, cluster.folder / f"worker{number}").write(trained, offset=0)
        cluster.worker()
    for worker in cluster.workers:
        await asyncio.to_thread(worker.said, "are open")
    load = asyncio.create_task(produce(cluster, messages, bad))
    done = []
    for _ in range(count):
        await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS))
        done.append(await fault(cluster, chance.choice(cluster.workers)))
        await check_offsets(cluster)
    await load
    await cluster.settle()
    await check_state(cluster, expected)
    await check_dead_letters(cluster, bad)
    await check_offsets(cluster)
    if cluster.learning:
        return done, {"flags": await check_flags(cluster), "examples_learned": await check_model(cluster)}
    return done, await check_words(cluster, messages, trained)


async def produce(cluster: Cluster, messages: list[bytes], bad: list[bytes]) -> None:
    """The events of every fourth pipeline come through a source topic, with what is no event; the others directly."""
    through = [message for message in messages if hash_of(message) == 0]
    direct = [message for message in messages if hash_of(message) != 0]
    step = max(1, len(through) // len(bad))
    mixed: list[tuple[int | None, bytes | None, bytes]] = []
    for number, record in enumerate(keyed(through)):
        mixed.append(record)
        if number % step == 0 and number // step < len(bad):
            mixed.append((number % SOURCE_PARTITIONS, None, bad[number // step]))
    await asyncio.gather(
        cluster.produce(cluster.names.events, keyed(direct), LOAD_SECONDS),
        cluster.produce(cluster.names.sources[0], mixed, LOAD_SECONDS),
    )


def hash_of(message: bytes) -> int:
    """The same for all events of a pipeline, in every process."""
    return sum(pipeline(message)) % SOURCE_PARTITIONS
