"""Applies an event to the graph: merges its facts, finds the artifact versions it names, and updates the graphlets.

`apply` is the only function by which an event changes a pipeline's graph.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace

from stream_app.core.events import ArtifactRef, Event
from stream_app.core.graphlets.membership import may_enter, spread_from_trainer, spread_read, spread_write
from stream_app.core.graphlets.merging import join, join_progress, join_properties, join_type
from stream_app.core.graphlets.rebuilding import rebuild, refresh_graphlet, trainers_read
from stream_app.core.graphlets.roles import count_stated, is_named, role_of
from stream_app.core.graphlets.tries import retry, settle_task, settle_tries, task_of
from stream_app.core.graphlets.versions import add_reader, add_writer, rechoose, remove_reader, unversion, versions_of
from stream_app.core.operators import DEPLOY, RUN, TRAIN, Operators
from stream_app.core.state.entities import DOWN, NOTHING, Artifact, Execution, Run, Version, has_graphlet
from stream_app.core.state.pipeline import Pipeline


def apply(pipeline: Pipeline, event: Event, operators: Operators) -> tuple[Execution, bool]:
    """Applies an event to the graph of a pipeline.

    Order and repetition of events do not matter to the resulting graph.

    Parameters
    ----------
    pipeline
        The pipeline, which is changed in place.
    event
        The event.
    operators
        Map execution types to groups.

    Returns
    -------
    execution : Execution
        The execution that changed.
    changed : bool
        Whether the event reported a fact that was not known.
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
        # A first artifact may show that an execution which others name as their run is a training.
        if is_named(pipeline, execution) and take_role(pipeline, execution, operators):
            rechoose(pipeline, execution, execution.start_ms, execution.end_ms)
    if changed_facts:
        pipeline.work.change_facts(execution)
    if execution.group == TRAIN:
        settle_tries(pipeline, execution)
    keep_alive(pipeline, execution, pipeline.clock.day_of(event.time_ms))
    pipeline.changes.touch(execution)
    return execution, changed_facts


def enter(pipeline: Pipeline, event: Event, operators: Operators) -> Execution:
    """Makes a new execution from its first event."""
    execution = Execution(event.execution_id)
    execution.type, execution.type_ms = sys.intern(event.execution_type), event.time_ms
    execution.stated_run, execution.stated_run_ms = event.run, event.time_ms
    execution.first_ms = execution.last_ms = event.time_ms
    join_progress(execution, event)
    pipeline.executions[execution.id] = execution
    state_run(pipeline, execution, None, operators)
    execution.group, execution.run = role_of(pipeline, execution, operators)
    enter_run(pipeline, execution)
    refresh_graphlet(pipeline, execution)
    if execution.graphlet is not None:
        spread_from_trainer(pipeline, execution.graphlet)
    return execution


def update(pipeline: Pipeline, execution: Execution, event: Event, operators: Operators) -> bool:
    """Merges a further event into a known execution; True if any fact changed."""
    stated_run, start_ms, end_ms = execution.stated_run, execution.start_ms, execution.end_ms
    had_graphlet = has_graphlet(execution)
    if not join(execution, event):
        return False
    if execution.stated_run != stated_run:
        state_run(pipeline, execution, stated_run, operators)
    changed_role = take_role(pipeline, execution, operators, had_graphlet=had_graphlet)
    if execution.start_ms != start_ms or execution.end_ms != end_ms or changed_role:
        rechoose(pipeline, execution, start_ms, end_ms)
    return True


def state_run(pipeline: Pipeline, execution: Execution, before: str | None, operators: Operators) -> None:
    """Counts the run that an execution names, instead of the one named before, which may make others runs."""
    count_stated(pipeline, before, -1)
    count_stated(pipeline, execution.stated_run, 1)
    for run in (before, execution.stated_run):
        other = pipeline.executions.get(run) if run is not None else None
        if other is not None and other is not execution and take_role(pipeline, other, operators):
            rechoose(pipeline, other, other.start_ms, other.end_ms)


def take_role(
    pipeline: Pipeline, execution: Execution, operators: Operators, *, had_graphlet: bool | None = None
) -> bool:
    """Gives an execution its group and run, and rebuilds around it if they changed.

    Parameters
    ----------
    pipeline
        The pipeline, which is changed in place.
    execution
        The execution.
    operators
        Map execution types to groups.
    had_graphlet
        Whether it had a graphlet before its facts changed; by default as now.

    Returns
    -------
    bool
        Whether its group or run changed.
    """
    before = execution.group, execution.run
    had_graphlet = has_graphlet(execution) if had_graphlet is None else had_graphlet
    execution.group, execution.run = after = role_of(pipeline, execution, operators)
    if after != before or has_graphlet(execution) != had_graphlet:
        pipeline.work.change_facts(execution)
        restructure(pipeline, execution, before[1])
    return after != before


def restructure(pipeline: Pipeline, execution: Execution, run_before: str | None) -> None:
    """Rebuilds around an execution whose run, group or having of a graphlet changed."""
    left = pipeline.runs[run_before] if run_before is not None else None
    task = left.tasks.of(execution) if left is not None else None

    def move() -> None:
        leave_run(pipeline, execution, run_before)
        enter_run(pipeline, execution)
        if execution.run is not None:
            pipeline.work.settle_run(execution.run)
        for version in execution.reads.values():
            remove_reader(version, execution, run_before)
            version.readers.setdefault(execution.run, []).append(execution)

    rebuild(pipeline, [execution], move)
    if execution.last_try is not None:  # of the run that it left
        retry(pipeline, {execution: None})
    if left is not None:
        settle_task(pipeline, left, task)
    settle_tries(pipeline, execution)


def enter_run(pipeline: Pipeline, execution: Execution) -> None:
    """Lists an execution in its run, which is made if it is new.

    Parameters
    ----------
    pipeline
        The pipeline of the execution.
    execution
        The execution; one without a run is not listed.
    """
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
        run.tasks.place(execution, task_of(execution))
        if len(run.trainers) == 1:
            restale(pipeline, run)


def leave_run(pipeline: Pipeline, execution: Execution, run_id: str | None) -> None:
    """Removes an execution from a run's lists, whichever of them it was in."""
    if run_id is None:
        return
    run = pipeline.runs[run_id]
    take_out(run, execution)
    restale(pipeline, run)
    pipeline.work.settle_run(run_id)


def take_out(run: Run, execution: Execution) -> None:
    """Removes an execution from all lists of a run.

    Parameters
    ----------
    run
        The run, which is changed in place.
    execution
        The execution.
    """
    run.executions.remove(execution)
    run.run_executions = without(run.run_executions, execution)
    run.trainers = without(run.trainers, execution)
    run.tasks.remove(execution)


def without(executions: tuple[Execution, ...], execution: Execution) -> tuple[Execution, ...]:
    """The executions but one, which may not be among them."""
    if execution not in executions:
        return executions
    position = executions.index(execution)
    return executions[:position] + executions[position + 1 :]


def restale(pipeline: Pipeline, run: Run) -> None:
    """Has a run's executions booked again: whether it has a trainer, or has ended, may have changed."""
    for execution in run.executions:
        pipeline.work.rebook_one(execution)


def keep_alive(pipeline: Pipeline, execution: Execution, day: int) -> None:
    """Keeps an execution, and the writers of what it reads, for another retention period."""
    execution.keep_until(day, pipeline.changes)
    for version in execution.reads.values():
        if day > version.touched_day:
            version.touched_day = day
            for writer in version.writers:
                writer.keep_until(day, pipeline.changes)


def add_edges(pipeline: Pipeline, execution: Execution, event: Event) -> bool:
    """Registers the edges of an event first, then spreads over the new ones; True if it reported a new fact."""
    reads, changed_facts = add_reads(pipeline, execution, event)
    writes, changed_more = add_writes(pipeline, execution, event)
    changed_facts |= changed_more
    if not (reads or writes) or execution.group == RUN:
        return changed_facts or bool(reads or writes)
    settle_trainers_read(pipeline, execution, reads.values(), writes)
    for artifact_id, version in reads.items():
        # An output of this event may have changed which version of an unversioned artifact is read.
        if execution.reads[artifact_id] is version:
            spread_read(pipeline, version, execution)
    for version in writes:
        spread_write(pipeline, execution, version)
    return True


def add_reads(pipeline: Pipeline, execution: Execution, event: Event) -> tuple[dict[str, Version], bool]:
    """The versions read over new edges, by artifact, and whether an artifact's facts changed."""
    reads: dict[str, Version] = {}
    changed_facts, time_ms = False, event.time_ms
    for reference in event.inputs:
        known_ms = execution.read_ms.get(reference.id)
        if known_ms is not None and known_ms < time_ms and not reference.properties and reference.versioned:
            continue  # a later event that repeats an edge reports nothing new
        changed_facts |= merge_artifact(pipeline, reference, time_ms)
        if known_ms is None:
            reads[reference.id] = add_reader(pipeline.artifacts[reference.id], execution)
            if execution.read_ms is NOTHING:
                execution.read_ms = {}
        if known_ms is None or time_ms < known_ms:
            execution.read_ms[reference.id] = time_ms
    return reads, changed_facts


def add_writes(pipeline: Pipeline, execution: Execution, event: Event) -> tuple[list[Version], bool]:
    """The versions written over new edges, and whether an artifact's facts changed."""
    writes: list[Version] = []
    changed_facts, time_ms = False, event.time_ms
    for reference in event.outputs:
        known_ms = execution.write_ms.get(reference.id)
        if known_ms is not None and known_ms < time_ms and not reference.properties and reference.versioned:
            continue
        changed_facts |= merge_artifact(pipeline, reference, time_ms)
        if known_ms is None:
            writes.append(add_writer(pipeline, pipeline.artifacts[reference.id], execution))
            if execution.write_ms is NOTHING:
                execution.write_ms = {}
        if known_ms is None or time_ms < known_ms:
            execution.write_ms[reference.id] = time_ms
    return writes, changed_facts


def settle_trainers_read(
    pipeline: Pipeline, execution: Execution, reads: Collection[Version], writes: list[Version]
) -> None:
    """Updates what is known of trainers read after new edges, and rebuilds around executions that entered before."""
    changed: list[Execution] = []
    if reads and read_trainers(execution, *trainers_read(execution)):
        changed.append(execution)
    if writes and has_graphlet(execution):
        for version in writes:
            for reader in version.all_readers():
                own_read = reader.own_trainer or (execution.run is not None and reader.run == execution.run)
                if read_trainers(reader, reader.group == DEPLOY, own_read):
                    changed.append(reader)
    entered = [each for each in changed if entered_from_other(each)]
    if entered:
        rebuild(pipeline, entered, lambda: None)


def read_trainers(execution: Execution, any_read: bool, own_read: bool) -> bool:
    """Sets whether an execution reads a trainer's output, and one of its own run's; True if that changed."""
    before = execution.reads_trainer, execution.own_trainer
    execution.reads_trainer, execution.own_trainer = after = any_read, own_read
    return after != before


def entered_from_other(execution: Execution) -> bool:
    """Whether an execution is in the down set of a trainer from which it may not be entered (any more)."""
    entered = (execution.members_of or {}).items()
    return any(bits & DOWN and not may_enter(graphlet, execution) for graphlet, bits in entered)


def merge_artifact(pipeline: Pipeline, reference: ArtifactRef, time_ms: int) -> bool:
    """Merges a reference into its artifact; True if any fact changed."""
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
    """Settles the graphlets of an artifact's writers again: a property of an output may say whether it was pushed."""
    for version in versions_of(artifact):
        for writer in version.writers:
            pipeline.work.change_facts(writer)
            for graphlet in writer.members_of or ():
                pipeline.work.settle_one(graphlet)
