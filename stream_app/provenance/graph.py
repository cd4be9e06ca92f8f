"""The graph of executions and artifact versions as the state of pipelines holds it, with a bound on what is followed.

The edges are those of docs/decisions/0001-graphlets.md: executions of group run have none. Across pipelines an
execution also reads what other pipelines wrote under an id that it names, where the version is known: an artifact
without versions is read as its last writer left it before the reader began.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from stream_app.core.graphlets.versions import versions_of
from stream_app.core.ids import graphlet_id
from stream_app.core.operators import RUN
from stream_app.core.state.entities import Artifact, Execution, Version
from stream_app.core.state.pipeline import Pipeline
from stream_app.provenance.elsewhere import Span, reading_time, span_of, version_at

EXECUTION, ARTIFACT = "execution", "artifact"

#: Ids of artifacts that are compared with those of a pipeline in the time that an edge takes.
_IDS_AN_EDGE = 10

Entity = Execution | Version
#: Orders vertices: kind, pipeline, id, and the writer of a version.
Key = tuple[str, str, str, str]


class Vertex(NamedTuple):
    """An execution, or a version of an artifact.

    Parameters
    ----------
    pipeline
        Its pipeline.
    id
        The id of the execution or of the artifact.
    entity
        The execution or the version, by which vertices are told apart.
    writer
        The execution whose version of an unversioned artifact it is; None: nobody's, or the artifact has versions.
    """

    pipeline: Pipeline
    id: str
    entity: Entity
    writer: str | None = None

    @property
    def kind(self) -> str:
        """`execution` or `artifact`."""
        return EXECUTION if isinstance(self.entity, Execution) else ARTIFACT

    @property
    def key(self) -> Key:
        """Its place in the order of vertices, which does not depend on the order of events."""
        return (self.kind, self.pipeline.name, self.id, self.writer or "")

    @property
    def name(self) -> str:
        """Its name, unique over all pipelines, by which it can be asked for."""
        if isinstance(self.entity, Execution):
            return graphlet_id(self.pipeline.name, self.id)
        if self.pipeline.artifacts[self.id].unversioned is None:
            return artifact_name(self.pipeline.name, self.id)
        return version_name(self.pipeline.name, self.id, self.writer or "")


def artifact_name(pipeline: str, artifact_id: str) -> str:
    """The name of an artifact, unique over all pipelines.

    Parameters
    ----------
    pipeline
        The name of the pipeline.
    artifact_id
        The id of the artifact.

    Examples
    --------
    >>> artifact_name("team/ads", "s3://bucket/span-7")
    'team~1ads/artifact:s3~2//bucket/span-7'
    """
    return f"{graphlet_id(pipeline, '')}{ARTIFACT}:{_part(artifact_id)}"


def version_name(pipeline: str, artifact_id: str, writer: str) -> str:
    """The name of a version of an unversioned artifact, unique over all pipelines.

    Parameters
    ----------
    pipeline
        The name of the pipeline.
    artifact_id
        The id of the artifact.
    writer
        Whose version it is; "": nobody's.

    Examples
    --------
    >>> version_name("ads", "table", "load:7")
    'ads/artifact:table:load~27'
    """
    return f"{artifact_name(pipeline, artifact_id)}:{_part(writer)}"


def _part(name: str) -> str:
    """A name as a part of a longer one, in which colons separate."""
    return graphlet_id("", name)[1:]


class Graph:
    """Follows edges, up to a number of them.

    Parameters
    ----------
    pipelines
        Pipelines by name.
    across
        Whether artifacts are followed into other pipelines.
    edges_max
        Edges that are looked at in all; beyond, none is there, and `exhausted` is set.
    """

    def __init__(self, pipelines: Mapping[str, Pipeline], *, across: bool = False, edges_max: int) -> None:
        self.pipelines = pipelines
        self.across = across
        self.edges_left = edges_max
        self.exhausted = False
        self._holders: dict[str, list[Pipeline]] = {}

    def before(self, vertex: Vertex) -> Iterator[Vertex]:
        """What leads to a vertex over one edge: what an execution read, or the writers of a version."""
        pipeline, _, entity, _ = vertex
        if isinstance(entity, Version):
            for writer in entity.writers:
                if self._spend() and writer.group != RUN:
                    yield Vertex(pipeline, writer.id, writer)
        elif entity.group != RUN:
            for artifact_id, version in entity.reads.items():
                if not self._spend():
                    return
                yield Vertex(pipeline, artifact_id, version, _writer_read(pipeline.artifacts[artifact_id], entity))
                time = reading_time(pipeline.artifacts[artifact_id], entity) if self.across else None
                if time is not None:
                    yield from self.read_elsewhere(pipeline.name, artifact_id, time)

    def after(self, vertex: Vertex) -> Iterator[Vertex]:
        """What a vertex leads to over one edge: what an execution wrote, or the readers of a version."""
        pipeline, artifact_id, entity, writer = vertex
        if isinstance(entity, Version):
            for reader in entity.all_readers():
                if not self._spend():
                    return
                if reader.group != RUN:
                    yield Vertex(pipeline, reader.id, reader)
            if self.across:
                span = span_of(pipeline.artifacts[artifact_id], writer)
                yield from self.readers_elsewhere(pipeline.name, artifact_id, span)
        elif entity.group != RUN:
            for written, version in entity.writes.items():
                if not self._spend():
                    return
                unversioned = pipeline.artifacts[written].unversioned
                yield Vertex(pipeline, written, version, entity.id if unversioned is not None else None)

    def among(self, vertex: Vertex, entities: Collection[Entity], *, backward: bool) -> Iterator[Vertex]:
        """What leads to a vertex over one edge (`backward`), or what it leads to, as far as it is among some entities.

        The shorter of the two lists is looked through: an artifact may have many more readers than were visited.
        """
        pipeline, artifact_id, version, _ = vertex
        follow = self.before if backward else self.after
        if isinstance(version, Execution) or self.across or _degree(version, backward) <= len(entities):
            yield from (each for each in follow(vertex) if each.entity in entities)
            return
        for entity in entities:
            if not self._spend():
                return
            if isinstance(entity, Execution) and entity.group != RUN:
                edges = entity.writes if backward else entity.reads
                if edges.get(artifact_id) is version:
                    yield Vertex(pipeline, entity.id, entity)

    def versions(self, pipeline: Pipeline, artifact_id: str) -> Iterator[Vertex]:
        """The versions of an artifact."""
        artifact = pipeline.artifacts[artifact_id]
        if artifact.unversioned is None:
            yield Vertex(pipeline, artifact_id, artifact.version)
            return
        for writer, version in artifact.unversioned.by_writer.items():
            if not self._spend():
                return
            yield Vertex(pipeline, artifact_id, version, writer)

    def find_namesakes(self, artifact_ids: Iterable[str]) -> None:
        """Finds which pipelines have artifacts of these ids: all at once, which takes little longer than for one."""
        missing = {each for each in artifact_ids if each not in self._holders}
        self._holders.update((each, []) for each in missing)
        for pipeline in self.pipelines.values() if missing else ():
            if not self._spend(1 + min(len(missing), len(pipeline.artifacts)) // _IDS_AN_EDGE):
                return
            for artifact_id in pipeline.artifacts.keys() & missing:
                self._holders[artifact_id].append(pipeline)

    def look_ahead(self, vertices: Iterable[Vertex], *, backward: bool) -> None:
        """Prepares for following vertices (`backward`: by `before`) into other pipelines."""
        if not self.across:
            return
        ids: set[str] = set()
        for _, id_, entity, _ in vertices:
            if isinstance(entity, Execution):
                ids.update(entity.reads if backward else ())
            elif not backward:
                ids.add(id_)
        self.find_namesakes(ids)

    def namesakes(self, artifact_id: str, besides: str | None = None) -> Iterator[Pipeline]:
        """The pipelines, besides one if given, that have an artifact of this id."""
        if artifact_id not in self._holders:
            self.find_namesakes([artifact_id])
        for other in self._holders[artifact_id]:
            if not self._spend():
                return
            if other.name != besides:
                yield other

    def read_elsewhere(self, besides: str, artifact_id: str, time: int) -> Iterator[Vertex]:
        """The versions that a reading (see `elsewhere`) of one pipeline reads in the others."""
        for other in self.namesakes(artifact_id, besides):
            found = version_at(other.artifacts[artifact_id], time)
            if found is not None:
                yield Vertex(other, artifact_id, *found)

    def readers_elsewhere(self, besides: str, artifact_id: str, span: Span) -> Iterator[Vertex]:
        """The executions that read a version of one pipeline, which has this span, in the others."""
        for other in self.namesakes(artifact_id, besides):
            theirs = other.artifacts[artifact_id]
            for version in versions_of(theirs) if theirs.unversioned is None else _unwritten(theirs):
                for reader in version.all_readers():
                    if not self._spend():
                        return
                    time = reading_time(theirs, reader) if reader.group != RUN else None
                    if time is not None and span.holds(time):
                        yield Vertex(other, reader.id, reader)

    def _spend(self, edges: int = 1) -> bool:
        """Counts an edge, or what takes as long as some; False where not that many are left."""
        if self.edges_left < edges:
            self.exhausted = True
            return False
        self.edges_left -= edges
        return True


def _degree(version: Version, backward: bool) -> int:
    """The number of a version's writers, or of its readers."""
    return len(version.writers) if backward else sum(map(len, version.readers.values()))


def _writer_read(artifact: Artifact, reader: Execution) -> str | None:
    """The writer whose version of an unversioned artifact is read."""
    return artifact.unversioned.chosen[reader.id] if artifact.unversioned is not None else None


def _unwritten(artifact: Artifact) -> list[Version]:
    """The version of an unversioned artifact that is read though nobody of the pipeline had written it."""
    assert artifact.unversioned is not None
    found = artifact.unversioned.by_writer.get(None)
    return [found] if found is not None else []
