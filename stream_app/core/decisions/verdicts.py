"""Makes a verdict of a stage reached: features, probability, score, decision, reasons."""

from __future__ import annotations

from array import array

from stream_app.core.decisions.climbing import address, ladder
from stream_app.core.decisions.policy import Decision, Policy, Question, decide, guard, score_of
from stream_app.core.decisions.stages import Reached
from stream_app.core.features import extraction
from stream_app.core.features.ownership import OwnerOf, job_of
from stream_app.core.ladder import Step
from stream_app.core.learning.feature_space import BASELINE
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.model import Prediction
from stream_app.core.operators import Operators
from stream_app.core.outputs import PRUNE, Reason, Verdict
from stream_app.core.properties import is_true
from stream_app.core.state.acts_on import word_on
from stream_app.core.state.entities import Run, Subject
from stream_app.core.state.history import STARTED_MAX, History, Snapshot
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.predictions import StagePrediction

#: Number of features named as reasons.
REASONS = 3


def predict(
    pipeline: Pipeline, reached: Reached, learner: Learner, policy: Policy, operators: Operators, now_ms: int,
    owner_of: OwnerOf | None = None,
) -> Verdict:  # fmt: skip
    """Predicts a stage, freezes what was known and predicted, and makes the verdict.

    Parameters
    ----------
    pipeline
        The pipeline of the subject.
    reached
        The stage, and its run or trainer.
    learner
        Gives the probability and thresholds.
    policy
        Decides.
    operators
        Price executions.
    now_ms
        The time of the prediction in ms since 1970 UTC: the event's time, or the pipeline's clock where the event came
        late. Everything that had happened by then is known and used.
    owner_of
        Finds the owner of a run whose executions report none.

    Returns
    -------
    Verdict
        The next revision for the subject's graphlet.
    """
    subject, stage = reached.subject, reached.stage
    found, now = extraction.extract(pipeline, subject, stage, now_ms, operators.nodes)
    history = pipeline.history_to_change()
    baseline = past_rate(history, learner.fleet_rate())
    prediction = learner.predict(stage, found, baseline)
    cost_left = history.costs[stage].mean if stage in history.costs else 0.0
    score = score_of(prediction.p, cost_left)
    run, trainer = pipeline.run_of(subject), subject.trainer
    guarded = guard(history, now_ms, is_kept(pipeline, subject, run), now.cost, cost_left)
    inherited = run.predictions if run is not None and trainer is not None else None
    predictions = subject.predict(inherited, pipeline.changes)
    question = Question(
        stage, score, guarded, predictions.decision == PRUNE, pipeline.name, now.subject, now_ms,
        lambda: ladder(pipeline, subject, policy, owner_of).last is Step.ACT,
    )  # fmt: skip
    decision = decide(policy, learner, history, question)
    record_start(history, now)
    stage_prediction = freeze(reached, found, prediction, baseline, score, now, cost_left, decision, policy)
    predictions.add(stage_prediction, decision.flagged)
    values = {**found, BASELINE: baseline}
    reasons = [Reason(name, values.get(name), effect) for name, effect in prediction.reasons(REASONS)]
    verdict = verdict_of(pipeline, subject, stage_prediction, decision, policy, learner.version, reasons, now_ms)
    return address(verdict, pipeline, subject, policy, owner_of)


def verdict_of(
    pipeline: Pipeline, subject: Subject, stage: StagePrediction, decision: Decision, policy: Policy, model: str,
    reasons: list[Reason], time_ms: int,
) -> Verdict:  # fmt: skip
    """The verdict on a subject with what was predicted at a stage.

    Parameters
    ----------
    pipeline, subject
        The subject and its pipeline.
    stage
        The stage, frozen.
    decision
        What is decided now.
    policy
        Its mode and budget.
    model, reasons, time_ms
        As of the verdict.

    Returns
    -------
    Verdict
        With the revision that the subject's predictions have.
    """
    trainer, predictions = subject.trainer, subject.predictions
    assert predictions is not None
    return Verdict(
        graphlet=subject.graphlet_id(pipeline.name),
        pipeline=pipeline.name,
        run=subject.run_id,
        trainer=trainer.id if trainer is not None else None,
        stage=stage.stage,
        validator=stage.validator,
        p_push=stage.p,
        decision=decision.decision,
        threshold=decision.threshold,
        score=stage.score,
        cost=stage.cost,
        cost_left=stage.cost_left,
        reasons=reasons,
        held_back=decision.held_back,
        withdrawn=decision.withdrawn,
        pushes_missing=decision.pushes_missing,
        model=model,
        mode=policy.mode,
        budget=policy.budget,
        holdout=decision.holdout,
        propensity=decision.propensity,
        revision=predictions.revision,
        time_ms=time_ms,
        job=job_of(trainer, pipeline.run_of(subject)),
    )


def is_kept(pipeline: Pipeline, subject: Subject, run: Run | None) -> bool:
    """Whether somebody has said that the run goes on, or an execution of the subject or of its run is tagged `keep`."""
    if word_on(pipeline, subject):
        return True
    own = run.run_executions if run is not None else ()
    return any(is_true(e.value_of("keep") or False) for e in (*subject.own_executions(), *own))


def past_rate(history: History, fleet_rate: float) -> float:
    """The baseline: the pipeline's past push rate, shrunk towards the fleet's with the weight of two graphlets."""
    return (history.pushes + 2.0 * fleet_rate) / (history.labelled + 2.0)


def record_start(history: History, now: Snapshot) -> None:
    """At the first stage of a run, makes it the newest run with which later ones are compared."""
    if any(started.subject == now.subject for started in history.started):
        return
    before = history.started_before(now.subject)
    if before is not None:
        history.start_gap.add(float(max(0, now.time_ms - before.time_ms)))
    history.started.append(now)
    history.starts_since += 1
    del history.started[:-STARTED_MAX]


def freeze(
    reached: Reached, found: dict[str, float], prediction: Prediction, baseline: float, score: float, now: Snapshot,
    cost_left: float, decision: Decision, policy: Policy,
) -> StagePrediction:  # fmt: skip
    """The stage in the form in which it is stored."""
    kept = StagePrediction()
    kept.stage, kept.validator, kept.time_ms = reached.stage, reached.validator, now.time_ms
    kept.names, kept.values = shared(tuple(found)), array("d", found.values())
    kept.p, kept.baseline, kept.score, kept.guard = prediction.p, baseline, score, decision.guard
    kept.cost, kept.cost_left, kept.decision = now.cost, cost_left, decision.decision
    kept.flagged = tuple(policy.budgets[index] for index in decision.flagged)
    kept.propensity = decision.propensity
    return kept


_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {}


def shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for equal ones, since thousands of graphlets have the same feature names."""
    if len(_NAMES) > 10_000:
        _NAMES.clear()
    return _NAMES.setdefault(names, names)
