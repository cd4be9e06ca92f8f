"""Rounds of faults under load: each has topics of its own and a fleet of its seed, and ends with the invariants."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stream_app.core.learning.learner import Learner
from tests.broker.cluster import PATIENCE, Cluster, Process
from tests.broker.scenarios import SOURCE_PARTITIONS, keyed, pipeline
from tests.broker.test_learning import checkpoint_of, trained_model
from tests.reliability.acts import with_acts
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

#: Records of a round that are no events.
BAD = 20

#: Does something to one worker or several; figures.
Fault = Callable[[Cluster, random.Random], Awaitable[dict[str, float]]]


@dataclass(frozen=True)
class Plan:
    """What a round is made of: workers, events, faults, and seconds between two faults, at most."""

    fault: Fault
    workers: int = 3
    events: int = 9_000
    faults: int = 5
    pause_seconds: float = 6.0
    #: Seconds for which events are written for each fault of the round.
    fault_seconds: float = 8.0
    #: Figure of a fault -> what it is at most.
    promises: Mapping[str, float] = field(default_factory=dict)

    def broken(self, figures: dict[str, float]) -> list[str]:
        """The promises that a fault's figures do not keep."""
        return [
            f"{name}: {figures[name]}, promised {most}"
            for name, most in self.promises.items()
            if figures.get(name, 0) > most
        ]


def rounds(work: Path, so_far: dict[str, Any], faults: int, plan: Plan) -> Iterator[dict[str, Any]]:
    """Rounds until there were so many faults; what each fault did and each round sent, added to what is there."""
    if so_far.get("faults", 0) >= faults:
        return
    with broker() as bootstrap:
        trained = trained_model()
        while so_far.get("faults", 0) < faults:
            number = so_far.get("rounds", 0)
            count = min(plan.faults, faults - so_far.get("faults", 0))
            with deployment(bootstrap, work, f"round{number}-{random.randrange(1 << 32):x}") as cluster:
                # Every other round learns; the words of the others are those of a replay with the same model.
                cluster.learning = number % 2 == 1
                done, said = asyncio.run(one(cluster, number, replace(plan, faults=count), trained))
            so_far = {
                **so_far,
                "rounds": number + 1,
                "faults": so_far.get("faults", 0) + count,
                "each": [*so_far.get("each", []), *done],
                "broken": [*so_far.get("broken", []), *(line for each in done for line in plan.broken(each))],
                "totals": {
                    name: so_far.get("totals", {}).get(name, 0) + said.get(name, 0)
                    for name in so_far.get("totals", {}).keys() | said.keys()
                },
            }
            yield so_far


async def one(
    cluster: Cluster, seed: int, plan: Plan, trained: Learner
) -> tuple[list[dict[str, float]], dict[str, int]]:
    """A round: what each fault did, and what was sent."""
    chance = random.Random(seed)
    # Acts come on the events topic only.
    messages = with_acts(fleet(plan.events, seed), seed, lambda message: hash_of(message) != 0)
    bad = [b'{"time": %d, "nothing": "else' % number for number in range(BAD)]
    expected = await asyncio.to_thread(expected_state, messages)
    for _ in range(plan.workers):
        join(cluster, trained)
    for worker in cluster.workers:
        await ready(worker)
    load = asyncio.create_task(produce(cluster, messages, bad, plan.faults * plan.fault_seconds))
    done = []
    for _ in range(plan.faults):
        await asyncio.sleep(chance.uniform(0, plan.pause_seconds))
        done.append(await plan.fault(cluster, chance))
        await check_offsets(cluster)
    await load
    await cluster.settle()
    await check_state(cluster, expected)
    await check_dead_letters(cluster, bad)
    await check_offsets(cluster)
    if cluster.learning:
        return done, {"flags": await check_flags(cluster), "examples_learned": await check_model(cluster)}
    return done, await check_words(cluster, messages, trained)


def join(cluster: Cluster, trained: Learner) -> Process:
    """A further worker, with this model unless it learns."""
    if not cluster.learning:
        checkpoint_of(cluster, cluster.folder / f"worker{len(cluster.workers)}").write(trained, offset=0)
    return cluster.worker()


async def ready(worker: Process) -> None:
    """Wait until a worker has its partitions and works; unlike a thread that waits, this can be interrupted."""
    end = time.monotonic() + PATIENCE
    status = 0
    while status != 200:
        assert worker.running, f"a worker ended\n{worker.log.read_text()[-3000:]}"
        assert time.monotonic() < end, f"a worker was not ready after {PATIENCE} s\n{worker.log.read_text()[-3000:]}"
        await asyncio.sleep(0.1)
        try:
            status = worker.ask("/readyz")[0]
        except (IndexError, OSError):  # it has no address yet
            status = 0


async def produce(cluster: Cluster, messages: list[bytes], bad: list[bytes], seconds: float) -> None:
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
        cluster.produce(cluster.names.events, keyed(direct), seconds),
        cluster.produce(cluster.names.sources[0], mixed, seconds),
    )


def hash_of(message: bytes) -> int:
    """The same for all events of a pipeline, in every process."""
    return sum(pipeline(message)) % SOURCE_PARTITIONS
