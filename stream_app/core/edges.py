"""From an event to the graph: joins its facts, finds the artifact versions it names, and lets graphlets follow.

`apply` is the one way in which an event changes a pipeline's graph.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Collection
from dataclasses import replace

from stream_app.core.events import ArtifactRef, Event
from stream_app.core.graphlets import (
    connect_read,
    connect_write,
    reads_own_trainer,
    rebuild,
    refresh_graphlet,
    spread_from_trainer,
    spread_read,
    spread_write,
)
from stream_app.core.joins import join, join_progress, join_properties
from stream_app.core.operators import RUN, TRAIN, Operators
from stream_app.core.state import (
    DAY_MS,
    DOWN,
    Artifact,
    Execution,
    Pipeline,
    Run,
    Unversioned,
    Version,
    has_graphlet,
)


def apply(pipeline: Pipeline, event: Event, operators: Operators) -> Execution:
    """Applies an event to the graph and returns its execution.

    Order and repetition of events do not matter to what the pipeline's graph ends as.
    """
    if event.run is None and operators.group(event.execution_type) == RUN:
        event = replace(event, run=event.execution_id)
    execution = pipeline.executions.get(event.execution_id)
    if execution is None:
        execution = enter(pipeline, event, operators)
    else:
        update(pipeline, execution, event, operators)
    if event.inputs or event.outputs:
        add_edges(pipeline, execution, event)
    day = event.time_ms // DAY_MS
    if day != pipeline.day:
        pipeline.day = day
    touch(pipeline, execution, pipeline.day)
    mark(pipeline, execution)
    return execution


def enter(pipeline: Pipeline, event: Event, operators: Operators) -> Execution:
    """A new execution, as its first event tells it."""
    execution = Execution(event.execution_id)
    execution.type, execution.type_ms = sys.intern(event.execution_type), event.time_ms
    execution.run, execution.run_ms = event.run, event.time_ms
    execution.first_ms = event.time_ms
    execution.group = operators.group(event.execution_type)
    join_progress(execution, event)
    pipeline.executions[execution.id] = execution
    enter_run(pipeline, execution)
    refresh_graphlet(pipeline, execution)
    if execution.graphlet is not None:
        spread_from_trainer(pipeline, execution.graphlet)
    pipeline.stale[execution] = None
    return execution


def update(pipeline: Pipeline, execution: Execution, event: Event, operators: Operators) -> None:
    """Joins a further event into an execution that is known."""
    run, group, start_ms, end_ms = execution.run, execution.group, execution.start_ms, execution.end_ms
    had_graphlet = has_graphlet(execution)
    if not join(execution, event):
        return
    pipeline.stale[execution] = None
    execution.group = operators.group(execution.type)
    if execution.run != run or execution.group != group or has_graphlet(execution) != had_graphlet:
        restructure(pipeline, execution, run)
    if execution.start_ms != start_ms or execution.end_ms != end_ms or execution.group != group:
        rechoose(pipeline, execution, start_ms, end_ms)


def restructure(pipeline: Pipeline, execution: Execution, run_before: str | None) -> None:
    """The run, the group or the having of a graphlet changed: a rule may have stopped holding."""

    def move() -> None:
        leave_run(pipeline, execution, run_before)
        enter_run(pipeline, execution)
        if execution.run is not None:
            pipeline.unsettled_runs[execution.run] = None
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
        restale(pipeline, run)


def leave_run(pipeline: Pipeline, execution: Execution, run_id: str | None) -> None:
    """Takes an execution out of a run's lists, whichever of them it was in."""
    if run_id is None:
        return
    run = pipeline.runs[run_id]
    take_out(run, execution)
    restale(pipeline, run)
    pipeline.unsettled_runs[run_id] = None


def take_out(run: Run, execution: Execution) -> None:
    """Takes an execution off all lists of a run."""
    run.executions.remove(execution)
    run.run_executions = tuple(other for other in run.run_executions if other is not execution)
    run.trainers = tuple(other for other in run.trainers if other is not execution)


def restale(pipeline: Pipeline, run: Run) -> None:
    """The run's executions are to be booked anew: whether it has a trainer, or has ended, may have changed."""
    for execution in run.executions:
        pipeline.stale[execution] = None


def touch(pipeline: Pipeline, execution: Execution, day: int) -> None:
    """An event keeps its execution, and those whose outputs it reads, for another retention."""
    if day > execution.touched_day:
        execution.touched_day = day
    for version in execution.reads.values():
        if day > version.touched_day:
            version.touched_day = day
            for writer in version.writers:
                if day > writer.touched_day:
                    writer.touched_day = day
                    mark(pipeline, writer)


def mark(pipeline: Pipeline, entity: Execution | Artifact) -> None:
    """Notes that an entity's row is to be written."""
    if pipeline.changed is not None:
        pipeline.changed[entity] = None


def add_edges(pipeline: Pipeline, execution: Execution, event: Event) -> None:
    """Registers the edges that an event tells first, then spreads over the new ones."""
    time_ms = event.time_ms
    reads: dict[str, Version] = {}
    writes: list[Version] = []
    for reference in event.inputs:
        if reference.id in execution.reads and not reference.properties and reference.versioned:
            continue
        version = add_read(pipeline, execution, reference, time_ms)
        if version is not None:
            reads[reference.id] = version
    for reference in event.outputs:
        if reference.id in execution.writes and not reference.properties and reference.versioned:
            continue
        version = add_write(pipeline, execution, reference, time_ms)
        if version is not None:
            writes.append(version)
    if not (reads or writes) or execution.group == RUN:
        return
    settle_own_trainers(pipeline, execution, reads.values(), writes)
    for artifact_id, version in reads.items():
        # A write of this event may have given another version of an unversioned artifact to read.
        if execution.reads[artifact_id] is version:
            spread_read(pipeline, version, execution)
    for version in writes:
        spread_write(pipeline, execution, version)


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


def artifact_for(pipeline: Pipeline, reference: ArtifactRef, time_ms: int) -> Artifact:
    """The artifact that a reference names, its properties joined."""
    artifact = pipeline.artifacts.get(reference.id)
    if artifact is None:
        artifact = pipeline.artifacts[reference.id] = Artifact(reference.id)
    if reference.properties:
        artifact.properties, grew = join_properties(artifact.properties, reference.properties.items(), time_ms)
        if grew:
            mark(pipeline, artifact)
            resettle_writers(pipeline, artifact)
    if not reference.versioned and artifact.unversioned is None:
        unversion(pipeline, artifact)
        mark(pipeline, artifact)
    return artifact


def resettle_writers(pipeline: Pipeline, artifact: Artifact) -> None:
    """A property of an output may say whether its writer really pushed."""
    for version in versions_of(artifact):
        for writer in version.writers:
            for graphlet in writer.members_of or ():
                pipeline.unsettled[graphlet] = None


def versions_of(artifact: Artifact) -> list[Version]:
    if artifact.unversioned is None:
        return [artifact.version]
    return list(artifact.unversioned.by_writer.values())


def add_read(pipeline: Pipeline, reader: Execution, reference: ArtifactRef, time_ms: int) -> Version | None:
    """Registers an input; returns its version when the edge is new."""
    artifact = artifact_for(pipeline, reference, time_ms)
    if artifact.id in reader.reads:
        return None
    return read_version(artifact, reader)


def read_version(artifact: Artifact, reader: Execution) -> Version:
    """Registers a reader with the version it reads."""
    if artifact.unversioned is None:
        version = artifact.version
    else:
        insort(artifact.unversioned.starts, (reader.start_ms, reader.id))
        version = choose(artifact.unversioned, reader)
    connect_read(artifact.id, version, reader)
    return version


def add_write(pipeline: Pipeline, writer: Execution, reference: ArtifactRef, time_ms: int) -> Version | None:
    """Registers an output; returns its version when the edge is new."""
    artifact = artifact_for(pipeline, reference, time_ms)
    if artifact.id in writer.writes:
        return None
    version = write_version(artifact, writer)
    if version.touched_day > writer.touched_day:
        writer.touched_day = version.touched_day
    if artifact.unversioned is not None and writer.end_ms is not None and writer.group != RUN:
        choose_anew(pipeline, artifact, writer.end_ms)
    return version


def write_version(artifact: Artifact, writer: Execution) -> Version:
    """Registers a writer with the version it wrote."""
    unversioned = artifact.unversioned
    if unversioned is None:
        version = artifact.version
    else:
        version = unversioned.by_writer.setdefault(writer.id, Version())
        if writer.end_ms is not None and writer.group != RUN:
            insort(unversioned.ends, (writer.end_ms, writer.id))
    connect_write(artifact.id, version, writer)
    return version


def choose(unversioned: Unversioned, reader: Execution) -> Version:
    """The version that a reader reads: of the writer with the latest end not after its start, itself left out."""
    position = bisect_left(unversioned.ends, (reader.start_ms + 1, "")) - 1
    if position >= 0 and unversioned.ends[position][1] == reader.id:
        position -= 1
    writer_id = unversioned.ends[position][1] if position >= 0 else None
    unversioned.chosen[reader.id] = writer_id
    return unversioned.by_writer.setdefault(writer_id, Version())


def choose_anew(pipeline: Pipeline, artifact: Artifact, from_ms: int) -> None:
    """Lets the readers that started at or after a time choose again, and rebuilds round those that change."""
    assert artifact.unversioned is not None
    starts = artifact.unversioned.starts
    for _, reader_id in starts[bisect_left(starts, (from_ms, "")) :]:
        rewire(pipeline, artifact, pipeline.executions[reader_id])


def rewire(pipeline: Pipeline, artifact: Artifact, reader: Execution) -> None:
    """Lets one reader choose its version again."""
    unversioned = artifact.unversioned
    assert unversioned is not None
    before = unversioned.by_writer[unversioned.chosen[reader.id]]
    after = choose(unversioned, reader)
    if after is before:
        return

    def move() -> None:
        remove_reader(before, reader, reader.run)
        connect_read(artifact.id, after, reader)

    rebuild(pipeline, [reader], move)


def rechoose(pipeline: Pipeline, execution: Execution, start_ms: int, end_ms: int | None) -> None:
    """The start, the end or the group of an execution changed: unversioned artifacts look again who reads what."""
    for artifact_id in sorted(execution.reads):
        artifact = pipeline.artifacts[artifact_id]
        unversioned = artifact.unversioned
        if unversioned is not None:
            drop(unversioned.starts, (start_ms, execution.id))
            insort(unversioned.starts, (execution.start_ms, execution.id))
            rewire(pipeline, artifact, execution)
    for artifact_id in sorted(execution.writes):
        artifact = pipeline.artifacts[artifact_id]
        unversioned = artifact.unversioned
        if unversioned is None:
            continue
        times = []
        if end_ms is not None and drop(unversioned.ends, (end_ms, execution.id)):
            times.append(end_ms)
        if execution.end_ms is not None and execution.group != RUN:
            insort(unversioned.ends, (execution.end_ms, execution.id))
            times.append(execution.end_ms)
        if times:
            choose_anew(pipeline, artifact, min(times))


def drop(entries: list[tuple[int, str]], entry: tuple[int, str]) -> bool:
    """Removes an entry from a sorted list; False when it is not there."""
    position = bisect_left(entries, entry)
    if position < len(entries) and entries[position] == entry:
        del entries[position]
        return True
    return False


def unversion(pipeline: Pipeline, artifact: Artifact) -> None:
    """An event says that an artifact's versions cannot be told apart: its edges are laid anew."""
    version = artifact.version
    readers = list(version.all_readers())
    writers = list(version.writers)

    def move() -> None:
        artifact.unversioned = Unversioned()
        artifact.version = Version()
        for writer in writers:
            write_version(artifact, writer)
        for reader in readers:
            read_version(artifact, reader)

    rebuild(pipeline, [*readers, *writers], move)


def remove_reader(version: Version, reader: Execution, run: str | None) -> None:
    """Takes a reader out of a version's index."""
    readers = version.readers[run]
    readers.remove(reader)
    if not readers:
        del version.readers[run]
