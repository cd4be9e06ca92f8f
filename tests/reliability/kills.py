"""T4: `kill -9` of three workers at random points under load; the amount is the number of kills."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.broker.cluster import Cluster
from tests.reliability.rounds import Plan, ready, rounds

NAME = "kill -9 of three workers at random points under load"
AMOUNT = 50
#: Seconds within which a killed worker has its partitions again and works.
RECOVERY_SECONDS = 30
#: Share of kills after which the next comes without waiting, so that workers die while they or others restore.
IMPATIENT = 0.3


async def kill(cluster: Cluster, chance: random.Random) -> dict[str, float]:
    """SIGKILL, and the same worker is started again at once."""
    worker = chance.choice(cluster.workers)
    began = time.monotonic()
    worker.kill()
    worker.start()
    if chance.random() < IMPATIENT:
        return {}
    await ready(worker)
    return {"recovery_seconds": round(time.monotonic() - began, 2)}


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    yield from rounds(work, so_far, amount, Plan(kill, promises={"recovery_seconds": RECOVERY_SECONDS}))
