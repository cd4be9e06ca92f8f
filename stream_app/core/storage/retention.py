"""Evicts executions and graphlets that no event has touched within the retention period.

An execution is touched by its own events and by those of executions that read its outputs. Once a day of a pipeline's
event time, graphlets whose trainer is untouched are closed, and executions that are untouched and in no graphlet any
more are dropped. Their compute stays in the frozen ledger under its last class.
"""

from __future__ import annotations

from collections.abc import Iterable

from stream_app.core.acts import POLICY
from stream_app.core.graphlets.membership import clear
from stream_app.core.graphlets.roles import count_stated
from stream_app.core.graphlets.updating import take_out
from stream_app.core.graphlets.versions import release, remove_reader
from stream_app.core.operators import DEPLOY, RUN
from stream_app.core.outcomes.accounting import policies_of
from stream_app.core.outputs import OPEN, PUSHED, Cause
from stream_app.core.state.entities import Execution, Graphlet, Run, Version, has_graphlet
from stream_app.core.state.eviction import EvictionSummary
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.units import DAY_MS


def due(pipeline: Pipeline, keep_ms: int) -> list[Graphlet]:
    """Moves the cutoff and finds the graphlets to close.

    Parameters
    ----------
    pipeline
        The pipeline.
    keep_ms
        Retention and lateness together, in ms.

    Returns
    -------
    list of Graphlet
        In the order of their trainers' starts.
    """
    pipeline.timers.next_sweep_ms = (pipeline.clock.now_ms // DAY_MS + 1) * DAY_MS
    cutoff_day = (pipeline.clock.now_ms - keep_ms) // DAY_MS
    if cutoff_day * DAY_MS <= pipeline.clock.cutoff_ms:
        return []
    pipeline.clock.cutoff_ms = cutoff_day * DAY_MS
    untouched = [g for g in pipeline.graphlets.values() if g.trainer.touched_day < cutoff_day]
    return sorted(untouched, key=lambda graphlet: graphlet.trainer.sort_key())


def evict(pipeline: Pipeline, graphlets: Iterable[Graphlet]) -> None:
    """Closes graphlets, and drops executions that are untouched and in no graphlet.

    Parameters
    ----------
    pipeline
        The pipeline, which is changed in place.
    graphlets
        The graphlets to close.
    """
    for graphlet in graphlets:
        close(pipeline, graphlet)
    cutoff_day = pipeline.clock.cutoff_ms // DAY_MS
    # Executions of group run last: whether they stay depends on what else of their runs does.
    untouched = [execution for execution in pipeline.executions.values() if execution.touched_day < cutoff_day]
    for execution in sorted(untouched, key=lambda execution: execution.group == RUN):
        if execution.id == POLICY:  # it holds until another one replaces it
            continue
        if not execution.members_of and execution.graphlet is None:
            if execution.group == RUN and others_of_run(pipeline, execution):
                continue
            remove(pipeline, execution)
    forget_pushes(pipeline)


def close(pipeline: Pipeline, graphlet: Graphlet) -> None:
    """Removes a graphlet and leaves its summary on its members."""
    for execution in (graphlet.trainer, *graphlet.members):
        summarise(pipeline, graphlet, execution)
    clear(pipeline, graphlet)
    trainer = graphlet.trainer
    trainer.graphlet = None
    del pipeline.graphlets[trainer.id]
    pipeline.work.forget_graphlet(graphlet)
    pipeline.open.pop(graphlet, None)
    pipeline.pushes.close(graphlet)
    pipeline.changes.drop(graphlet)


def summarise(pipeline: Pipeline, graphlet: Graphlet, execution: Execution) -> None:
    """Records on a member how its compute is charged once the graphlet is evicted."""
    before = execution.eviction or EvictionSummary()
    latest, cause = before.latest, before.cause
    own_cause = Cause.EVICTED if graphlet.kind == OPEN else graphlet.cause or graphlet.kind
    if own_cause == Cause.REGISTRY_GAP or cause == Cause.REGISTRY_GAP:
        # What is not known of one graphlet is not known of its members.
        cause = Cause.REGISTRY_GAP
    elif not cause or graphlet.trainer.sort_key() > latest:
        latest, cause = graphlet.trainer.sort_key(), own_cause
    summary = before._replace(
        pushed=before.pushed or graphlet.kind == PUSHED,
        policies=before.policies & policies_of(pipeline, execution, graphlet),
        latest=latest,
        cause=cause,
        graphlets=before.graphlets + 1,
    )
    execution.summarise_eviction(summary, pipeline.changes)


def others_of_run(pipeline: Pipeline, execution: Execution) -> bool:
    """Whether a run still has executions of other groups than run, for which its end counts."""
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    return run is not None and any(other.group != RUN for other in run.executions)


def remove(pipeline: Pipeline, execution: Execution) -> None:
    """Drops an execution with its edges, and moves its charge to the frozen ledger."""
    if execution.charged is not None:
        pipeline.frozen_ledger.book(execution.charged, 1)
    pipeline.work.forget_execution(execution)
    del pipeline.executions[execution.id]
    pipeline.changes.drop(execution)
    retired = pipeline.retired.pop(execution.id, None)
    if retired is not None:
        pipeline.changes.drop(retired)
    for version in execution.reads.values():
        remove_reader(version, execution, execution.run)
    for version in execution.writes.values():
        version.writers.remove(execution)
        if has_graphlet(execution):
            tell_readers(pipeline, version, execution)
    for artifact_id in sorted({*execution.reads, *execution.writes}):
        artifact = pipeline.artifacts.get(artifact_id)
        if artifact is not None and release(pipeline, artifact, execution):
            del pipeline.artifacts[artifact_id]
            pipeline.changes.drop(artifact)
    leave_run(pipeline, execution)


def tell_readers(pipeline: Pipeline, version: Version, trainer: Execution) -> None:
    """Records on the readers of an evicted trainer's output that they read it."""
    for reader in version.all_readers():
        before = reader.eviction or EvictionSummary()
        if reader.own_trainer and reader.run == trainer.run:
            reader.summarise_eviction(before._replace(own_trainer=True), pipeline.changes)
        elif reader.group == DEPLOY and not reader.own_trainer:
            reader.summarise_eviction(before._replace(read_trainer=True), pipeline.changes)


def leave_run(pipeline: Pipeline, execution: Execution) -> None:
    """Removes an execution from its run, and tells the run's own execution and earlier tries what they lose with it."""
    count_stated(pipeline, execution.stated_run, -1)
    of_run = pipeline.executions.get(execution.stated_run) if execution.stated_run is not None else None
    if of_run is not None and of_run.group == RUN:
        summary = (of_run.eviction or EvictionSummary())._replace(is_run=True)
        of_run.summarise_eviction(summary, pipeline.changes)
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    if run is None:
        return
    for trainer in run.tasks.trainers(run.tasks.of(execution)):
        if trainer.last_try is execution:
            trainer.last_try = None
            summary = (trainer.eviction or EvictionSummary())._replace(retried=True)
            trainer.summarise_eviction(summary, pipeline.changes)
    remove_from_run(pipeline, run, execution)


def remove_from_run(pipeline: Pipeline, run: Run, execution: Execution) -> None:
    """Removes an execution from its run, and the run from the pipeline when it has no other execution."""
    had_trainer = execution in run.trainers
    take_out(run, execution)
    if had_trainer:
        run.lose_trainer(pipeline.changes)
    if not run.executions:
        del pipeline.runs[run.id]
        pipeline.changes.drop(run)


def forget_pushes(pipeline: Pipeline) -> None:
    """Drops the pushes of closed graphlets that cannot supersede any graphlet that is kept."""
    first = min((graphlet.trainer.sort_key() for graphlet in pipeline.graphlets.values()), default=None)
    pipeline.pushes.forget_before(first)
