"""The learner is a fold: what it answers follows from the log alone."""

from __future__ import annotations

import hashlib
import math
import pickle
import subprocess
import sys
from typing import Any

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.drift import log_loss
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.seen_examples import RETENTION_MS
from stream_app.core.outputs import Example, Guard
from stream_app.core.units import DAY_MS
from tests.support.builders import DAY, MINUTE, ran, run_ended
from tests.support.labelled import Truth, example, record

#: In the minutes of `tests.support.builders`.
DAYS = DAY // MINUTE
NOT_NUMBERS = [math.nan, math.inf, -math.inf, 1e308, -1e308, 10**400, "7", None, [], True]


def taught(count: int, seed: int = 1) -> Learner:
    """A learner that has folded `count` synthetic examples."""
    learner = Learner()
    for each, _ in Truth(seed).examples(learner, count):
        learner.learn(each)
    return learner


def answers(learner: Learner, seed: int = 99, count: int = 50) -> list[float]:
    """What a learner says of runs it has not seen."""
    truth = Truth(seed)
    drawn = [truth.draw() for _ in range(count)]
    return [learner.predict("input", features, baseline).p for _, features, baseline, _, _ in drawn]


def test_an_empty_learner_answers_with_the_baseline() -> None:
    """Before it has seen labels the learner knows the past push rate and no reasons."""
    prediction = Learner().predict("train", {"cost": 3.0}, 0.3)

    assert prediction.p == pytest.approx(0.3)
    assert prediction.reasons(3) == []


def test_predictions_change_nothing() -> None:
    """Asking, for reasons too, leaves every bit of the learner as it was."""
    learner = taught(300)
    before = pickle.dumps(learner)
    answers(learner)
    learner.predict("input", {"never seen": 1.0}, 0.5).reasons(5)

    assert before == pickle.dumps(learner)


@pytest.mark.slow
def test_the_model_beats_the_baseline_where_features_tell() -> None:
    """After some thousands of labels its log loss is well below that of the past push rate."""
    metrics = taught(3000).metrics()["input"]

    assert metrics.model.log_loss is not None
    assert metrics.baseline.log_loss is not None
    assert metrics.model.log_loss < 0.93 * metrics.baseline.log_loss


def fingerprint(count: int) -> str:
    """A hash of every bit of a taught learner, and of its answers."""
    learner = taught(count)
    return hashlib.sha256(pickle.dumps(learner) + repr(answers(learner)).encode()).hexdigest()


@pytest.mark.slow
def test_same_log_same_bytes_in_every_process() -> None:
    """Hash randomisation, which differs between processes, does not reach a single bit of the state."""
    program = "from tests.core.learning.test_learner import fingerprint; print(fingerprint(600))"
    environments = [{"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)} for seed in ("1", "2")]
    said = {
        subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True, text=True).stdout
        for env in environments
    }

    assert said == {f"{fingerprint(600)}\n"}


def test_a_record_seen_twice_is_learned_once() -> None:
    """Doubling every record of the log changes nothing."""
    once, twice = Learner(), Learner()
    examples = [each for each, _ in Truth(3).examples(Learner(), 200)]
    for each in examples:
        once.learn(each)
    for each in examples:
        twice.learn(each)
        twice.learn(each)
    for each in examples:
        twice.learn(each)

    assert pickle.dumps(once) == pickle.dumps(twice)


def test_ids_are_kept_for_the_retention_of_their_pipelines_own_time() -> None:
    """A pipeline far in the future makes the learner forget its own ids, and nobody else's."""
    learner = Learner()
    learner.learn(example(1, False, pipeline="steady"))
    learner.learn(example(1, False, pipeline="jumpy"))
    learner.learn(example(2, False, pipeline="jumpy", time_ms=10 * RETENTION_MS))
    learner.learn(example(1, False, pipeline="steady"))

    assert learner.records == 3

    learner.learn(example(1, False, pipeline="jumpy"))

    assert learner.records == 4


def test_a_correction_counts_once_however_long_the_detector_keeps_graphlets() -> None:
    """The push comes 60 days after the first label, which another label of the pipeline did not push out of memory."""
    settings = Settings(retention_ms=100 * DAY_MS)
    learner = settings.learner()
    detector = Detector(settings, learner)
    labels = []
    for event in (
        *ran(0, "slow", "Trainer", run="r1", writes=["m"]),
        run_ended(2, "r1"),
        *ran(50 * DAYS, "next", "Trainer", run="r2"),
        run_ended(50 * DAYS + 2, "r2"),
        *ran(60 * DAYS, "push", "Pusher", run="r1", reads=["m"]),
    ):
        for output in detector.step(event):
            if isinstance(output, Example) and output.trainer is not None:
                labels.append((output.trainer, output.pushed))
                learner.learn(output)
    found = learner.metrics()["train"]

    assert labels == [("slow", False), ("next", False), ("slow", True)]
    assert (found.support, found.pushes) == (2, 1)


@pytest.mark.parametrize("settings", [Settings(), Settings(horizon_ms=DAY_MS, retention_ms=DAY_MS, lateness_ms=0)])
def test_no_learner_remembers_less_than_the_default(settings: Settings) -> None:
    """After a takeover a backlog of days may be sent again, however short the detector's retention is."""
    assert pickle.dumps(settings.learner()) == pickle.dumps(Learner())


def test_a_correction_replaces_the_first_label_in_the_metrics() -> None:
    """A push after a negative counts as one push, as if the negative had never been said."""
    corrected, direct = Learner(), Learner()
    for number in range(20):
        for learner in (corrected, direct):
            learner.learn(example(number, number % 2 == 0, [record(p=0.3 + number / 100)]))
    corrected.learn(example(20, False, [record(p=0.4)]))
    corrected.learn(example(20, True, [record(p=0.4)], revision=2))
    direct.learn(example(20, True, [record(p=0.4)]))
    got, expected = corrected.metrics()["input"], direct.metrics()["input"]

    assert (expected.support, expected.pushes) == (got.support, got.pushes)
    assert expected.model.auc == pytest.approx(got.model.auc)
    assert expected.model.log_loss == pytest.approx(got.model.log_loss)
    assert expected.model.balanced_accuracy == pytest.approx(got.model.balanced_accuracy)


def test_the_first_label_after_its_correction_is_ignored() -> None:
    """A late copy of a negative does not undo the push that corrected it."""
    learner = Learner()
    learner.learn(example(1, False))
    learner.learn(example(1, True, revision=2))
    before = pickle.dumps(learner)
    learner.learn(example(1, False))

    assert before == pickle.dumps(learner)


def test_a_correction_outweighs_the_negative_it_corrects() -> None:
    """After a negative and its correction a run like it is thought likelier to be pushed than before."""
    learner = taught(500)
    features = {f"noise_{i}": 0.0 for i in range(5)}
    before = learner.predict("input", features, 0.2).p
    learner.learn(example(10_000, False, [record(features=features)]))
    learner.learn(example(10_000, True, [record(features=features)], revision=2))

    assert learner.predict("input", features, 0.2).p > before


def test_a_pruned_run_teaches_no_model() -> None:
    """It has no label: answers, metrics and the fleet's rate stay; only savings count it."""
    learner = taught(300)
    before, metrics, rate = answers(learner), learner.metrics(), learner.fleet_rate()
    learner.learn(example(10_000, None, [record(decision="prune", cost_left=50.0)]))

    assert (before, metrics, rate) == (answers(learner), learner.metrics(), learner.fleet_rate())
    assert learner.savings.saved().estimated == 50.0


@pytest.mark.parametrize("poison", NOT_NUMBERS, ids=lambda value: str(value)[:8])
def test_one_bad_number_changes_no_model_for_good(poison: object) -> None:
    """What is no number is missing, what is too large is cut: the model stays close to a clean one."""
    learner, clean = taught(400), taught(400)
    features = {"drift": poison, "cost": poison, "broken_code": poison}
    learner.learn(example(10_000, True, [record(features=features)]))  # type: ignore[arg-type]
    clean.learn(example(10_000, True, [record(features={})]))
    hurt = [abs(a - b) for a, b in zip(answers(learner), answers(clean), strict=True)]

    assert all(0.0 < p < 1.0 for p in answers(learner))
    assert 0.0 < learner.predict("input", features, 0.2).p < 1.0  # type: ignore[arg-type]
    assert max(hurt) < 0.1


def test_numbers_said_by_a_broken_detector_do_not_break_the_metrics() -> None:
    """Probabilities, baselines, scores and costs that are NaN leave every sum finite."""
    learner = taught(100)
    nan = math.nan
    learner.learn(example(10_000, True, [record(p=nan, baseline=nan, score=nan, cost=nan, cost_left=nan)]))
    metrics = learner.metrics()["input"]

    assert metrics.model.log_loss is not None
    assert math.isfinite(metrics.model.log_loss)
    assert 0.0 < learner.predict("input", {}, 0.5).p < 1.0


def test_held_out_records_weigh_as_many_as_they_stand_for() -> None:
    """A run left to run with a propensity of a tenth counts as ten in rates and metrics."""
    learner = Learner()
    learner.learn(example(1, False, [record(propensity=0.1)]))

    assert learner.metrics()["input"].support == pytest.approx(10.0)
    assert learner.fleet_rate() == pytest.approx(1.0 / 15.0, rel=1e-3)


@pytest.mark.slow
def test_a_change_of_regime_is_rolled_back_and_recovered_from() -> None:
    """When every effect turns around the stage falls back to the baseline, refolds, and beats it again."""
    learner, truth = Learner(), Truth(7)
    for each, _ in truth.examples(learner, 4000):
        learner.learn(each)

    assert learner.rollbacks == 0

    truth.sign = -1.0
    fell_back = False
    for each, _ in truth.examples(learner, 4000):
        learner.learn(each)
        if truth.number % 100 == 0:
            fell_back |= learner.metrics()["input"].on_trial
    tail = [each for each, _ in truth.examples(learner, 1000)]
    model = sum(log_loss(each.stages[0].p, bool(each.pushed)) for each in tail)
    baseline = sum(log_loss(each.stages[0].baseline, bool(each.pushed)) for each in tail)

    assert learner.rollbacks >= 1
    assert learner.drifts >= 1
    assert fell_back
    assert not learner.metrics()["input"].on_trial
    assert model < baseline


def pushes(count: int, **changes: Any) -> Learner:
    """A learner that has folded pushes with rising scores, each with an inherited and an own stage."""
    learner = Learner((0.05, 0.2))
    for number in range(count):
        inherited = [record("input", score=1.0 + number)]
        own = [record("preprocess", **{"score": 100.0 + number, **changes})]
        # The run's own example, without a trainer: it tells the stage's cost, and is no push of its own.
        run = example(number, True, inherited, pipeline="runs")
        run.trainer = None
        learner.learn(run)
        learner.learn(example(number, True, own, inherited=inherited))
    return learner


def test_pushes_are_graphlets_with_the_stages_they_inherit() -> None:
    """Twenty graphlets are twenty pushes, though their runs have examples too, and their least score counts."""
    learner = pushes(20)

    assert learner.pushes_missing(0.05) == 0
    assert (learner.threshold("input", 0.05), learner.threshold("preprocess", 0.05)) == (1.0, 1.0)
    assert (learner.threshold("input", 0.2), learner.threshold("preprocess", 0.2)) == (4.0, 4.0)


def test_records_the_guards_protected_do_not_set_thresholds() -> None:
    """A guarded stage could not have been flagged, so its score, however small, does not count."""
    learner = pushes(20, guard=Guard.DUE, score=0.001)

    assert learner.threshold("input", 0.05) == 1.0
    assert learner.lowest_push_score("input") == 1.0


def test_pushes_of_a_pipelines_first_graphlets_do_not_count() -> None:
    """They were protected as later ones will not be: they are no evidence that a flag is safe, nor of the watch."""
    learner = pushes(20)
    young = [record("input", score=0.001, guard=Guard.FIRST), record("train", score=0.001, guard=Guard.FIRST)]
    learner.learn(example(100, True, young))

    assert learner.pushes_missing(0.01) == 99 - 20
    assert learner.threshold("input", 0.05) == 1.0


def test_a_push_that_outgrew_the_first_graphlets_counts() -> None:
    """A stage past the guard could have been flagged."""
    learner = pushes(20)
    learner.learn(
        example(100, True, [record("input", score=0.001, guard=Guard.FIRST), record("preprocess", score=0.5)])
    )

    assert learner.pushes_missing(0.01) == 99 - 21
    assert learner.threshold("input", 0.05) == 0.5


def test_a_stage_with_nothing_ahead_has_no_threshold() -> None:
    """Pushes at a stage that costs nothing any more are no ground to flag it."""
    learner = pushes(20, cost=1000.0, cost_left=1.0)

    assert learner.threshold("input", 0.05) is not None
    assert learner.threshold("preprocess", 0.05) is None


def test_a_push_flagged_at_an_inherited_stage_was_flagged() -> None:
    """The watch counts a push once, wherever a budget flagged it."""
    learner = Learner((0.05,))
    for number in range(40):
        inherited = [record("input", flagged=(0.05,) if number < 6 else ())]
        learner.learn(example(number, True, [record("preprocess")], inherited=inherited))

    assert learner.flags_stopped(0.05)


def test_the_version_tells_records_and_features() -> None:
    """It changes with each record folded, and its second part with each feature never seen before."""
    learner = Learner()
    learner.learn(example(1, False, [record(features={"a": 1.0})]))
    first = learner.version
    learner.learn(example(2, False, [record(features={"a": 2.0})]))
    second = learner.version
    learner.learn(example(3, False, [record(features={"b": 2.0})]))

    assert first.startswith("1-")
    assert second == first.replace("1-", "2-", 1)
    assert learner.version.split("-")[1] != second.split("-")[1]
