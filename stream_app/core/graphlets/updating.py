"""From an event to the graph: joins its facts, finds the artifact versions it names, and lets graphlets follow.

`apply` is the one way in which an event changes a pipeline's graph.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace

from stream_app.core.events import ArtifactRef, Event
from stream_app.core.graphlets.membership import (
    reads_own_trainer,
    rebuild,
    refresh_graphlet,
    spread_from_trainer,
    spread_read,
    spread_write,
)
from stream_app.core.graphlets.merging import join, join_progress, join_properties, join_type
from stream_app.core.graphlets.versions import add_reader, add_writer, rechoose, remove_reader, unversion, versions_of
from stream_app.core.operators import RUN, TRAIN, Operators
from stream_app.core.state.entities import DOWN, NOTHING, Artifact, Execution, Run, Version, has_graphlet
from stream_app.core.state.pipeline import Pipeline


def apply(pipeline: Pipeline, event: Event, operators: Operators) -> tuple[Execution, bool]:
    """Applies an event to the graph; returns its execution and whether it told anything that was not known.

    Order and repetition of events do not matter to what the pipeline's graph ends as.
    """
    if event.run is None and operators.group(event.execution_type) == RUN:
        event = replace(event, run=event.execution_id)
    execution = pipeline.executions.get(event.execution_id)
    if execution is None:
        execution = enter(pipeline, event, operators)
        changed_facts = True
    else:
        changed_facts = update(pipeline, execution, event, operators)
    if event.inputs or event.outputs:
        changed_facts |= add_edges(pipeline, execution, event)
    keep_alive(pipeline, execution, pipeline.clock.day_of(event.time_ms))
    pipeline.changes.touch(execution)
    return execution, changed_facts


def enter(pipeline: Pipeline, event: Event, operators: Operators) -> Execution:
    """A new execution, as its first event tells it."""
    execution = Execution(event.execution_id)
    execution.type, execution.type_ms = sys.intern(event.execution_type), event.time_ms
    execution.run, execution.run_ms = event.run, event.time_ms
    execution.first_ms = execution.last_ms = event.time_ms
    execution.group = operators.group(event.execution_type)
    join_progress(execution, event)
    pipeline.executions[execution.id] = execution
    enter_run(pipeline, execution)
    refresh_graphlet(pipeline, execution)
    if execution.graphlet is not None:
        spread_from_trainer(pipeline, execution.graphlet)
    pipeline.work.rebook_one(execution)
    return execution


def update(pipeline: Pipeline, execution: Execution, event: Event, operators: Operators) -> bool:
    """Joins a further event into an execution that is known; True if any fact changed."""
    run, group, start_ms, end_ms = execution.run, execution.group, execution.start_ms, execution.end_ms
    had_graphlet = has_graphlet(execution)
    if not join(execution, event):
        return False
    pipeline.work.rebook_one(execution)
    execution.group = operators.group(execution.type)
    if execution.run != run or execution.group != group or has_graphlet(execution) != had_graphlet:
        restructure(pipeline, execution, run)
    if execution.start_ms != start_ms or execution.end_ms != end_ms or execution.group != group:
        rechoose(pipeline, execution, start_ms, end_ms)
    return True


def restructure(pipeline: Pipeline, execution: Execution, run_before: str | None) -> None:
    """The run, the group or the having of a graphlet changed: a rule may have stopped holding."""

    def move() -> None:
        leave_run(pipeline, execution, run_before)
        enter_run(pipeline, execution)
        if execution.run is not None:
            pipeline.work.settle_run(execution.run)
        for version in execution.reads.values():
            remove_reader(version, execution, run_before)
            version.readers.setdefault(execution.run, []).append(execution)

    rebuild(pipeline, [execution], move)


def enter_run(pipeline: Pipeline, execution: Execution) -> None:
    """Lists an execution in its run."""
    if execution.run is None:
        return
    run = pipeline.runs.get(execution.run)
    if run is None:
        run = pipeline.runs[execution.run] = Run(execution.run)
    execution.run = run.id
    run.executions.append(execution)
    if execution.group == RUN:
        run.run_executions += (execution,)
    elif execution.group == TRAIN:
        run.trainers += (execution,)
        if len(run.trainers) == 1:
            restale(pipeline, run)


def leave_run(pipeline: Pipeline, execution: Execution, run_id: str | None) -> None:
    """Takes an execution out of a run's lists, whichever of them it was in."""
    if run_id is None:
        return
    run = pipeline.runs[run_id]
    take_out(run, execution)
    restale(pipeline, run)
    pipeline.work.settle_run(run_id)


def take_out(run: Run, execution: Execution) -> None:
    """Takes an execution off all lists of a run."""
    run.executions.remove(execution)
    run.run_executions = without(run.run_executions, execution)
    run.trainers = without(run.trainers, execution)


def without(executions: tuple[Execution, ...], execution: Execution) -> tuple[Execution, ...]:
    """The executions but one, which may not be among them."""
    if execution not in executions:
        return executions
    place = executions.index(execution)
    return executions[:place] + executions[place + 1 :]


def restale(pipeline: Pipeline, run: Run) -> None:
    """The run's executions are to be booked anew: whether it has a trainer, or has ended, may have changed."""
    for execution in run.executions:
        pipeline.work.rebook_one(execution)


def keep_alive(pipeline: Pipeline, execution: Execution, day: int) -> None:
    """Keeps an execution, and those whose outputs it reads, for another retention."""
    execution.keep_until(day, pipeline.changes)
    for version in execution.reads.values():
        if day > version.touched_day:
            version.touched_day = day
            for writer in version.writers:
                writer.keep_until(day, pipeline.changes)


def add_edges(pipeline: Pipeline, execution: Execution, event: Event) -> bool:
    """Registers the edges that an event tells first, then spreads over the new ones; True if it told anything new."""
    changed_facts = False
    reads: dict[str, Version] = {}
    writes: list[Version] = []
    time_ms = event.time_ms
    for reference in event.inputs:
        changed_facts |= merge_artifact(pipeline, reference, time_ms)
        if reference.id not in execution.reads:
            reads[reference.id] = add_reader(pipeline.artifacts[reference.id], execution)
            if execution.read_ms is NOTHING:
                execution.read_ms = {}
            execution.read_ms[reference.id] = time_ms
        elif time_ms < execution.read_ms[reference.id]:
            execution.read_ms[reference.id] = time_ms
    for reference in event.outputs:
        changed_facts |= merge_artifact(pipeline, reference, time_ms)
        if reference.id not in execution.writes:
            writes.append(add_writer(pipeline, pipeline.artifacts[reference.id], execution))
            if execution.write_ms is NOTHING:
                execution.write_ms = {}
            execution.write_ms[reference.id] = time_ms
        elif time_ms < execution.write_ms[reference.id]:
            execution.write_ms[reference.id] = time_ms
    if not (reads or writes) or execution.group == RUN:
        return changed_facts or bool(reads or writes)
    settle_own_trainers(pipeline, execution, reads.values(), writes)
    for artifact_id, version in reads.items():
        # A write of this event may have given another version of an unversioned artifact to read.
        if execution.reads[artifact_id] is version:
            spread_read(pipeline, version, execution)
    for version in writes:
        spread_write(pipeline, execution, version)
    return True


def settle_own_trainers(
    pipeline: Pipeline, execution: Execution, reads: Collection[Version], writes: list[Version]
) -> None:
    """Brings `own_trainer` up to date after new edges; who was entered before it held is rebuilt."""
    entered: list[Execution] = []
    if reads and not execution.own_trainer and reads_own_trainer(execution):
        execution.own_trainer = True
        if entered_from_other_run(execution):
            entered.append(execution)
    if writes and execution.run is not None and has_graphlet(execution):
        for version in writes:
            for reader in version.readers.get(execution.run, ()):
                if not reader.own_trainer:
                    reader.own_trainer = True
                    if entered_from_other_run(reader):
                        entered.append(reader)
    if entered:
        rebuild(pipeline, entered, lambda: None)


def entered_from_other_run(execution: Execution) -> bool:
    """Whether it is in the down set of a trainer of another run."""
    return any(
        bits & DOWN and graphlet.trainer.run != execution.run for graphlet, bits in (execution.members_of or {}).items()
    )


def merge_artifact(pipeline: Pipeline, reference: ArtifactRef, time_ms: int) -> bool:
    """Joins what a reference tells of its artifact; True if anything changed."""
    changed_facts = False
    artifact = pipeline.artifacts.get(reference.id)
    if artifact is None:
        artifact = pipeline.artifacts[reference.id] = Artifact(reference.id)
    if join_type(artifact, reference.type, time_ms):
        pipeline.changes.touch(artifact)
    if reference.properties:
        artifact.properties, grew = join_properties(artifact.properties, reference.properties.items(), time_ms)
        if grew:
            changed_facts = True
            pipeline.changes.touch(artifact)
            resettle_writers(pipeline, artifact)
    if not reference.versioned and artifact.unversioned is None:
        changed_facts = True
        unversion(pipeline, artifact)
        pipeline.changes.touch(artifact)
    return changed_facts


def resettle_writers(pipeline: Pipeline, artifact: Artifact) -> None:
    """A property of an output may say whether its writer really pushed."""
    for version in versions_of(artifact):
        for writer in version.writers:
            for graphlet in writer.members_of or ():
                pipeline.work.settle_one(graphlet)
