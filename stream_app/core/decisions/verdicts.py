"""A stage reached becomes a verdict: features, probability, score, decision, words."""

from __future__ import annotations

from array import array

from stream_app.core.decisions.policy import Decision, Policy, Question, decide, guard, score_of
from stream_app.core.decisions.stages import Reached
from stream_app.core.features import extraction
from stream_app.core.features.descriptions import in_words
from stream_app.core.ids import run_graphlet_id
from stream_app.core.learning.feature_space import BASELINE
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.model import Prediction
from stream_app.core.operators import Operators
from stream_app.core.outputs import PRUNE, Verdict
from stream_app.core.properties import is_true
from stream_app.core.state.entities import Pipeline, Said, Talk, mark
from stream_app.core.state.history import STARTED_MAX, History, Snapshot

#: How many features are named as reasons.
REASONS = 3


def predict(
    pipeline: Pipeline, reached: Reached, learner: Learner, policy: Policy, operators: Operators, now_ms: int
) -> Verdict:
    """Predicts a stage, freezes what was known and said in the graphlet's talk, and returns the verdict.

    Parameters
    ----------
    now_ms
        What it is dated by: the event's time, or the pipeline's clock where the event is no news any more. What had
        happened by then is known and used.
    """
    run, graphlet, stage = reached.run, reached.graphlet, reached.stage
    history = pipeline.history
    found, now = extraction.extract(pipeline, run, graphlet, stage, now_ms, operators.nodes)
    baseline = past_rate(history, learner.fleet_rate())
    prediction = learner.predict(stage, found, baseline)
    cost_left = history.costs[stage].mean if stage in history.costs else 0.0
    score = score_of(prediction.p, cost_left)
    own = run.run_executions if run is not None else ()
    keep = any(is_true(e.property("keep") or False) for e in (*extraction.subject(run, graphlet), *own))
    guarded = guard(history, now_ms, keep, now.cost, cost_left)
    talk = talk_of(reached)
    question = Question(stage, score, guarded, talk.decision == PRUNE, pipeline.name, now.subject, now_ms)
    decision = decide(policy, learner, history, question)
    note_flags(talk, decision, now_ms)
    remember_start(history, now)
    said = freeze(reached, found, prediction, baseline, score, now, cost_left, decision, policy)
    if not talk.stages:
        talk.first_ms = now_ms
    talk.stages = (*talk.stages, said)
    for entity in (history, graphlet if graphlet is not None else run):
        if entity is not None:
            mark(pipeline, entity)
    return Verdict(
        graphlet=graphlet.id if graphlet is not None else run_graphlet_id(pipeline.name, now.subject),
        pipeline=pipeline.name,
        run=run.id if run is not None else None,
        trainer=graphlet.trainer.id if graphlet is not None else None,
        stage=stage,
        validator=reached.validator,
        p_push=prediction.p,
        decision=decision.decision,
        threshold=decision.threshold,
        score=score,
        cost=now.cost,
        cost_left=cost_left,
        reasons=[*decision.notes, *in_words(prediction.reasons(REASONS), {**found, BASELINE: baseline})],
        model=learner.version,
        policy=str(policy),
        holdout=decision.holdout,
        propensity=decision.propensity,
        revision=talk.revision,
        time_ms=now_ms,
    )


def past_rate(history: History, fleet_rate: float) -> float:
    """The pipeline's past push rate, shrunk to the fleet's as if that had been seen twice: the baseline."""
    return (history.pushes + 2.0 * fleet_rate) / (history.labelled + 2.0)


def talk_of(reached: Reached) -> Talk:
    """The talk that a stage adds to; a trainer's takes up where its run's left off."""
    entity = reached.graphlet if reached.graphlet is not None else reached.run
    assert entity is not None
    if entity.talk is None:
        entity.talk = Talk()
        inherited = reached.run.talk if reached.run is not None and reached.graphlet is not None else None
        if inherited is not None:
            entity.talk.decision = inherited.decision
            entity.talk.propensity = inherited.propensity
    return entity.talk


def note_flags(talk: Talk, decision: Decision, now_ms: int) -> None:
    """Keeps the first flag of every budget's policy, and where the graphlet stands."""
    for budget in decision.flagged:
        if budget not in talk.flag_ms:
            talk.flag_ms = {**talk.flag_ms, budget: now_ms}
    talk.revision += 1
    talk.decision = decision.decision
    talk.propensity = min(talk.propensity, decision.propensity)


def remember_start(history: History, now: Snapshot) -> None:
    """The first stage of a run makes it the newest that later ones are compared with."""
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
) -> Said:  # fmt: skip
    """The stage as it is kept."""
    said = Said()
    said.stage, said.validator, said.time_ms = reached.stage, reached.validator, now.time_ms
    said.names, said.values = shared(tuple(found)), array("d", found.values())
    said.p, said.baseline, said.score, said.guard = prediction.p, baseline, score, decision.guard
    said.cost, said.cost_left, said.decision = now.cost, cost_left, decision.decision
    said.flagged = tuple(policy.budgets[index] for index in decision.flagged)
    said.propensity = decision.propensity
    return said


_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {}


def shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for equal ones: thousands of graphlets have the same feature names."""
    if len(_NAMES) > 10_000:
        _NAMES.clear()
    return _NAMES.setdefault(names, names)
