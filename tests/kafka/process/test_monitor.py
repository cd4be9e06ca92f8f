"""All that a worker exports, as Prometheus reads it."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read

from stream_app.core.detector import Detector
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import STAGES
from stream_app.kafka.clients.flow import worker_flow
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.collectors import LineCounter
from stream_app.kafka.process.worker_monitor import WorkerMonitor
from tests.metrics.exported import catalogued, exported, generalised
from tests.metrics.test_metrics import EXAMPLE, VERDICT
from tests.support.builders import ran

#: Partitions of each of the two topics: the default number.
PARTITIONS = 12
SERIES_MAX = 500


@pytest.fixture
def learner() -> Learner:
    """One that has learned at each stage, from pushes and others."""
    learner = Learner()
    for number in range(200):
        stages = [replace(EXAMPLE.stages[0], stage=stage, p=0.2 + 0.1 * (number % 5)) for stage in STAGES]
        learner.learn(replace(EXAMPLE, graphlet=f"p/{number}", pushed=number % 4 == 0, stages=stages))
    return learner


@pytest.fixture
def partition() -> Any:
    """An open partition with one graphlet, a flag and a local copy."""
    detector = Detector()
    for event in ran(0, "t", "Trainer", node_ms=600_000):
        detector.step(event)
    return SimpleNamespace(
        detector=detector, open_flags=1, table=SimpleNamespace(position=0, remaining=5, measure=lambda: (10, 2_000))
    )


@pytest.fixture
def monitor(learner: Learner, partition: Any) -> WorkerMonitor:
    """That of a worker in which everything that can have a value has one."""
    topics = ("provenance", "stream-app-events")
    monitor = WorkerMonitor(worker_flow(Names()))
    monitor.assignment = SimpleNamespace(  # type: ignore[assignment]
        partitions=dict.fromkeys(range(PARTITIONS), partition),
        opening=partition,
        complete=False,
        rebalances=3,
        last_fetch=time.time,
        lags=lambda: {(topic, number): number for topic in topics for number in range(PARTITIONS)},
    )
    monitor.learning = SimpleNamespace(  # type: ignore[assignment]
        learner=learner,
        log=SimpleNamespace(position=200, skipped=2),
        checkpoint=SimpleNamespace(time=1.7e9, size=1_000, first=4, identity="0123456789ab"),
        caught_up=True,
    )
    monitor.observe([VERDICT, EXAMPLE], 0)
    monitor.refresh()
    monitor.measure()
    return monitor


@pytest.fixture(params=["text", "OpenMetrics"])
def families(request: pytest.FixtureRequest, monitor: WorkerMonitor) -> list[Any]:
    """What is exported, written and read again in one of the two formats."""
    if request.param == "text":
        return list(read(generate_latest(monitor.registry).decode()))
    return list(read_open_metrics(open_metrics(monitor.registry).decode()))


def test_series_are_few(families: list[Any]) -> None:
    """Prometheus keeps at most so many of a worker, whatever that sees."""
    series = [(sample.name, sorted(sample.labels.items())) for family in families for sample in family.samples]

    assert len(series) <= SERIES_MAX
    assert any(name == "stream_app_prequential_auc" for name, _ in series)
    assert not [name for name, _ in series if name.endswith("_created")]


def test_a_worker_exports_what_the_catalogue_says(families: list[Any]) -> None:
    """Names, types, help, labels and all their values: no more and no less."""
    assert generalised(exported(families)) == catalogued("worker")


def test_everything_documented_is_there_before_anything_happened(monitor: WorkerMonitor) -> None:
    """But what cannot be told without partitions or labels: rates and alerts need a beginning at zero."""

    def names(registry: CollectorRegistry) -> set[str]:
        return {sample.name for family in registry.collect() for sample in family.samples}

    assert names(monitor.registry) - names(WorkerMonitor(worker_flow(Names())).registry) == {
        "stream_app_consumer_lag_records",
        "stream_app_model_identity_info",
        "stream_app_model_info",
        "stream_app_prequential_auc",
        "stream_app_prequential_balanced_accuracy",
        "stream_app_prequential_log_loss",
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("consumer_assigned_partitions", {}, PARTITIONS),
        ("consumer_lag_records", {"topic": "provenance", "partition": "7"}, 7),
        ("rebalances_total", {}, 3),
        ("table_recovery_in_progress", {}, 1),
        ("table_recovery_remaining_records", {}, 5),
        ("table_keys", {}, 10 * PARTITIONS),
        ("table_size_bytes", {}, 2_000 * PARTITIONS),
        ("flags_open", {}, PARTITIONS),
        ("graphlets_open", {}, PARTITIONS),
        ("examples_position", {}, 200),
        ("examples_skipped_total", {}, 2),
        ("model_examples_total", {}, 200),
        ("model_checkpoint_size_bytes", {}, 1_000),
        ("flag_latency_seconds_count", {}, 1),
        ("ready", {}, 0),
    ],
)
def test_what_was_measured_is_exported(monitor: WorkerMonitor, name: str, labels: dict[str, str], value: float) -> None:
    """Sums over the partitions held, and the model's own figures."""
    assert monitor.registry.get_sample_value(f"stream_app_{name}", labels) == value


def test_lines_are_counted_by_level(monitor: WorkerMonitor) -> None:
    """A level between two counts as the lower, and what is not logged is not counted."""
    logger = logging.Logger("apart")
    logger.addHandler(LineCounter(monitor.counts.lines))
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.WARNING + 5, logging.CRITICAL, 60):
        logger.log(level, "a line")

    assert monitor.counts.lines == {"info": 1, "warning": 2, "error": 0, "critical": 2}


@pytest.mark.parametrize(
    ("complete", "lags", "busy"),
    [
        (True, {}, False),
        (True, {("events", 0): 0, ("source", 1): 0}, False),
        (True, {("events", 0): 0, ("source", 1): 7}, True),
        (True, {("events", 0): 0, ("events", 1): None}, True),
        (False, {}, True),
    ],
)
def test_the_watchdog_is_told_what_is_to_be_done(
    monitor: WorkerMonitor, complete: bool, lags: dict[tuple[str, int], int | None], busy: bool
) -> None:
    """A backlog in any topic, partitions still to be opened, and those that are assigned and never read."""
    monitor.assignment.complete, monitor.assignment.lags = complete, lambda: lags  # type: ignore
    monitor.refresh()

    assert monitor.progress().busy == busy


def test_the_watchdog_sees_each_kind_of_progress(monitor: WorkerMonitor, partition: Any) -> None:
    """Events applied, sources read, partitions taken over, and rows of a long restore."""
    seen = [monitor.progress().done]
    partition.table.position = 1
    seen.append(monitor.progress().done)
    monitor.counts.sources["provenance"] += 1
    seen.append(monitor.progress().done)
    monitor.assignment.rebalances += 1  # type: ignore[union-attr]
    seen.append(monitor.progress().done)
    partition.table.remaining -= 1
    seen.append(monitor.progress().done)

    assert all(seen[place] not in seen[:place] for place in range(len(seen)))
    assert monitor.progress().done == seen[-1]


def test_the_watchdog_asks_nothing_of_faust(monitor: WorkerMonitor) -> None:
    """Asked from another thread before it has started, Faust would make its consumer for that thread's loop."""

    def asked() -> dict[tuple[str, int], int | None]:
        raise AssertionError

    monitor.assignment.lags = asked  # type: ignore

    assert monitor.progress().busy


@pytest.mark.parametrize("set_by", [0, 86_400, -86_400])
def test_a_kafka_that_does_not_answer_is_told_once(
    monitor: WorkerMonitor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, set_by: int
) -> None:
    """And once that it answers again; in between the worker is live, not ready, and knows no lag.

    Also where the wall clock is set meanwhile, forwards or back, by a day.
    """
    caplog.set_level("INFO")
    answered, now, wall = time.time(), time.monotonic(), time.time()
    monitor.assignment.last_fetch = lambda: answered  # type: ignore[union-attr, method-assign]
    monitor.refresh()
    monkeypatch.setattr("stream_app.kafka.process.monitor.time.time", lambda: wall + set_by)
    monitor.refresh()
    assert monitor.ready().detail["kafka_answers"]
    monkeypatch.setattr("stream_app.kafka.process.monitor.time.monotonic", lambda: now + 61)
    monitor._turned = now + 61  # the event loop turned all the time
    monitor.refresh()
    monitor.refresh()
    away = monitor.ready().detail["kafka_answers"], monitor.live().ok, "consumer_lag_records{" in page(monitor)
    monitor.assignment.last_fetch = time.time  # type: ignore[union-attr, method-assign]
    monitor.refresh()

    assert away == (False, True, False)
    assert monitor.ready().detail["kafka_answers"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_kafka_that_does_not_acknowledge_is_told_once(
    monitor: WorkerMonitor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once that it acknowledges again: a broker that is cut off from the others still answers fetches."""
    caplog.set_level("INFO")
    owed = {"one": (3.0, "a"), "other": (61.0, "stream-app-events")}
    monkeypatch.setattr("stream_app.kafka.process.monitor.unacknowledged", lambda producer: owed[producer])
    monitor.producers = ("one", "other")  # type: ignore[assignment]
    monitor.refresh()
    monitor.refresh()
    stuck = monitor.ready()
    owed["other"] = (0.0, "")
    monitor.refresh()

    assert (stuck.ok, stuck.detail["kafka_acknowledges"], monitor.live().ok) == (False, False, True)
    assert monitor.ready().detail["kafka_acknowledges"]
    assert [record.message for record in caplog.records] == [
        "Kafka has not acknowledged what was written to stream-app-events for 61 s: the worker is not ready",
        "Kafka acknowledges again",
    ]


def page(monitor: WorkerMonitor) -> str:
    return generate_latest(monitor.registry).decode()


def test_lost_records_make_it_unready_for_minutes(monitor: WorkerMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at the probe shall see it; after that the metric remains."""
    monitor.lose("provenance", 0, 100, 1_400)
    assert monitor.ready().detail["records_lost"]
    now = time.monotonic()
    monkeypatch.setattr("stream_app.kafka.process.monitor.time.monotonic", lambda: now + 301)

    assert not monitor.ready().detail["records_lost"]
    assert monitor.counts.lost == {"provenance": 1_300, "stream-app-events": 0}
