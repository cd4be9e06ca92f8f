"""Computes what became of a graphlet, as a function of the facts and of the pipeline's clock.

The rules are those of docs/decisions/0001-graphlets.md. `labels` decides when an outcome is announced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stream_app.core.events import CANCELED, COMPLETE, FAILED
from stream_app.core.operators import DEPLOY, RUN
from stream_app.core.outputs import NOT_PUSHED, OPEN, PRUNED, PUSHED, UNKNOWN, Cause
from stream_app.core.properties import LABEL_UNKNOWN, PRUNED_BY, SKIPPED_TASKS, TASK, is_true
from stream_app.core.state.entities import Execution, Graphlet, Run
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.push_index import Push


class Limits(NamedTuple):
    """How long, in ms, the detector waits for an outcome.

    Parameters
    ----------
    horizon_ms
        After its trainer's start, or its last report if that is later, a graphlet without an outcome has expired.
    lost_ms
        After the last report of a trainer that has reported its progress, the trainer is lost.
    """

    horizon_ms: int
    lost_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome, why a graphlet was not pushed, and its event time; the time is None while open."""

    kind: str
    cause: str | None
    time_ms: int | None


UNDECIDED = Outcome(OPEN, None, None)
#: Causes that decide a graphlet whose run has not ended.
WITHOUT_RUN_END = (Cause.LOST, Cause.REFUSED, Cause.SUPERSEDED, Cause.EXPIRED)


def settle(pipeline: Pipeline, limits: Limits) -> list[Graphlet]:
    """Brings the outcomes of all graphlets on the work list up to date.

    Parameters
    ----------
    pipeline
        The pipeline, which is changed in place.
    limits
        How long to wait for an outcome.

    Returns
    -------
    list of Graphlet
        The graphlets whose outcome changed, in a fixed order.
    """
    changed: dict[Graphlet, None] = {}
    while pipeline.work.unsettled:
        for run_id in pipeline.work.take_runs():
            unsettle_run(pipeline, run_id)
        graphlets = pipeline.work.take_graphlets()
        if len(graphlets) > 1:
            # Later pushes decide earlier graphlets: in this order most are settled once.
            graphlets.sort(key=lambda graphlet: graphlet.trainer.sort_key(), reverse=True)
        for graphlet in graphlets:
            if settle_one(pipeline, graphlet, limits):
                changed[graphlet] = None
    return list(changed)


def unsettle(pipeline: Pipeline, execution: Execution) -> None:
    """Puts the outcomes that an event of this execution may have decided on the work list."""
    if execution.graphlet is not None:
        pipeline.work.settle_one(execution.graphlet)
    if execution.group == DEPLOY:
        pipeline.work.settle(execution.members_of or ())
    elif execution.group == RUN and execution.run is not None:
        pipeline.work.settle_run(execution.run)


def unsettle_run(pipeline: Pipeline, run_id: str) -> None:
    """Has what a run's own executions may decide derived again.

    That is the outcomes of its trainers, those of the graphlets, also of other runs, that its deploy executions may
    have pushed, and the charges of its executions when it has no trainer.
    """
    run = pipeline.runs.get(run_id)
    if run is None:
        return
    for trainer in run.trainers:
        if trainer.graphlet is not None:
            pipeline.work.settle_one(trainer.graphlet)
    for execution in run.executions:
        if execution.group == DEPLOY:
            pipeline.work.settle(execution.members_of or ())
    if not run.trainers:
        for execution in run.executions:
            pipeline.work.rebook_one(execution)


def settle_one(pipeline: Pipeline, graphlet: Graphlet, limits: Limits) -> bool:
    """Computes one outcome again and updates what depends on it; True if it changed."""
    alive = graphlet.trainer.graphlet is graphlet
    outcome = outcome_of(pipeline, graphlet, limits) if alive else UNDECIDED
    trainer = graphlet.trainer
    push = (trainer.start_ms, trainer.id, outcome.time_ms or 0) if outcome.kind == PUSHED else None
    move_push(pipeline, graphlet, push)
    pipeline.open.pop(graphlet, None)
    undecided = outcome.kind == OPEN or outcome.cause in (Cause.SUPERSEDED, Cause.EXPIRED)
    pipeline.pushes.track(graphlet, supersedable=alive and undecided)
    if not alive:
        return False
    if outcome.kind == OPEN:
        pipeline.open[graphlet] = None
    schedule_check(pipeline, graphlet, outcome, limits)
    if (graphlet.kind, graphlet.cause, graphlet.time_ms) == (outcome.kind, outcome.cause, outcome.time_ms):
        return False
    pipeline.work.change_outcome(graphlet)
    if graphlet.kind != outcome.kind or graphlet.cause != outcome.cause:
        pipeline.work.rebook_one(trainer)
        pipeline.work.rebook(graphlet.members)
    graphlet.kind, graphlet.cause, graphlet.time_ms = outcome.kind, outcome.cause, outcome.time_ms
    return True


def outcome_of(pipeline: Pipeline, graphlet: Graphlet, limits: Limits) -> Outcome:
    """The outcome by the facts known now."""
    pushes = [execution.end_ms for execution in graphlet.deploys if pushed(pipeline, execution)]
    if pushes:
        return Outcome(PUSHED, None, min(ms for ms in pushes if ms is not None))
    trainer = graphlet.trainer
    run = pipeline.runs.get(trainer.run) if trainer.run is not None else None
    prunes = [
        execution.end_ms
        for execution in [trainer, *(run.run_executions if run is not None else ())]
        if execution.ever(CANCELED) and execution.value_of(PRUNED_BY) is not None
    ]
    if prunes:
        return Outcome(PRUNED, None, min(ms for ms in prunes if ms is not None))
    unknown = trainer.value_of(LABEL_UNKNOWN)
    if unknown is not None and is_true(unknown):
        return Outcome(UNKNOWN, Cause.REGISTRY_GAP, trainer.end_ms if trainer.is_over else trainer.start_ms)
    if trainer.is_over and trainer.end_state in (FAILED, CANCELED):
        return Outcome(NOT_PUSHED, Cause.FAILED, trainer.end_ms)
    expires_ms, run_end_ms = expiry_ms(trainer, limits), run.end_ms() if run is not None else None
    expired = pipeline.clock.now_ms >= expires_ms
    if trainer.reports_progress and pipeline.clock.now_ms >= lost_at_ms(trainer, limits):
        return Outcome(NOT_PUSHED, Cause.LOST, trainer.last_running_ms)
    if all_refused(pipeline, graphlet) and (run_end_ms is not None or expired):
        return Outcome(NOT_PUSHED, Cause.REFUSED, expires_ms if run_end_ms is None else run_end_ms)
    if run_end_ms is not None:
        return Outcome(NOT_PUSHED, Cause.RUN_ENDED, run_end_ms)
    if trainer.reports_progress:
        return UNDECIDED
    superseded_ms = pipeline.pushes.superseded_ms(trainer.start_ms, trainer.id)
    if superseded_ms is not None:
        return Outcome(NOT_PUSHED, Cause.SUPERSEDED, superseded_ms)
    return Outcome(NOT_PUSHED, Cause.EXPIRED, expires_ms) if expired else UNDECIDED


def schedule_check(pipeline: Pipeline, graphlet: Graphlet, outcome: Outcome, limits: Limits) -> None:
    """Schedules a check for when the clock alone may change an outcome."""
    trainer = graphlet.trainer
    reporting = trainer.reports_progress
    if reporting and (outcome.kind == OPEN or outcome.cause in (Cause.REFUSED, Cause.RUN_ENDED)):
        add_check(pipeline, graphlet, lost_at_ms(trainer, limits))
    if (outcome.kind == OPEN and not reporting) or (
        (outcome.kind == OPEN or outcome.cause == Cause.SUPERSEDED) and all_refused(pipeline, graphlet)
    ):
        add_check(pipeline, graphlet, expiry_ms(trainer, limits))


def add_check(pipeline: Pipeline, graphlet: Graphlet, when_ms: int) -> None:
    """Schedules a check of a graphlet, unless an earlier one is scheduled, after which it is scheduled again."""
    if graphlet.horizon_ms is None or graphlet.horizon_ms > when_ms:
        graphlet.horizon_ms = when_ms
        pipeline.timers.add_horizon(when_ms, graphlet.trainer.id)


def expiry_ms(trainer: Execution, limits: Limits) -> int:
    """When a graphlet without an outcome has expired; one that trained for longer has another horizon from then on."""
    expires_ms = trainer.start_ms + limits.horizon_ms
    reported_ms = max(trainer.last_running_ms or 0, trainer.end_ms or 0)
    return expires_ms if reported_ms <= expires_ms else reported_ms + limits.horizon_ms


def lost_at_ms(trainer: Execution, limits: Limits) -> int:
    """When a trainer that reports its progress is lost, unless it reports again."""
    return (trainer.last_running_ms or 0) + limits.lost_ms


def all_refused(pipeline: Pipeline, graphlet: Graphlet) -> bool:
    """Whether the graphlet was to be deployed, and every deploy execution ended without pushing it."""
    deploys = graphlet.deploys
    return bool(deploys) and all(each.ever(COMPLETE) and not pushed(pipeline, each) for each in deploys)


def pushed(pipeline: Pipeline, execution: Execution) -> bool:
    """Whether a deploy execution pushed: it was ever COMPLETE and its outputs do not say otherwise.

    TFX's Pusher ends COMPLETE and writes `pushed` = 0 when it refused to push. A task that Airflow skips ends COMPLETE
    too; only its run tells.
    """
    if not execution.ever(COMPLETE) or is_skipped(pipeline, execution):
        return False
    reported = [
        value
        for artifact_id in execution.writes
        if (value := pipeline.artifacts[artifact_id].value_of("pushed")) is not None
    ]
    return not reported or any(is_true(value) for value in reported)


def is_skipped(pipeline: Pipeline, execution: Execution) -> bool:
    """Whether the run of an execution says that its task was skipped."""
    task = execution.value_of(TASK)
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    if task is None or run is None:
        return False
    listed = (each.value_of(SKIPPED_TASKS) for each in run.run_executions)
    return any(task in str(skipped).split(",") for skipped in listed if skipped is not None)


def move_push(pipeline: Pipeline, graphlet: Graphlet, push: Push | None) -> None:
    """Sets or removes a graphlet's push, and has the graphlets settled again that it may supersede."""
    moved = pipeline.pushes.move(graphlet, push)
    if moved is None:
        return
    before, after = moved
    settled_ms = after[2] if before is None and after is not None else -1
    for trainer_id in pipeline.pushes.before(max(each for each in moved if each is not None)):
        other = pipeline.graphlets.get(trainer_id)
        if other is None:
            continue
        if other.cause == Cause.SUPERSEDED and (other.time_ms or 0) <= settled_ms:
            # A further push cannot move the time of a graphlet that an earlier push superseded, nor of any before it.
            break
        pipeline.work.settle_one(other)


def expire(pipeline: Pipeline) -> None:
    """Puts graphlets whose check is due on the work list.

    Parameters
    ----------
    pipeline
        The pipeline.
    """
    while (trainer_id := pipeline.timers.pop_horizon(pipeline.clock.now_ms)) is not None:
        graphlet = pipeline.graphlets.get(trainer_id)
        if graphlet is not None:
            # If a later time decides, as after a further report, settling schedules a later check.
            graphlet.horizon_ms = None
            pipeline.work.settle_one(graphlet)


def run_outcome(pipeline: Pipeline, run: Run, limits: Limits) -> Outcome:
    """The outcome of a run's provisional graphlet: whether any trainer of the run is pushed.

    A run that never ends is decided with the last of its trainers, or at its own horizon. A run with evicted trainers
    has no further outcome but a push: the outcomes of its trainers were announced before they were evicted.
    """
    graphlets = [trainer.graphlet for trainer in run.trainers if trainer.graphlet is not None]
    times = [g.time_ms for g in graphlets if g.kind == PUSHED and g.time_ms is not None]
    if times:
        return Outcome(PUSHED, None, min(times))
    if run.had_trainer:
        return UNDECIDED
    prunes = [
        execution.end_ms
        for execution in run.run_executions
        if execution.ever(CANCELED) and execution.value_of(PRUNED_BY) is not None
    ]
    if prunes:
        return Outcome(PRUNED, None, min(ms for ms in prunes if ms is not None))
    if any(graphlet.kind == UNKNOWN for graphlet in graphlets):
        return Outcome(UNKNOWN, Cause.REGISTRY_GAP, max(g.time_ms or 0 for g in graphlets if g.kind == UNKNOWN))
    pruned = any(graphlet.kind == PRUNED for graphlet in graphlets)
    end_ms = run.end_ms()
    if end_ms is not None:
        cause = Cause.FAILED if {graphlet.cause for graphlet in graphlets} == {Cause.FAILED} else Cause.RUN_ENDED
        return not_pushed(pruned, cause, end_ms)
    if any(graphlet.kind == OPEN for graphlet in graphlets):
        return UNDECIDED
    ended = [graphlet for graphlet in graphlets if graphlet.cause in WITHOUT_RUN_END]
    if ended:
        last = max(ended, key=lambda graphlet: graphlet.trainer.sort_key())
        return not_pushed(pruned, last.cause, last.time_ms)
    expires_ms = run_horizon_ms(run, limits)
    return not_pushed(pruned, Cause.EXPIRED, expires_ms) if pipeline.clock.now_ms >= expires_ms else UNDECIDED


def not_pushed(pruned: bool, cause: str | None, time_ms: int | None) -> Outcome:
    """No trainer of a run was pushed; where one was pruned, the run's outcome is unknown."""
    return Outcome(PRUNED, None, time_ms) if pruned else Outcome(NOT_PUSHED, cause, time_ms)


def run_horizon_ms(run: Run, limits: Limits) -> int:
    """When a run that never ends counts as not pushed, unless one of its trainers is still open."""
    return min((execution.first_ms for execution in run.executions), default=0) + limits.horizon_ms
