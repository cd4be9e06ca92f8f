"""What an assignment says of itself when Faust is not ready to be asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

from faust.types import TP

from stream_app.kafka.app import make_app
from stream_app.kafka.assignment import Assignment
from stream_app.kafka.connection import Connection
from stream_app.kafka.partition import Partition
from stream_app.kafka.topics import Names
from stream_app.kafka.transport import BatchConsumer


def no_partition(number: int) -> Partition:
    raise AssertionError(f"partition {number} is asked for")


def test_lags_are_not_known_before_the_consumer_has_started(tmp_path: Path) -> None:
    """Metrics are brought up to date from the first second, and must not end a worker that starts slowly."""

    async def lags() -> dict[tuple[str, int], int | None]:
        app = make_app(Connection("127.0.0.1:9"), Names("g"), tmp_path, dict, session_seconds=10, instance_id=None)
        return Assignment(app, "g-events", no_partition).lags()

    assert asyncio.run(lags()) == {}


def test_the_lag_of_what_a_rebalance_takes_away_is_not_known(tmp_path: Path) -> None:
    """The watchdog asks from its own thread, while partitions come and go."""

    class Consumer(BatchConsumer):
        def __init__(self) -> None:
            """Without a transport."""

        def lag(self, tp: TP) -> int | None:
            raise AssertionError(f"Partition is not assigned: {tp}")

    async def lag() -> int | None:
        app = make_app(Connection("127.0.0.1:9"), Names("g"), tmp_path, dict, session_seconds=10, instance_id=None)
        assignment = Assignment(app, "g-events", no_partition)
        assignment._app = SimpleNamespace(consumer=Consumer())  # type: ignore[assignment]
        return assignment.lag(3)

    assert asyncio.run(lag()) is None
