"""What bounds the state: what nothing has touched for the retention leaves, and its sums stay.

An execution is touched by its own events and by those that read what it wrote. Once a day of a pipeline's event
time, graphlets whose trainer is untouched are closed, and executions that are untouched and in no graphlet any more
are dropped. Their compute stays in the frozen ledger under the class it had.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from stream_app.core.graphlets.membership import clear
from stream_app.core.graphlets.updating import take_out
from stream_app.core.graphlets.versions import release, remove_reader
from stream_app.core.operators import RUN, TRAIN
from stream_app.core.outcomes.accounting import policies_of
from stream_app.core.outcomes.outcomes import wait
from stream_app.core.outputs import OPEN, PUSHED
from stream_app.core.state.entities import DAY_MS, Artifact, Execution, Graphlet, Left, Pipeline, Run, mark


def due(pipeline: Pipeline, keep_ms: int) -> list[Graphlet]:
    """Moves the cutoff and returns the graphlets to be closed, in the order of their trainers' starts.

    Parameters
    ----------
    keep_ms
        Retention and lateness together.
    """
    pipeline.next_sweep_ms = (pipeline.clock_ms // DAY_MS + 1) * DAY_MS
    cutoff_day = (pipeline.clock_ms - keep_ms) // DAY_MS
    if cutoff_day * DAY_MS <= pipeline.cutoff_ms:
        return []
    pipeline.cutoff_ms = cutoff_day * DAY_MS
    untouched = [g for g in pipeline.graphlets.values() if g.trainer.touched_day < cutoff_day]
    return sorted(untouched, key=lambda graphlet: graphlet.trainer.sort_key())


def evict(pipeline: Pipeline, graphlets: Iterable[Graphlet]) -> None:
    """Closes graphlets and drops what is untouched and in none."""
    for graphlet in graphlets:
        close(pipeline, graphlet)
    cutoff_day = pipeline.cutoff_ms // DAY_MS
    # Executions of group run last: whether they stay depends on what else of their runs does.
    for execution in sorted(pipeline.executions.values(), key=lambda execution: execution.group == RUN):
        if execution.touched_day < cutoff_day and not execution.members_of and execution.graphlet is None:
            if execution.group == RUN and others_of_run(pipeline, execution):
                continue
            remove(pipeline, execution)
    forget_pushes(pipeline)


def close(pipeline: Pipeline, graphlet: Graphlet) -> None:
    """Takes a graphlet out, leaving on its members what became of it."""
    for execution in (graphlet.trainer, *graphlet.members):
        leave_outcome(pipeline, graphlet, execution)
    clear(pipeline, graphlet)
    trainer = graphlet.trainer
    trainer.graphlet = None
    del pipeline.graphlets[trainer.id]
    pipeline.unsettled.pop(graphlet, None)
    pipeline.open.pop(graphlet, None)
    wait(pipeline, graphlet, waits=False)
    pipeline.push_of.pop(graphlet, None)
    forget(pipeline, "graphlet", graphlet.trainer.id, graphlet)


def leave_outcome(pipeline: Pipeline, graphlet: Graphlet, execution: Execution) -> None:
    """Leaves on a member what its compute is charged by once the graphlet is gone."""
    before = execution.left or Left()
    latest, cause = before.latest, before.cause
    if not cause or graphlet.trainer.sort_key() > latest:
        latest = graphlet.trainer.sort_key()
        cause = "evicted" if graphlet.kind == OPEN else graphlet.cause or graphlet.kind
    left(
        pipeline,
        execution,
        before._replace(
            pushed=before.pushed or graphlet.kind == PUSHED,
            policies=before.policies & policies_of(pipeline, execution, graphlet),
            latest=latest,
            cause=cause,
        ),
    )


def left(pipeline: Pipeline, execution: Execution, value: Left) -> None:
    """Sets what is left on an execution."""
    if value != execution.left:
        execution.left = value
        mark(pipeline, execution)


def others_of_run(pipeline: Pipeline, execution: Execution) -> bool:
    """Whether anything but executions of group run is left of its run: its end still counts for them."""
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    return run is not None and any(other.group != RUN for other in run.executions)


def forget(pipeline: Pipeline, kind: str, name: str, entity: Execution | Artifact | Graphlet | Run) -> None:
    """Notes that an entity's row is gone."""
    if pipeline.changed is not None:
        pipeline.changed.pop(entity, None)
        pipeline.gone[(kind, name)] = None


def remove(pipeline: Pipeline, execution: Execution) -> None:
    """Drops an execution with its edges; its charge moves to the frozen ledger."""
    if execution.charged is not None:
        pipeline.frozen_ledger.book(execution.charged, 1)
    pipeline.stale.pop(execution, None)
    del pipeline.executions[execution.id]
    forget(pipeline, "execution", execution.id, execution)
    retired = pipeline.retired.pop(execution.id, None)
    if retired is not None:
        forget(pipeline, "graphlet", execution.id, retired)
    for version in execution.reads.values():
        remove_reader(version, execution, execution.run)
    for version in execution.writes.values():
        version.writers.remove(execution)
        if execution.group == TRAIN:
            for reader in version.readers.get(execution.run, ()):
                if reader.own_trainer:
                    left(pipeline, reader, (reader.left or Left())._replace(own_trainer=True))
    for artifact_id in sorted({*execution.reads, *execution.writes}):
        artifact = pipeline.artifacts.get(artifact_id)
        if artifact is not None and release(pipeline, artifact, execution):
            del pipeline.artifacts[artifact_id]
            forget(pipeline, "artifact", artifact_id, artifact)
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    if run is not None:
        leave(pipeline, run, execution)


def leave(pipeline: Pipeline, run: Run, execution: Execution) -> None:
    """Takes an execution out of its run, and the run out of the pipeline when it was the last."""
    had_trainer = execution in run.trainers
    take_out(run, execution)
    if had_trainer:
        run.had_trainer = True
        mark(pipeline, run)
    if not run.executions:
        del pipeline.runs[run.id]
        forget(pipeline, "run", run.id, run)


def forget_pushes(pipeline: Pipeline) -> None:
    """Pushes of closed graphlets count for `superseded` as long as an earlier graphlet is kept."""
    first = min((graphlet.trainer.sort_key() for graphlet in pipeline.graphlets.values()), default=None)
    if first is None:
        pipeline.pushed.clear()
    else:
        del pipeline.pushed[: bisect_left(pipeline.pushed, (*first, 0))]
