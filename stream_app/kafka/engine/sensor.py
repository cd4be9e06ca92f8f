"""Times what Faust does between two batches: rebalances and commits of offsets."""

from __future__ import annotations

import time
from typing import Any

import faust

from stream_app.kafka.metrics.counts import Counts


class RebalanceSensor(faust.Sensor):
    """Counts into `counts`; add it to an app before that starts: `app.sensors.add(RebalanceSensor(counts))`."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def on_rebalance_end(self, app: Any, state: dict[str, Any]) -> None:  # noqa: ARG002
        """Partitions are assigned, restored, and read again; a rebalance cut off by the next is not counted."""
        self._counts.rebalance.add(time.monotonic() - state["time_start"])

    def on_commit_initiated(self, consumer: Any) -> float:  # noqa: ARG002
        return time.monotonic()

    def on_commit_completed(self, consumer: Any, state: float) -> None:  # noqa: ARG002
        self._counts.commit.add(time.monotonic() - state)
