"""T8: a worker joins or leaves every ten seconds; the amount is the number of minutes."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.broker.chaos import applied_everywhere
from tests.broker.cluster import Cluster
from tests.reliability.rounds import Plan, rounds

NAME = "a worker joins or leaves every ten seconds under load"
AMOUNT = 10
STEP_SECONDS = 10
#: Steps of a minute, and minutes of a round.
STEPS, MINUTES = 6, 5


async def join_or_leave(cluster: Cluster, _: random.Random) -> dict[str, float]:
    """The last worker leaves if it runs, and else joins; then ten seconds pass. The others stay."""
    guest = cluster.workers[-1]
    if guest.running:
        guest.signal(signal.SIGTERM)
    else:
        guest.start()
    await asyncio.sleep(STEP_SECONDS)
    return {"applied": await applied_everywhere(cluster)}


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    plan = Plan(join_or_leave, faults=STEPS * MINUTES, pause_seconds=0, fault_seconds=1.2 * STEP_SECONDS)
    for progress in rounds(work, so_far, STEPS * amount, plan):
        newest = [step["applied"] for step in progress["each"]][-STEPS * MINUTES :]
        stalled = [pair for pair in pairwise(newest[::STEPS]) if pair[1] <= pair[0]]
        assert not stalled, f"nothing was applied for a minute: {newest}"
        yield progress
