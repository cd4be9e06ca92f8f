"""What became of a graphlet: a function of the facts and of how far the pipeline's clock has come.

The rules are those of docs/decisions/0001-graphlets.md. When an outcome is *said* is decided in `labels`.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

from stream_app.core.events import CANCELED, COMPLETE
from stream_app.core.events import FAILED as FAILED_STATE
from stream_app.core.outputs import EXPIRED, FAILED, NOT_PUSHED, OPEN, PRUNED, PUSHED, RUN_ENDED, SUPERSEDED
from stream_app.core.properties import is_true
from stream_app.core.state.entities import Execution, Graphlet, Pipeline, Run

#: The property that names the verdict which stopped an execution.
PRUNED_BY = "pruned_by"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome, why a graphlet was not pushed, and the event time; the time is None while open."""

    kind: str
    cause: str | None
    time_ms: int | None


#: After every time.
NEVER_MS = 1 << 62

NOTHING_YET = Outcome(OPEN, None, None)


def settle(pipeline: Pipeline, horizon_ms: int) -> list[Graphlet]:
    """Brings the outcomes of all graphlets up to date; returns those whose outcome changed, in a fixed order."""
    changed: dict[Graphlet, None] = {}
    while pipeline.unsettled or pipeline.unsettled_runs:
        for run_id in pipeline.unsettled_runs:
            unsettle_run(pipeline, run_id)
        pipeline.unsettled_runs.clear()
        graphlets = list(pipeline.unsettled)
        pipeline.unsettled.clear()
        if len(graphlets) > 1:
            # Later pushes decide earlier graphlets: in this order most are looked at once.
            graphlets.sort(key=lambda graphlet: graphlet.trainer.sort_key(), reverse=True)
        for graphlet in graphlets:
            if settle_one(pipeline, graphlet, horizon_ms):
                changed[graphlet] = None
    return list(changed)


def unsettle_run(pipeline: Pipeline, run_id: str) -> None:
    """The run's own executions changed: its trainers, and what has none, are looked at again."""
    run = pipeline.runs.get(run_id)
    if run is None:
        return
    for trainer in run.trainers:
        if trainer.graphlet is not None:
            pipeline.unsettled[trainer.graphlet] = None
    if not run.trainers:
        for execution in run.executions:
            pipeline.stale[execution] = None


def settle_one(pipeline: Pipeline, graphlet: Graphlet, horizon_ms: int) -> bool:
    """Computes one outcome anew and lets the rest of the pipeline follow; True if it changed."""
    alive = graphlet.trainer.graphlet is graphlet
    outcome = outcome_of(pipeline, graphlet, horizon_ms) if alive else NOTHING_YET
    trainer = graphlet.trainer
    push = (trainer.start_ms, trainer.id, outcome.time_ms or 0) if outcome.kind == PUSHED else None
    move_push(pipeline, graphlet, push)
    pipeline.open.pop(graphlet, None)
    wait(pipeline, graphlet, alive and (outcome.kind == OPEN or outcome.cause in (SUPERSEDED, EXPIRED)))
    if not alive:
        return False
    if outcome.kind == OPEN:
        pipeline.open[graphlet] = None
        expires_ms = trainer.start_ms + horizon_ms
        if graphlet.horizon_ms is None or graphlet.horizon_ms > expires_ms:
            graphlet.horizon_ms = expires_ms
            heapq.heappush(pipeline.horizons, (expires_ms, trainer.id))
    if (graphlet.kind, graphlet.cause, graphlet.time_ms) == (outcome.kind, outcome.cause, outcome.time_ms):
        return False
    if graphlet.kind != outcome.kind or graphlet.cause != outcome.cause:
        pipeline.stale[trainer] = None
        pipeline.stale.update(dict.fromkeys(graphlet.members))
    graphlet.kind, graphlet.cause, graphlet.time_ms = outcome.kind, outcome.cause, outcome.time_ms
    return True


def outcome_of(pipeline: Pipeline, graphlet: Graphlet, horizon_ms: int) -> Outcome:
    """The outcome that the facts give now."""
    pushes = [execution.end_ms for execution in graphlet.deploys if pushed(pipeline, execution)]
    if pushes:
        return Outcome(PUSHED, None, min(ms for ms in pushes if ms is not None))
    trainer = graphlet.trainer
    run = pipeline.runs.get(trainer.run) if trainer.run is not None else None
    prunes = [
        execution.end_ms
        for execution in [trainer, *(run.run_executions if run is not None else ())]
        if execution.ever(CANCELED) and execution.property(PRUNED_BY) is not None
    ]
    if prunes:
        return Outcome(PRUNED, None, min(ms for ms in prunes if ms is not None))
    if trainer.end_ms is not None and trainer.end_state in (FAILED_STATE, CANCELED):
        return Outcome(NOT_PUSHED, FAILED, trainer.end_ms)
    run_end_ms = run.end_ms() if run is not None else None
    if run_end_ms is not None:
        return Outcome(NOT_PUSHED, RUN_ENDED, run_end_ms)
    later = pipeline.pushed[bisect_right(pipeline.pushed, (trainer.start_ms, trainer.id, NEVER_MS)) :]
    if later:
        return Outcome(NOT_PUSHED, SUPERSEDED, min(push_ms for _, _, push_ms in later))
    if pipeline.clock_ms >= trainer.start_ms + horizon_ms:
        return Outcome(NOT_PUSHED, EXPIRED, trainer.start_ms + horizon_ms)
    return NOTHING_YET


def pushed(pipeline: Pipeline, execution: Execution) -> bool:
    """Whether a deploy execution pushed: it was ever COMPLETE and its outputs do not say otherwise.

    TFX's Pusher ends COMPLETE and writes `pushed` = 0 when it refused to push.
    """
    if not execution.ever(COMPLETE):
        return False
    told = [
        value
        for artifact_id in execution.writes
        if (value := pipeline.artifacts[artifact_id].property("pushed")) is not None
    ]
    return not told or any(is_true(value) for value in told)


def move_push(pipeline: Pipeline, graphlet: Graphlet, push: tuple[int, str, int] | None) -> None:
    """Keeps the sorted list of pushes; who was or may be superseded by a change is looked at again."""
    before = pipeline.push_of.get(graphlet)
    if before == push:
        return
    superseders = [p for p in (before, push) if p is not None]
    if before is not None:
        pipeline.pushed.pop(bisect_left(pipeline.pushed, before))
        del pipeline.push_of[graphlet]
    if push is not None:
        insort(pipeline.pushed, push)
        pipeline.push_of[graphlet] = push
    later = max(superseders)[:2]
    settled_ms = push[2] if before is None and push is not None else -1
    for place in range(bisect_left(pipeline.waiting, later) - 1, -1, -1):
        other = pipeline.graphlets.get(pipeline.waiting[place][1])
        if other is None:
            continue
        if other.cause == SUPERSEDED and (other.time_ms or 0) <= settled_ms:
            # A further push cannot move the time of who was superseded by an earlier one, nor of any before it.
            break
        pipeline.unsettled[other] = None


def wait(pipeline: Pipeline, graphlet: Graphlet, waits: bool) -> None:
    """Keeps the sorted list of graphlets that a later trainer's push would decide."""
    before = pipeline.waits_at.get(graphlet)
    after = graphlet.trainer.sort_key() if waits else None
    if before == after:
        return
    if before is not None:
        del pipeline.waiting[bisect_left(pipeline.waiting, before)]
        del pipeline.waits_at[graphlet]
    if after is not None:
        insort(pipeline.waiting, after)
        pipeline.waits_at[graphlet] = after


def expire(pipeline: Pipeline) -> None:
    """Graphlets whose horizon the clock has passed are looked at again."""
    while pipeline.horizons and pipeline.horizons[0][0] <= pipeline.clock_ms:
        _, trainer_id = heapq.heappop(pipeline.horizons)
        graphlet = pipeline.graphlets.get(trainer_id)
        if graphlet is not None and graphlet.kind == OPEN:
            # Should its start have moved on since, settling asks for a later look.
            graphlet.horizon_ms = None
            pipeline.unsettled[graphlet] = None


def run_outcome(pipeline: Pipeline, run: Run, horizon_ms: int) -> Outcome:
    """The outcome of a run's provisional graphlet: whether any trainer of the run is pushed.

    A run that never ends is decided with the last of its trainers, or at its own horizon. One of whose trainers some
    were evicted has nothing more to say but a push: what they gave was said while they were here.
    """
    graphlets = [trainer.graphlet for trainer in run.trainers if trainer.graphlet is not None]
    times = [g.time_ms for g in graphlets if g.kind == PUSHED and g.time_ms is not None]
    if times:
        return Outcome(PUSHED, None, min(times))
    if run.had_trainer:
        return NOTHING_YET
    prunes = [
        execution.end_ms
        for execution in run.run_executions
        if execution.ever(CANCELED) and execution.property(PRUNED_BY) is not None
    ]
    if prunes:
        return Outcome(PRUNED, None, min(ms for ms in prunes if ms is not None))
    pruned = any(graphlet.kind == PRUNED for graphlet in graphlets)
    end_ms = run.end_ms()
    if end_ms is not None:
        cause = FAILED if {graphlet.cause for graphlet in graphlets} == {FAILED} else RUN_ENDED
        return not_pushed(pruned, cause, end_ms)
    if any(graphlet.kind == OPEN for graphlet in graphlets):
        return NOTHING_YET
    ended = [graphlet for graphlet in graphlets if graphlet.cause in (SUPERSEDED, EXPIRED)]
    if ended:
        last = max(ended, key=lambda graphlet: graphlet.trainer.sort_key())
        return not_pushed(pruned, last.cause, last.time_ms)
    expires_ms = run_horizon_ms(run, horizon_ms)
    return not_pushed(pruned, EXPIRED, expires_ms) if pipeline.clock_ms >= expires_ms else NOTHING_YET


def not_pushed(pruned: bool, cause: str | None, time_ms: int | None) -> Outcome:
    """No trainer of a run was pushed; where one was pruned, nobody knows what it would have come to."""
    return Outcome(PRUNED, None, time_ms) if pruned else Outcome(NOT_PUSHED, cause, time_ms)


def run_horizon_ms(run: Run, horizon_ms: int) -> int:
    """When a run that never ends counts as not pushed, unless a trainer of it is still open."""
    return min((execution.first_ms for execution in run.executions), default=0) + horizon_ms
