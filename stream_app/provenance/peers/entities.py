"""Executions and versions of artifacts as peers send them to each other, and how they are read.

An answer has a list of versions, each `[pipeline, id, writer, since, until]` (see `elsewhere.Span`), and a list of
executions, each `{"pipeline", "id", "reads", "times", "writes"}`. What it reads and writes are places in the list of
versions; the times are those of the readings (see `elsewhere.reading_time`).
"""

from __future__ import annotations

from typing import NamedTuple

from stream_app.core.ids import graphlet_id
from stream_app.provenance.elsewhere import ALWAYS, Span
from stream_app.provenance.graph import ARTIFACT, EXECUTION, Key, artifact_name, version_name
from stream_app.provenance.names import KINDS, Target
from stream_app.provenance.peers.fields import (
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    Shape,
    fields,
    listed,
    parts,
    places,
    text,
    wrong,
)

_TARGET = Shape("[kind, pipeline, id, writer]", TEXT, TEXT, TEXT, TEXT_OR_NULL)
_VERSION = Shape("[pipeline, id, writer, since, until]", TEXT, TEXT, TEXT, NUMBER, NUMBER_OR_NULL)


class RemoteVersion(NamedTuple):
    """A version of an artifact.

    Parameters
    ----------
    pipeline
        The name of its pipeline.
    id
        The id of the artifact.
    writer
        The execution whose version it is; "": nobody's, or versions are known by their id.
    span
        The readings in other pipelines that read it.
    """

    pipeline: str
    id: str
    writer: str
    span: Span

    @property
    def key(self) -> Key:
        """Its place in the order of vertices."""
        return (ARTIFACT, self.pipeline, self.id, self.writer)

    @property
    def name(self) -> str:
        """Its name, unique over all pipelines."""
        if self.span.by_id:
            return artifact_name(self.pipeline, self.id)
        return version_name(self.pipeline, self.id, self.writer)


class RemoteExecution(NamedTuple):
    """An execution with its edges.

    Parameters
    ----------
    pipeline
        The name of its pipeline.
    id
        Its id.
    reads
        The versions of its pipeline that it reads, each with the time of the reading (see `elsewhere.reading_time`).
    writes
        The versions of its pipeline that it writes.
    """

    pipeline: str
    id: str
    reads: list[tuple[int | None, Key]]
    writes: list[Key]

    @property
    def key(self) -> Key:
        """Its place in the order of vertices."""
        return (EXECUTION, self.pipeline, self.id, "")

    @property
    def name(self) -> str:
        """Its name, unique over all pipelines."""
        return graphlet_id(self.pipeline, self.id)


def read_target(value: object, field: str) -> Target:
    """What a name names, as it was received; errors as of `read_version`.

    Parameters
    ----------
    value
        `[kind, pipeline, id, writer]`.
    field
        Where it is in the message.

    Returns
    -------
    Target
        It may name nothing.
    """
    target = Target(*parts(value, field, _TARGET))
    if target.kind not in KINDS:
        raise wrong(field, _TARGET.names)
    return target


def read_version(value: object, field: str) -> RemoteVersion:
    """A version that was received.

    Parameters
    ----------
    value
        `[pipeline, id, writer, since, until]`.
    field
        Where it is in the message.

    Returns
    -------
    RemoteVersion
        The version.

    Raises
    ------
    MessageError
        It is no version.
    """
    pipeline, id_, writer, since, until = parts(value, field, _VERSION)
    if since < ALWAYS:
        raise wrong(field, _VERSION.names)
    return RemoteVersion(pipeline, id_, writer, Span(since, until))


def read_execution(value: object, versions: list[Key], field: str) -> RemoteExecution:
    """An execution that was received; errors as of `read_version`.

    Parameters
    ----------
    value
        An object as above.
    versions
        Those of the answer.
    field
        Where it is in the message.

    Returns
    -------
    RemoteExecution
        The execution.
    """
    found = fields(value, field)
    pipeline = text(found, "pipeline", field)
    times = listed(found, "times", field)
    reads, writes = (
        [versions[place] for place in places(found, key, field, len(versions))] for key in ("reads", "writes")
    )
    if len(times) != len(reads) or not all(each is None or type(each) is int for each in times):
        raise wrong(f"{field}.times", "a number or null for each element of reads")
    if any(key[1] != pipeline for key in (*reads, *writes)):
        raise wrong(f"{field}.reads", "versions of the pipeline of the execution")
    return RemoteExecution(pipeline, text(found, "id", field), [*zip(times, reads, strict=True)], writes)
