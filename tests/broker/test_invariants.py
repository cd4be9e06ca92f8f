"""The short form of the rows of `tests.reliability` that kill and stop workers."""

from __future__ import annotations

import asyncio
import random

from tests.broker.cluster import Cluster
from tests.broker.test_learning import trained_model
from tests.reliability.kills import kill
from tests.reliability.load_restarts import restart
from tests.reliability.rounds import Plan, one


def test_kills_and_restarts_leave_what_an_oracle_expects(cluster: Cluster) -> None:
    """Two kills and two SIGTERMs: state, dead letters, offsets, flags and words, each once or more and none else.

    Among the events are acts of people, which withdraw flags and change their ladders.
    """
    faults = [kill, restart, kill, restart]

    async def fault(cluster: Cluster, chance: random.Random) -> dict[str, float]:
        return await faults.pop(0)(cluster, chance)

    plan = Plan(fault, workers=2, events=2_500, faults=4, pause_seconds=1.0, fault_seconds=4.0)
    done, sent = asyncio.run(one(cluster, 6, plan, trained_model()))

    assert (len(done), faults) == (4, [])
    assert sent["flags"] > sent["kept"] > 0
