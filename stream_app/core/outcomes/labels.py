"""Announces outcomes, as examples for the log and entries of the pipeline's history.

An outcome is a function of the facts (`outcomes`); its announcement is an act. After a run's end without a push, or
after a later graphlet was pushed, a grace period passes first, learned from the delays of the pipeline's pushes. A push
after "not pushed" is announced as a correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_app.core.features.ownership import OwnerOf, find_owner
from stream_app.core.outcomes.history_update import record_costs, record_flags, record_outcome
from stream_app.core.outcomes.outcomes import Limits, Outcome, run_horizon_ms, run_outcome
from stream_app.core.outputs import NOT_PUSHED, OPEN, PRUNE, PRUNED, PUSHED, UNKNOWN, Cause, Example, StageRecord
from stream_app.core.properties import JOB
from stream_app.core.state.acts_on import word_on
from stream_app.core.state.entities import Execution, Graphlet, Run, Subject
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.predictions import PredictionRecord, StagePrediction

#: How long after a training has failed whose run may be stopped it is not announced, in ms. The orchestrator may report
#: the end of what was stopped before whoever has stopped it: the model would learn the stop as a failure.
STOP_MS = 10 * 60_000


def schedule(pipeline: Pipeline, changed: Iterable[Graphlet], runs: Iterable[str], limits: Limits) -> None:
    """Schedules the announcement of outcomes that became known.

    Parameters
    ----------
    pipeline
        The pipeline.
    changed
        Graphlets whose outcome changed.
    runs
        Ids of runs whose outcome may have changed.
    limits
        How long to wait for an outcome.
    """
    for graphlet in changed:
        graphlet.announce_at(None, pipeline.changes)
        schedule_subject(pipeline, graphlet, limits)
    for run_id in runs:
        run = pipeline.runs.get(run_id)
        if run is not None and run.predictions is not None:
            schedule_run(pipeline, run, limits)
            release_stages(pipeline, run)


def resume(pipeline: Pipeline, limits: Limits) -> None:
    """Schedules after a restart the announcements that were pending before it, each for its own time.

    Parameters
    ----------
    pipeline
        The pipeline.
    limits
        As of `schedule`.
    """
    for graphlet in pipeline.graphlets.values():
        schedule_subject(pipeline, graphlet, limits)
    for run in pipeline.runs.values():
        if run.predictions is not None:
            schedule_run(pipeline, run, limits, resumed=True)


def schedule_run(pipeline: Pipeline, run: Run, limits: Limits, *, resumed: bool = False) -> None:
    """Schedules a predicted run's check at its horizon, and its announcement if its outcome is new."""
    schedule_check(pipeline, run, limits)
    outcome = run_outcome(pipeline, run, limits)
    pending = (outcome.kind, outcome.cause, outcome.time_ms)
    if run.pending == pending:
        return
    run.pending = pending
    if not resumed and outcome.kind not in (OPEN, UNKNOWN, run.announced_kind):
        run.announce_at(None, pipeline.changes)
    schedule_subject(pipeline, run, limits)


def schedule_subject(pipeline: Pipeline, subject: Subject, limits: Limits) -> None:
    """Schedules the announcement of an outcome that was not announced, at once or after a grace.

    After a run's end a push may come as late as past pushes did; a superseded graphlet, or one whose trainer seems
    lost or may be tried again, may run as long as pushed ones; a failed one may have been stopped.
    The time is set once and stored with the subject, so that a restart keeps it.
    """
    outcome = outcome_of(pipeline, subject, limits)
    if outcome.kind in (OPEN, UNKNOWN, subject.announced_kind):
        return
    if subject.announce_at_ms is None and outcome.kind == NOT_PUSHED and not subject.announced_kind:
        if outcome.cause in (Cause.SUPERSEDED, Cause.LOST) or may_be_tried_again(subject, outcome):
            started_ms = max((trainer.start_ms for trainer in trainers_of(subject)), default=0)
            lead_ms = started_ms + pipeline.history.lead_ms()
            subject.announce_at(max(outcome.time_ms or 0, lead_ms), pipeline.changes)
        elif outcome.cause == Cause.FAILED and may_be_stopped(pipeline, subject):
            subject.announce_at((outcome.time_ms or 0) + STOP_MS, pipeline.changes)
        elif outcome.cause == Cause.RUN_ENDED or subject.trainer is None:
            subject.announce_at((outcome.time_ms or 0) + pipeline.history.grace_ms(), pipeline.changes)
    pipeline.timers.add_announcement(subject.announce_at_ms or 0, subject.KIND, subject.name)


def may_be_stopped(pipeline: Pipeline, subject: Subject) -> bool:
    """Whether a flag is open by which whoever stops runs may have stopped this one, and has yet to say so."""
    run = pipeline.run_of(subject)
    records = (subject.predictions, run.predictions if run is not None else None)
    flags = [each.open_flag for each in records if each is not None]
    return any(flag is not None and flag.stop_ms is not None for flag in flags)


def may_be_tried_again(subject: Subject, outcome: Outcome) -> bool:
    """Whether a failed trainer is a try of a task, which another may follow: its graphlet then has no outcome."""
    if outcome.cause != Cause.FAILED or subject.trainer is None or subject.run_id is None:
        return False
    return subject.trainer.value_of(JOB) is not None


def schedule_check(pipeline: Pipeline, run: Run, limits: Limits) -> None:
    """Schedules a check of a predicted run at its horizon, in case the run never ends or never starts a trainer.

    A late event may move the horizon to an earlier time; an execution that leaves the run may move it to a later one.

    Parameters
    ----------
    pipeline
        The pipeline of the run.
    run
        The run.
    limits
        As of `schedule`.
    """
    when_ms = run_horizon_ms(run, limits)
    sooner = run.next_check_ms is None or when_ms < run.next_check_ms
    again = run.next_check_ms is not None and run.next_check_ms <= pipeline.clock.now_ms < when_ms
    if not run.announced_kind and (sooner or again):
        run.next_check_ms = when_ms
        pipeline.timers.add_announcement(when_ms, run.KIND, run.id)


def advance_check(pipeline: Pipeline, execution: Execution, limits: Limits) -> None:
    """Moves the check of an execution's run to an earlier time when an event shows that the run began earlier.

    Parameters
    ----------
    pipeline
        The pipeline of the execution.
    execution
        The execution that changed.
    limits
        As of `schedule`.
    """
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    if run is not None and run.next_check_ms is not None and execution.first_ms + limits.horizon_ms < run.next_check_ms:
        schedule_check(pipeline, run, limits)


def announce_due(
    pipeline: Pipeline, limits: Limits, nodes: Mapping[str, float], owner_of: OwnerOf | None = None
) -> list[Example]:
    """Announces every outcome that is due.

    Parameters
    ----------
    pipeline
        The pipeline.
    limits
        As of `schedule`.
    nodes
        Execution type to number of nodes, for costs.
    owner_of
        Finds the owner of a graphlet whose executions report none.

    Returns
    -------
    list of Example
        The labels announced, in the order of their times.
    """
    examples: list[Example] = []
    now_ms = pipeline.clock.now_ms
    while (due := pipeline.timers.pop_announcement(now_ms)) is not None:
        kind, name = due
        subject = pipeline.runs.get(name) if kind == Run.KIND else pipeline.graphlets.get(name)
        if subject is None or (isinstance(subject, Run) and subject.predictions is None):
            continue
        outcome = outcome_of(pipeline, subject, limits)
        if outcome.kind in (OPEN, UNKNOWN):
            if outcome.kind == OPEN and isinstance(subject, Run):
                schedule_check(pipeline, subject, limits)
        elif outcome.kind != subject.announced_kind and grace_over(pipeline, subject):
            example = announce(pipeline, subject, outcome, nodes, owner_of)
            if example is not None:
                examples.append(example)
    return examples


def grace_over(pipeline: Pipeline, subject: Subject) -> bool:
    """Whether the grace has ended; it may have been prolonged after the announcement was scheduled."""
    return subject.announce_at_ms is None or subject.announce_at_ms <= pipeline.clock.now_ms


def outcome_of(pipeline: Pipeline, subject: Subject, limits: Limits) -> Outcome:
    """The outcome of a run or of a trainer by the facts."""
    if isinstance(subject, Run):
        return run_outcome(pipeline, subject, limits)
    assert isinstance(subject, Graphlet)
    return Outcome(subject.kind, subject.cause, subject.time_ms)


def trainers_of(subject: Subject) -> tuple[Execution, ...]:
    """The trainer itself, or the trainers of a run."""
    if isinstance(subject, Run):
        return subject.trainers
    return (subject.trainer,) if subject.trainer is not None else ()


def announce(
    pipeline: Pipeline, subject: Subject, outcome: Outcome, nodes: Mapping[str, float], owner_of: OwnerOf | None = None
) -> Example | None:
    """Announces an outcome: of a trainer, or of a run, whether any of its trainers was pushed.

    Returns None when no stage was ever predicted, so that nothing can be learned from it.
    """
    before_kind = subject.announce(outcome.kind, pipeline.changes)
    first = subject.label_revision == 1
    history = pipeline.history_to_change()
    run = pipeline.run_of(subject)
    trainer = subject.trainer
    inherited = run.predictions if run is not None and trainer is not None else None
    stages = records(subject.predictions, prunable(subject), nodes)
    # A run with trainers leaves the history to them.
    if trainer is not None or not trainers_of(subject):
        run_in_history = trainer is not None and run is not None and run.in_history
        counted = record_outcome(pipeline, subject, outcome, before_kind, nodes)
        flags = {index for record in (subject.predictions, inherited) if record is not None for index in record.flag_ms}
        record_flags(history, counted, flags, first and not run_in_history)
    if subject.predictions is None and inherited is None:
        return None
    before = records(inherited, run.executions if run is not None else (), nodes)
    if first and outcome.kind == PRUNED:
        book_avoided(pipeline, subject, run)
    elif first:
        record_costs(history, stages)
    if trainer is not None and final(outcome):
        subject.release_stages(pipeline.changes)
    if run is not None:
        release_stages(pipeline, run)
    return Example(
        graphlet=subject.graphlet_id(pipeline.name),
        pipeline=pipeline.name,
        run=subject.run_id,
        trainer=trainer.id if trainer is not None else None,
        owner=find_owner(pipeline, subject, owner_of),
        pushed=None if outcome.kind == PRUNED else outcome.kind == PUSHED,
        cause=outcome.cause or outcome.kind,
        time_ms=outcome.time_ms or 0,
        announced_ms=pipeline.clock.now_ms,
        label_revision=subject.label_revision,
        stages=stages,
        inherited=before,
        word=word_on(pipeline, subject),
    )


def prunable(subject: Subject) -> list[Execution]:
    """The executions that pruning could have saved: all of a run; of a graphlet those that are not of another run."""
    if isinstance(subject, Run):
        return subject.executions
    assert isinstance(subject, Graphlet)
    run = subject.run_id
    return [subject.trainer, *(e for e in subject.members if run is None or e.run == run or e.run is None)]


def final(outcome: Outcome) -> bool:
    """Whether an outcome will hardly be corrected to a push, so that its stages need not be kept."""
    return outcome.kind == PUSHED or outcome.cause == Cause.FAILED


def release_stages(pipeline: Pipeline, run: Run) -> None:
    """Drops a run's stages when nothing can need them again: it has ended, and no label of its trainers will change."""
    # Its own label may still be due in this step, after those of its trainers.
    announced = run.pending is not None and run.announced_kind == run.pending[0]
    if announced and run.trainers and run.end_ms() is not None and all(map(label_is_final, run.trainers)):
        run.release_stages(pipeline.changes)


def label_is_final(trainer: Execution) -> bool:
    """Whether no further announcement of a trainer will carry its run's stages."""
    graphlet = trainer.graphlet
    if graphlet is None:
        return True
    outcome = Outcome(graphlet.kind, graphlet.cause, graphlet.time_ms)
    return graphlet.announced_kind == graphlet.kind and final(outcome)


def book_avoided(pipeline: Pipeline, subject: Subject, run: Run | None) -> None:
    """Books the compute that a prune avoided: by the subject's own flag, else a trainer's part of its run's flag.

    A run is booked once.
    """
    own = subject.predictions
    if isinstance(subject, Run):
        # A run with trainers leaves the booking to them.
        if own is not None and not subject.trainers:
            book_flag(pipeline, own, 1)
            own.avoided_booked = True
        return
    inherited = run.predictions if run is not None else None
    if inherited is not None and inherited.avoided_booked:
        return
    if own is not None and book_flag(pipeline, own, 1):
        return
    if run is not None and inherited is not None:
        book_flag(pipeline, inherited, len(run.trainers))


def book_flag(pipeline: Pipeline, predictions: PredictionRecord, shares: int) -> bool:
    """Books the cost expected to be left at the last flag, divided by `shares`; False when no stage was flagged."""
    pruned = [prediction.cost_left for prediction in predictions.stages if prediction.decision == PRUNE]
    if pruned:
        node_ms = int(pruned[-1] * 1000.0) // shares
        pipeline.ledger.avoided += node_ms
        pipeline.frozen_ledger.avoided += node_ms
    return bool(pruned)


def records(
    predictions: PredictionRecord | None, executions: Iterable[Execution], nodes: Mapping[str, float]
) -> list[StageRecord]:
    """The stages predicted, with the compute used after each."""
    if predictions is None:
        return []
    begun = [(e.start_ms, e.node_ms(nodes.get(e.type, 1.0))) for e in executions if e.group != "run"]
    return [
        stage_record(stage, sum(node_ms for start_ms, node_ms in begun if start_ms >= stage.time_ms) / 1000.0)
        for stage in predictions.stages
    ]


def stage_record(stage: StagePrediction, actual_left: float) -> StageRecord:
    """A stage as it was predicted; `actual_left` in node-seconds."""
    return StageRecord(
        stage=stage.stage,
        validator=stage.validator,
        time_ms=stage.time_ms,
        features=dict(zip(stage.names, stage.values, strict=True)),
        p=stage.p,
        baseline=stage.baseline,
        score=stage.score,
        guard=stage.guard,
        cost=stage.cost,
        cost_left=stage.cost_left,
        actual_left=actual_left,
        decision=stage.decision,
        flagged=list(stage.flagged),
        propensity=stage.propensity,
    )
