"""What a verdict says: who, when, how likely, what it costs, why, and under which id for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream_app.core.decisions.policy import Policy, score_of
from stream_app.core.features.descriptions import describe
from stream_app.core.outputs import CONTINUE, PRUNE, STAGES, WARN, Verdict
from stream_app.wire import verdict_to_dict
from tests.support.builders import at, ran, started
from tests.support.simulated import usual_outputs
from tests.support.steered import PERIOD, Steered, past, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]


def verdicts(watched: Watched) -> list[Verdict]:
    return [output for output in watched.outputs if isinstance(output, Verdict)]


def test_a_verdict_says_whom_it_is_about(watch: Watch) -> None:
    """A run while its trainer is not known; then the trainer, in its run."""
    watched = watch(Steered()).feed(whole_run(0, "r1"))

    assert [(v.pipeline, v.run, v.trainer, v.graphlet) for v in verdicts(watched)][:2] == [
        ("p", "r1", None, "p/run:r1"),
        ("p", "r1", "train-r1", "p/train-r1"),
    ]


def test_graphlets_of_two_pipelines_have_two_names(watch: Watch) -> None:
    """Execution ids are unique only within a pipeline."""
    watched = watch(Steered()).feed(
        started(0, "train", "Trainer", pipeline="a"), started(0, "train", "Trainer", pipeline="b")
    )

    assert [v.graphlet for v in verdicts(watched)] == ["a/train", "b/train"]


def test_revisions_rise_by_one_and_make_the_id(watch: Watch) -> None:
    """Each graphlet counts its own; the run's are not the trainer's."""
    watched = watch(Steered()).feed(whole_run(0, "r1"))

    assert [(v.id, v.revision) for v in verdicts(watched)] == [
        ("p/run:r1#1", 1), ("p/train-r1#1", 1), ("p/train-r1#2", 2), ("p/train-r1#3", 3),
    ]  # fmt: skip


def test_a_verdict_has_the_learners_probability_and_the_policys_score(watch: Watch) -> None:
    """Its threshold is that of the budget in force, and its words name model and policy."""
    learner = Steered(p=0.25, limit=None, limit_at={0.01: 0.125, 0.05: 0.375}, version="17-abc")
    watched = watch(learner, policy=Policy(budget=0.05)).feed(past(3), whole_run(10 * PERIOD, "now"))
    last = next(v for v in verdicts(watched) if v.run == "now" and v.stage == "preprocess")

    assert (last.p_push, last.threshold) == (0.25, 0.375)
    assert last.score == score_of(0.25, last.cost_left)
    assert (last.model, last.mode, last.budget, last.time_ms) == ("17-abc", "observe", 0.05, at(10 * PERIOD + 2))
    assert (last.holdout, last.propensity) == (False, 1.0)


def test_without_a_threshold_it_says_none(watch: Watch) -> None:
    """Not 0, under which nothing could fall, nor anything else."""
    assert [v.threshold for v in verdicts(watch(Steered(limit=None)).feed(started(0, "t", "Trainer")))] == [None]


def test_a_newer_models_opinion_never_stands_under_an_old_id(watch: Watch) -> None:
    """What was said of a stage is kept with the graphlet, over a restart too."""
    learner = Steered(p=0.1)
    watched = watch(learner).feed(ran(0, "train", "Trainer", writes=["m"]))
    said = verdicts(watched)
    learner.p = 0.9

    watched.feed(ran(0, "train", "Trainer", writes=["m"]), ran(5, "eval", "Evaluator", reads=["m"]))

    assert verdicts(watched)[:2] == said
    assert [(v.stage, v.revision, v.p_push) for v in verdicts(watched)[2:]] == [("validate", 3, 0.9)]


def test_the_features_that_moved_it_are_its_reasons() -> None:
    """Three at most, the strongest first, with the value that the model was asked with and the effect."""
    predicted = [v for v in usual_outputs() if isinstance(v, Verdict) and v.reasons]

    assert len(predicted) > 100
    for verdict in predicted:
        effects = [abs(reason.effect) for reason in verdict.reasons]
        assert len(effects) <= 3
        assert effects == sorted(effects, reverse=True)
        assert all(describe(reason.feature, reason.value) for reason in verdict.reasons)


def test_numbers_of_a_verdict_are_in_their_ranges() -> None:
    """On a fleet with a real learner: probabilities inside (0, 1), costs and scores finite and not negative."""
    said = [output for output in usual_outputs() if isinstance(output, Verdict)]

    assert {v.stage for v in said} == set(STAGES)
    assert {v.decision for v in said} == {CONTINUE, WARN, PRUNE}
    for v in said:
        assert 0.0 < v.p_push < 1.0
        assert 0.0 <= v.score < float("inf")
        assert min(v.cost, v.cost_left) >= 0.0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("failed_5", 2.0, "2 of the last 5 runs failed"),
        ("code_same_pushed", 0.0, "code changed since the last push"),
        ("data_overlap_pushed", 0.25, "25 % data in common with the last push"),
        ("since_push_to_usual", 0.6931, "2 times the usual time between pushes has passed"),
        ("runs_since_push", 1.3863, "3 runs since the last push"),
        ("train.auc.to_pushed", -1.5, "train.auc -1.5 spreads off the last push's"),
        ("train.auc.to_mean", 2.0, "train.auc +2 spreads off its mean"),
        ("train.loss", -0.6931, "train.loss -1"),
        ("model_type.3", 1.0, "the model's type"),
        ("warm_start", None, "not known: whether it is a warm start"),
        ("hazard_runs", None, "not known: how many runs usually pass between pushes"),
    ],
)
def test_a_feature_in_words(name: str, value: float | None, words: str) -> None:
    """As a person says it, the number as it was before it was squashed."""
    assert describe(name, value) == words


def test_a_verdict_has_the_name_of_its_job(watch: Watch) -> None:
    """Ids of OpenLineage are UUIDs: who reads a flag wants to know what runs. Others have no such name."""
    job = {"job": "prod/churn.train"}
    watched = watch(Steered()).feed(
        started(0, "named", "Trainer", run=None, properties=job), started(1, "plain", "Trainer", run=None)
    )
    records = [verdict_to_dict(verdict) for verdict in verdicts(watched)]

    assert [record.get("job") for record in records] == ["prod/churn.train", None]
