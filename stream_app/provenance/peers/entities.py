"""Executions and versions of artifacts as peers send them to each other: plain values, in lists and objects of JSON.

A version is `[id, writer, since, until]` (see `elsewhere.Span`), a reading is a version with the time of the reading or
null before it, and an execution is `{"pipeline", "id", "reads": [reading, ...], "writes": [version, ...]}`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from stream_app.core.ids import graphlet_id
from stream_app.core.state.entities import Execution
from stream_app.provenance.elsewhere import ALWAYS, Span, reading_time, span_of
from stream_app.provenance.graph import ARTIFACT, EXECUTION, Graph, Key, Vertex, artifact_name, version_name
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
    text,
    wrong,
)

_TARGET = Shape("[kind, pipeline, id, writer]", TEXT, TEXT, TEXT, TEXT_OR_NULL)
_VERSION = Shape("[id, writer, since, until]", TEXT, TEXT, NUMBER, NUMBER_OR_NULL)
_READING = Shape("[time, id, writer, since, until]", NUMBER_OR_NULL, TEXT, TEXT, NUMBER, NUMBER_OR_NULL)


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
        The versions that it writes.
    """

    pipeline: str
    id: str
    reads: list[tuple[int | None, RemoteVersion]]
    writes: list[RemoteVersion]

    @property
    def key(self) -> Key:
        """Its place in the order of vertices."""
        return (EXECUTION, self.pipeline, self.id, "")

    @property
    def name(self) -> str:
        """Its name, unique over all pipelines."""
        return graphlet_id(self.pipeline, self.id)


def write_version(vertex: Vertex) -> list[Any]:
    """A version as it is sent.

    Parameters
    ----------
    vertex
        The version.

    Returns
    -------
    list
        `[id, writer, since, until]`.
    """
    since, until = span_of(vertex.pipeline.artifacts[vertex.id], vertex.writer)
    return [vertex.id, vertex.writer or "", since, until]


def write_execution(graph: Graph, vertex: Vertex) -> dict[str, Any]:
    """An execution as it is sent.

    Parameters
    ----------
    graph
        Follows its edges, and counts them.
    vertex
        The execution.

    Returns
    -------
    dict
        `pipeline`, `id`, `reads` and `writes`; edges beyond the graph's bound are not among them.
    """
    pipeline, id_, execution, _ = vertex
    assert isinstance(execution, Execution)
    reads = [
        [reading_time(pipeline.artifacts[each.id], execution), *write_version(each)] for each in graph.before(vertex)
    ]
    return {"pipeline": pipeline.name, "id": id_, "reads": reads, "writes": [*map(write_version, graph.after(vertex))]}


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


def read_version(pipeline: str, value: object, field: str) -> RemoteVersion:
    """A version that was received.

    Parameters
    ----------
    pipeline
        The name of its pipeline.
    value
        What `write_version` made.
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
    found = parts(value, field, _VERSION)
    if found[2] < ALWAYS:
        raise wrong(field, _VERSION.names)
    return RemoteVersion(pipeline, found[0], found[1], Span(found[2], found[3]))


def read_execution(value: object, field: str) -> RemoteExecution:
    """An execution that was received; errors as of `read_version`.

    Parameters
    ----------
    value
        What `write_execution` made.
    field
        Where it is in the message.

    Returns
    -------
    RemoteExecution
        The execution.
    """
    found = fields(value, field)
    pipeline = text(found, "pipeline", field)
    reads: list[tuple[int | None, RemoteVersion]] = []
    for each in listed(found, "reads", field):
        time, *version = parts(each, f"{field}.reads[]", _READING)
        reads.append((time, read_version(pipeline, version, f"{field}.reads[]")))
    writes = [read_version(pipeline, each, f"{field}.writes[]") for each in listed(found, "writes", field)]
    return RemoteExecution(pipeline, text(found, "id", field), reads, writes)
