"""Measures rebalances and commits of offsets."""

from __future__ import annotations

import time
from typing import Any

import faust

from stream_app.kafka.metrics.counts import GroupCounts


class RebalanceSensor(faust.Sensor):
    """Measures rebalances and commits; to be added before the app starts.

    Parameters
    ----------
    counts
        Where durations are counted.

    Examples
    --------
    `app.sensors.add(RebalanceSensor(counts))`
    """

    def __init__(self, counts: GroupCounts) -> None:
        super().__init__()
        self._counts = counts

    def on_rebalance_end(self, app: Any, state: dict[str, Any]) -> None:  # noqa: ARG002
        """Counts a rebalance once partitions are restored and read again, unless the next one interrupted it."""
        self._counts.rebalance.add(time.monotonic() - state["time_start"])

    def on_commit_initiated(self, consumer: Any) -> float:  # noqa: ARG002
        return time.monotonic()

    def on_commit_completed(self, consumer: Any, state: float) -> None:  # noqa: ARG002
        self._counts.commit.add(time.monotonic() - state)
        self._counts.committed = time.time()
