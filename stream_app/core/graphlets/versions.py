"""Finds the version of an artifact that an execution reads or writes.

A versioned artifact has one version. Of an unversioned artifact each writer makes one, and a reader reads the version
of the writer with the latest end not after the reader's start. The version of an evicted writer is kept as long as it
is read, together with the writer's end, so that no reader chooses again because of an eviction.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from stream_app.core.graphlets.membership import connect_read, connect_write
from stream_app.core.graphlets.rebuilding import rebuild
from stream_app.core.operators import RUN
from stream_app.core.state.entities import Artifact, Execution, Unversioned, Version
from stream_app.core.state.pipeline import Pipeline


def versions_of(artifact: Artifact) -> list[Version]:
    """The versions of an artifact."""
    if artifact.unversioned is None:
        return [artifact.version]
    return list(artifact.unversioned.by_writer.values())


def add_reader(artifact: Artifact, reader: Execution) -> Version:
    """Registers a reader with the version that it reads.

    Parameters
    ----------
    artifact
        The artifact, which is changed in place.
    reader
        The execution that reads it.

    Returns
    -------
    Version
        The version read.
    """
    if artifact.unversioned is None:
        version = artifact.version
    else:
        insort(artifact.unversioned.starts, (reader.start_ms, reader.id))
        version = choose(artifact.unversioned, reader)
    connect_read(artifact.id, version, reader)
    return version


def add_writer(pipeline: Pipeline, artifact: Artifact, writer: Execution) -> Version:
    """Registers an output; readers of an unversioned artifact choose their versions again."""
    returned_ms = None
    if artifact.unversioned is not None and writer.id in artifact.unversioned.evicted_ends:
        # It was evicted and reports again: its own end counts from now on.
        returned_ms = artifact.drop_end(writer.id, pipeline.changes)
        assert returned_ms is not None
        drop(artifact.unversioned.ends, (returned_ms, writer.id))
    version = connect_writer(artifact, writer)
    if version.touched_day > writer.touched_day:
        writer.touched_day = version.touched_day
    if artifact.unversioned is not None:
        own_ms = writer.end_ms if writer.group != RUN else None
        ends = [end_ms for end_ms in (returned_ms, own_ms) if end_ms is not None]
        if ends:
            choose_anew(pipeline, artifact, min(ends))
    return version


def connect_writer(artifact: Artifact, writer: Execution) -> Version:
    """Registers a writer with the version that it wrote.

    Parameters
    ----------
    artifact
        The artifact, which is changed in place.
    writer
        The execution that wrote it.

    Returns
    -------
    Version
        The version written.
    """
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
    """The version that a reader reads: of the writer, other than itself, with the latest end not after its start."""
    position = bisect_left(unversioned.ends, (reader.start_ms + 1, "")) - 1
    if position >= 0 and unversioned.ends[position][1] == reader.id:
        position -= 1
    writer_id = unversioned.ends[position][1] if position >= 0 else None
    unversioned.chosen[reader.id] = writer_id
    return unversioned.by_writer.setdefault(writer_id, Version())


def choose_anew(pipeline: Pipeline, artifact: Artifact, from_ms: int) -> None:
    """Lets the readers that started at or after a time choose again, and rebuilds around those that change."""
    assert artifact.unversioned is not None
    starts = artifact.unversioned.starts
    for _, reader_id in starts[bisect_left(starts, (from_ms, "")) :]:
        rewire(pipeline, artifact, pipeline.executions[reader_id])


def rewire(pipeline: Pipeline, artifact: Artifact, reader: Execution) -> None:
    """Lets one reader choose its version again."""
    unversioned = artifact.unversioned
    assert unversioned is not None
    writer_id = unversioned.chosen[reader.id]
    before = unversioned.by_writer[writer_id]
    after = choose(unversioned, reader)
    if after is before:
        return

    def move() -> None:
        remove_reader(before, reader, reader.run)
        connect_read(artifact.id, after, reader)

    rebuild(pipeline, [reader], move)
    forget_bare(pipeline, artifact, writer_id)


def rechoose(pipeline: Pipeline, execution: Execution, start_ms: int, end_ms: int | None) -> None:
    """Lets unversioned artifacts choose versions again after the start, end or group of an execution changed."""
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
    """Makes an artifact unversioned after an event said so, and registers its edges again."""
    version = artifact.version
    readers = list(version.all_readers())
    writers = list(version.writers)

    def move() -> None:
        artifact.unversioned = Unversioned()
        artifact.version = Version()
        for writer in writers:
            connect_writer(artifact, writer)
        for reader in readers:
            add_reader(artifact, reader)

    rebuild(pipeline, [*readers, *writers], move)


def remove_reader(version: Version, reader: Execution, run: str | None) -> None:
    """Removes a reader from a version's index.

    Parameters
    ----------
    version
        The version, which is changed in place.
    reader
        The execution to remove.
    run
        The run under which it is indexed.
    """
    readers = version.readers[run]
    readers.remove(reader)
    if not readers:
        del version.readers[run]


def release(pipeline: Pipeline, artifact: Artifact, execution: Execution) -> bool:
    """Removes an evicted execution, whose edges have been removed, from an artifact's lists.

    Parameters
    ----------
    pipeline
        The pipeline of the artifact.
    artifact
        The artifact, which is changed in place.
    execution
        The evicted execution.

    Returns
    -------
    bool
        Whether nothing refers to the artifact any more.
    """
    unversioned = artifact.unversioned
    if unversioned is None:
        return is_bare(artifact.version)
    if execution.id in unversioned.chosen:
        drop(unversioned.starts, (execution.start_ms, execution.id))
        forget_bare(pipeline, artifact, unversioned.chosen.pop(execution.id))
    written = unversioned.by_writer.get(execution.id)
    if written is not None and execution.end_ms is not None:
        if is_bare(written):
            drop(unversioned.ends, (execution.end_ms, execution.id))
        elif execution.group != RUN:
            artifact.keep_end(execution.id, execution.end_ms, pipeline.changes)
    forget_bare(pipeline, artifact, execution.id)
    return not unversioned.by_writer


def forget_bare(pipeline: Pipeline, artifact: Artifact, writer_id: str | None) -> None:
    """Drops a writer's version without writers and readers, and the end kept of an evicted writer."""
    assert artifact.unversioned is not None
    unversioned = artifact.unversioned
    version = unversioned.by_writer.get(writer_id)
    if version is None or not is_bare(version):
        return
    del unversioned.by_writer[writer_id]
    end_ms = artifact.drop_end(writer_id, pipeline.changes) if writer_id is not None else None
    if writer_id is not None and end_ms is not None:
        drop(unversioned.ends, (end_ms, writer_id))


def is_bare(version: Version) -> bool:
    """Whether a version has neither readers nor writers."""
    return not version.readers and not version.writers
