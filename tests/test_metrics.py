"""Metrics of what the detector says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from stream_app.core.detector import Detector
from stream_app.core.learning import Learner
from stream_app.core.outputs import CONTINUE, INPUT, PRUNE, Example, StageRecord, Verdict
from stream_app.metrics import Metrics
from tests.builders import ran

RECORD = StageRecord(
    stage=INPUT,
    validator=None,
    time_ms=0,
    features={},
    p=0.93,
    baseline=0.1,
    score=0.1,
    eligible=True,
    cost=1.0,
    cost_left=2.0,
    actual_left=2.0,
    decision=CONTINUE,
    flagged=[],
    propensity=1.0,
)
EXAMPLE = Example("p/t", "p", "r", "t", "owner", True, "pushed", 0, 7_200_000, 1, [RECORD])
VERDICT = Verdict(
    "p/t", "p", "r", "t", INPUT, None, 0.05, PRUNE, 0.1, 0.01, 1.0, 2.0, [], "1", "observe 5 %", False, 1.0, 1, 0
)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def test_verdicts_are_counted_by_decision(registry: CollectorRegistry, metrics: Metrics) -> None:
    """Decisions that were never taken are there with zero."""
    metrics.observe([VERDICT, VERDICT])

    assert registry.get_sample_value("stream_app_predictions_total", {"decision": "prune"}) == 2
    assert registry.get_sample_value("stream_app_predictions_total", {"decision": "warn"}) == 0
    assert registry.get_sample_value("stream_app_prediction_score_bucket", {"le": "0.1"}) == 2


def test_pushes_that_were_flagged_are_told_apart(registry: CollectorRegistry, metrics: Metrics) -> None:
    """The bound on missed deployments is watched by these two; a flag inherited from the run counts."""
    flagged = replace(RECORD, decision=PRUNE)
    metrics.observe([EXAMPLE, replace(EXAMPLE, inherited=[flagged]), replace(EXAMPLE, pushed=False)])

    assert registry.get_sample_value("stream_app_deployments_total") == 2
    assert registry.get_sample_value("stream_app_deployments_flagged_total") == 1


def test_a_run_is_no_deployment_beside_its_trainer(registry: CollectorRegistry, metrics: Metrics) -> None:
    """A provisional graphlet's example would count the same push twice."""
    metrics.observe([EXAMPLE, replace(EXAMPLE, trainer=None)])

    assert registry.get_sample_value("stream_app_deployments_total") == 1


def test_outcomes_are_counted_with_their_delay(registry: CollectorRegistry, metrics: Metrics) -> None:
    """A correction is an outcome, and known as a correction."""
    metrics.observe([EXAMPLE, replace(EXAMPLE, pushed=None), replace(EXAMPLE, label_revision=2)])

    assert registry.get_sample_value("stream_app_labels_total", {"outcome": "pushed"}) == 2
    assert registry.get_sample_value("stream_app_labels_total", {"outcome": "pruned"}) == 1
    assert registry.get_sample_value("stream_app_label_corrections_total") == 1
    assert registry.get_sample_value("stream_app_label_delay_seconds_sum") == 3 * 7_200


def test_calibration_is_binned(registry: CollectorRegistry, metrics: Metrics) -> None:
    """Predictions, pushes and the sum of probabilities of each tenth."""
    metrics.observe([EXAMPLE, replace(EXAMPLE, pushed=False)])
    values = [
        registry.get_sample_value(f"stream_app_calibration_{name}_total", {"bin": "1.0"})
        for name in ("predictions", "positives", "score_sum")
    ]

    assert values == [2, 1, 1.86]


def test_compute_is_told_in_node_seconds(registry: CollectorRegistry, metrics: Metrics) -> None:
    """The sum over pipelines and detectors."""
    detectors = [Detector(), Detector()]
    for detector, name in zip(detectors, ("p1", "p2"), strict=True):
        for event in ran(0, "t", "Trainer", node_ms=600_000, pipeline=name):
            detector.step(event)
    metrics.measure(detectors)

    assert registry.get_sample_value("stream_app_pipelines") == 2
    assert registry.get_sample_value("stream_app_compute_node_seconds", {"class": "pending"}) == 1_200


def test_a_learner_without_labels_has_no_quality(registry: CollectorRegistry, metrics: Metrics) -> None:
    """What needs both classes is absent, not zero: zero would be an alarm."""
    metrics.measure_learner(Learner())

    assert registry.get_sample_value("stream_app_model_records") == 0
    assert registry.get_sample_value("stream_app_prequential_auc", {"stage": INPUT, "of": "model"}) is None


def test_names_and_labels_keep_to_their_sets(registry: CollectorRegistry, metrics: Metrics) -> None:
    """A thousand runs make no further series, and no label names one of them."""

    def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        samples = (sample for family in registry.collect() for sample in family.samples)
        return {(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples}

    metrics.observe([VERDICT, EXAMPLE])
    before = series()
    for number in range(1_000):
        name = f"run-{number}"
        metrics.observe([replace(VERDICT, graphlet=name, pipeline=name, run=name)])
        metrics.observe([replace(EXAMPLE, graphlet=name, pipeline=name, run=name)])

    assert series() == before
    assert len(before) < 300
    assert all(name.startswith("stream_app_") for name, _ in before)
