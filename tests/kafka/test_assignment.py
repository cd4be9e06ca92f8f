"""What an assignment says of itself when Faust is not ready to be asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stream_app.kafka.app import make_app
from stream_app.kafka.assignment import Assignment
from stream_app.kafka.connection import Connection
from stream_app.kafka.partition import Partition
from stream_app.kafka.topics import Names


def no_partition(number: int) -> Partition:
    raise AssertionError(f"partition {number} is asked for")


def test_lags_are_not_known_before_the_consumer_has_started(tmp_path: Path) -> None:
    """Metrics are brought up to date from the first second, and must not end a worker that starts slowly."""

    async def lags() -> dict[tuple[str, int], int | None]:
        app = make_app(Connection("127.0.0.1:9"), Names("g"), tmp_path, dict, session_seconds=10, instance_id=None)
        return Assignment(app, "g-events", no_partition).lags()

    assert asyncio.run(lags()) == {}
