"""T5: rolling restarts (SIGTERM) of three workers under load; the amount is the number of restarts."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.broker.cluster import Cluster
from tests.reliability.rounds import Plan, ready, rounds

NAME = "three workers are stopped with SIGTERM and started again, under load"
AMOUNT = 50
#: Seconds within which a worker that is told to stop ends.
DRAIN_SECONDS = 20


async def restart(cluster: Cluster, chance: random.Random) -> dict[str, float]:
    """SIGTERM; the worker writes what it has done, ends with status 0, and is started again."""
    worker = chance.choice(cluster.workers)
    await ready(worker)  # one that has just been started does not listen to signals yet
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    status = await asyncio.to_thread(worker.wait, 60)
    drained = time.monotonic() - began
    assert status == 0, f"status {status}\n{worker.log.read_text()[-3000:]}"
    worker.start()
    await ready(worker)
    return {"drain_seconds": round(drained, 2), "back_seconds": round(time.monotonic() - began - drained, 2)}


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    yield from rounds(work, so_far, amount, Plan(restart, promises={"drain_seconds": DRAIN_SECONDS}))
