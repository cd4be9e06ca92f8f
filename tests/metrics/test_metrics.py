"""Metrics of what the detector says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from stream_app.core.detector import Detector
from stream_app.core.learning import seen_examples
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import CONTINUE, INPUT, PRUNE, Closed, Example, StageRecord, Verdict
from stream_app.core.state.ledger import HINDSIGHT, Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.metrics.outputs import Metrics
from tests.support.builders import ran

RECORD = StageRecord(
    stage=INPUT,
    validator=None,
    time_ms=0,
    features={},
    p=0.93,
    baseline=0.1,
    score=0.1,
    guard=None,
    cost=1.0,
    cost_left=2.0,
    actual_left=2.0,
    decision=CONTINUE,
    flagged=[],
    propensity=1.0,
)
EXAMPLE = Example("p/t", "p", "r", "t", "owner", True, "pushed", 0, 7_200_000, 1, [RECORD])
VERDICT = Verdict(
    graphlet="p/t",
    pipeline="p",
    run="r",
    trainer="t",
    stage=INPUT,
    validator=None,
    p_push=0.05,
    decision=PRUNE,
    threshold=0.1,
    score=0.01,
    cost=1.0,
    cost_left=2.0,
    reasons=[],
    held_back=None,
    withdrawn=None,
    pushes_missing=0,
    model="1",
    mode="observe",
    budget=0.05,
    holdout=False,
    propensity=1.0,
    revision=1,
    time_ms=0,
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


def test_a_flagged_run_that_was_held_out_counts_as_flagged(registry: CollectorRegistry, metrics: Metrics) -> None:
    """In `enforce` the decision on it is to continue, and of flagged pushes only these are seen."""
    held_out = replace(RECORD, decision=CONTINUE, flagged=[0.01], propensity=0.3)
    beside = replace(RECORD, flagged=[0.2])  # another budget's policy flags, the one in force does not
    metrics.observe([replace(EXAMPLE, stages=[held_out]), replace(EXAMPLE, stages=[beside])])

    said = {"predicted": "prune", "actual": "pushed"}
    assert registry.get_sample_value("stream_app_deployments_total") == 2
    assert registry.get_sample_value("stream_app_deployments_flagged_total") == 1
    assert registry.get_sample_value("stream_app_prequential_outcomes_total", said) == 1


def test_labels_are_told_by_what_was_said_before(registry: CollectorRegistry, metrics: Metrics) -> None:
    """Precision and recall of flags over any window are ratios of these four."""
    flagged, failed = [replace(RECORD, decision=PRUNE)], replace(EXAMPLE, pushed=False, cause="failed")
    metrics.observe([EXAMPLE, failed, replace(failed, stages=flagged), replace(failed, inherited=flagged)])

    def labels(predicted: str, actual: str) -> float | None:
        return registry.get_sample_value(
            "stream_app_prequential_outcomes_total", {"predicted": predicted, "actual": actual}
        )

    assert [labels("continue", "pushed"), labels("continue", "not_pushed")] == [1, 1]
    assert [labels("prune", "pushed"), labels("prune", "not_pushed")] == [0, 2]


def test_flags_are_told_by_the_word_that_people_had_for_them(registry: CollectorRegistry, metrics: Metrics) -> None:
    """And by what became of their runs, so that both sides of an argument can be counted."""
    flagged = replace(EXAMPLE, stages=[replace(RECORD, decision=PRUNE)])
    wrong, kept = replace(flagged, word="wrong"), replace(flagged, word="keep", pushed=False, cause="failed")
    metrics.observe([flagged, wrong, kept, kept, replace(EXAMPLE, word="keep"), replace(flagged, word="a new one")])

    assert [
        registry.get_sample_value("stream_app_flag_words_total", {"word": word, "actual": actual})
        for word in ("wrong", "keep")
        for actual in ("pushed", "not_pushed")
    ] == [1, 0, 0, 2]


def test_what_is_ahead_when_flagged_is_told(registry: CollectorRegistry, metrics: Metrics) -> None:
    """Two of three node-seconds; a verdict to go on says nothing of it."""
    metrics.observe([VERDICT, replace(VERDICT, decision=CONTINUE, cost_left=0.0)])

    assert registry.get_sample_value("stream_app_flag_remaining_compute_ratio_count") == 1
    assert registry.get_sample_value("stream_app_flag_remaining_compute_ratio_bucket", {"le": "0.7"}) == 1


def test_evicted_graphlets_are_counted_by_outcome(registry: CollectorRegistry, metrics: Metrics) -> None:
    """One that was still open is a hint that the horizon or the retention is too short."""
    metrics.observe([Closed({"graphlet": "p/t", "outcome": "open"})])

    assert registry.get_sample_value("stream_app_graphlets_evicted_total", {"outcome": "open"}) == 1


def test_flagged_compute_is_told_by_budget_and_what_became_of_it(registry: CollectorRegistry) -> None:
    """The ledger's sums, under the budgets they belong to; hindsight is the bound of what any policy could save."""
    booked = SimpleNamespace(
        pipelines={"p": Pipeline("p")},
        ledger=lambda _: Ledger(
            saved={1: 3_000, HINDSIGHT: 9_000}, harmed={0: 1_000}, undecided={1: 500}, avoided=7_000
        ),
    )
    Metrics(registry, (0.01, 0.05)).measure([booked, booked])

    def told(budget: str, kind: str) -> float | None:
        return registry.get_sample_value("stream_app_compute_flagged_node_seconds", {"budget": budget, "class": kind})

    assert [told("0.05", "wasted"), told("0.05", "pending"), told("hindsight", "wasted")] == [6, 1, 18]
    assert [told("0.01", "useful"), told("0.01", "wasted")] == [2, 0]
    assert registry.get_sample_value("stream_app_compute_avoided_node_seconds") == 14


def test_a_run_is_no_deployment_beside_its_trainer(registry: CollectorRegistry, metrics: Metrics) -> None:
    """A provisional graphlet's example would count the same push twice."""
    metrics.observe([EXAMPLE, replace(EXAMPLE, trainer=None)])

    assert registry.get_sample_value("stream_app_deployments_total") == 1


def test_outcomes_are_counted_with_their_delay(registry: CollectorRegistry, metrics: Metrics) -> None:
    """A correction is an outcome, and known as a correction."""
    metrics.observe([EXAMPLE, replace(EXAMPLE, pushed=None, cause="pruned"), replace(EXAMPLE, label_revision=2)])

    def joined(outcome: str, cause: str) -> float | None:
        labels = {"outcome": outcome, "cause": cause}
        return registry.get_sample_value("stream_app_labels_joined_total", labels)

    assert [joined("pushed", "pushed"), joined("pruned", "pruned"), joined("not_pushed", "expired")] == [2, 1, 0]
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
    assert registry.get_sample_value("stream_app_graphlets") == 2
    assert registry.get_sample_value("stream_app_graphlets_open") == 2
    assert registry.get_sample_value("stream_app_predictions_awaiting_label") == 0
    assert registry.get_sample_value("stream_app_compute_node_seconds", {"class": "pending"}) == 1_200


def test_a_learner_without_labels_has_no_quality(registry: CollectorRegistry, metrics: Metrics) -> None:
    """What needs both classes is absent, not zero: zero would be an alarm."""
    metrics.measure_learner(Learner())

    assert registry.get_sample_value("stream_app_model_examples_total") == 0
    assert registry.get_sample_value("stream_app_prequential_auc", {"stage": INPUT, "predictor": "model"}) is None


def test_labels_forgotten_too_early_are_told(
    registry: CollectorRegistry, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction of one is counted twice: whoever watches should know that it can happen."""
    monkeypatch.setattr(seen_examples, "GRAPHLETS_MAX", 1)
    learner = Learner()
    for pipeline in ("a", "b", "c"):
        learner.learn(replace(EXAMPLE, pipeline=pipeline))
    metrics.measure_learner(learner)

    assert registry.get_sample_value("stream_app_model_labels_forgotten_total") == 2


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
