"""What Faust tells its sensors, timed."""

from __future__ import annotations

import faust
import pytest

from stream_app.kafka.engine import sensor as module
from stream_app.kafka.engine.sensor import RebalanceSensor
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.metrics.histogram import Histogram


@pytest.fixture
def app() -> faust.App:
    return faust.App("sensed", autodiscover=False, store="memory://")


def seconds(histogram: Histogram) -> tuple[float, float]:
    """How many values there were, and their sum."""
    count, total = (sample.value for sample in histogram.family("t", "").samples[-2:])
    return count, total


def test_rebalances_and_commits_are_timed_as_faust_tells_of_them(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the hub of sensors that Faust itself calls, each from its beginning to its end."""
    counts = Counts()
    app.sensors.add(RebalanceSensor(counts))
    monkeypatch.setattr("faust.sensors.base.monotonic", lambda: 100.0)
    rebalance = app.sensors.on_rebalance_start(app)
    monkeypatch.setattr(module.time, "monotonic", lambda: 103.0)
    app.sensors.on_rebalance_return(app, rebalance)
    commit = app.sensors.on_commit_initiated(app.consumer)
    monkeypatch.setattr(module.time, "monotonic", lambda: 103.5)
    app.sensors.on_commit_completed(app.consumer, commit)
    app.sensors.on_rebalance_end(app, rebalance)

    assert seconds(counts.rebalance) == (1, 3.5)
    assert seconds(counts.commit) == (1, 0.5)
