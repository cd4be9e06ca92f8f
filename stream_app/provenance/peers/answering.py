"""The side of a peer that answers: one function of the state of its pipelines and of a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_app.core.operators import Operators
from stream_app.core.state.pipeline import Pipeline
from stream_app.errors import OptionsError
from stream_app.provenance.elsewhere import Span
from stream_app.provenance.graph import ARTIFACT, EXECUTION, Graph, Vertex, version_name
from stream_app.provenance.lineage import (
    DEPTH_MAX,
    DIRECTIONS,
    EDGES_MAX,
    LIMIT_MAX,
    NODES_MAX,
    executions_of,
    lineage_of,
)
from stream_app.provenance.names import Target, candidates, kept_in, similar_names, with_run
from stream_app.provenance.nodes import describe
from stream_app.provenance.peers.entities import read_target
from stream_app.provenance.peers.errors import MessageError, MovedError
from stream_app.provenance.peers.fields import (
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    Shape,
    fields,
    listed,
    number,
    one_of,
    parts,
    text,
    wrong,
)
from stream_app.provenance.peers.found import Found
from stream_app.provenance.similar import SHOWN

#: Characters of a name: those of the longest full name, each of them escaped, and a margin.
NAME_MAX = 10_000

#: Elements of lists in questions.
_VERSION = Shape("[pipeline, id, writer]", TEXT, TEXT, TEXT)
_SPAN = Shape("[pipeline, id, since, until]", TEXT, TEXT, NUMBER, NUMBER_OR_NULL)
_READING = Shape("[pipeline, id, time]", TEXT, TEXT, NUMBER)
_VERTEX = Shape("[kind, pipeline, id, writer]", TEXT, TEXT, TEXT, TEXT)
_AT = "question"


def answer(pipelines: Mapping[str, Pipeline], operators: Operators, question: object) -> dict[str, Any]:
    """Answers a question of `lineage_over` for the pipelines of one process.

    Parameters
    ----------
    pipelines
        Pipelines by name.
    operators
        Price the executions.
    question
        What the other process sent, read from JSON. Unknown fields are ignored.

    Returns
    -------
    dict
        What can be written as JSON. What the question names and is not here is the field `moved`.

    Raises
    ------
    MessageError
        It is no question that this version of the program answers.
    """
    asked = fields(question, _AT)
    kind = one_of(asked, "ask", _AT, tuple(_ANSWERS))
    try:
        return _ANSWERS[kind](pipelines, operators, asked)
    except MovedError as error:
        return {"moved": str(error)}


def _find(pipelines: Mapping[str, Pipeline], _: Operators, asked: dict[str, Any]) -> dict[str, Any]:
    """What a name may name here, and what it names if it is the only one."""
    found = candidates(pipelines, _name(asked))
    targets = found.targets[:SHOWN]
    only = list(with_run(pipelines, targets[0])) if found.number == 1 else None
    return {"reading": found.reading, "number": found.number, "targets": [*map(list, targets)], "only": only}


def _similar(pipelines: Mapping[str, Pipeline], _: Operators, asked: dict[str, Any]) -> dict[str, Any]:
    """The names that are similar to one that nobody has."""
    return similar_names(pipelines, _name(asked))._asdict()


def _page(pipelines: Mapping[str, Pipeline], operators: Operators, asked: dict[str, Any]) -> dict[str, Any]:
    """The whole answer of lineage that does not leave a pipeline."""
    target = read_target(asked.get("target"), f"{_AT}.target")
    how: dict[str, Any] = {
        "direction": one_of(asked, "direction", _AT, DIRECTIONS),
        "depth": number(asked, "depth", _AT, 0, DEPTH_MAX),
        "limit": number(asked, "limit", _AT, 1, LIMIT_MAX),
        "nodes_max": number(asked, "nodes", _AT, 0, NODES_MAX),
        "edges_max": _edges(asked),
    }
    after = asked.get("after")
    if after is not None and type(after) is not str:
        raise wrong(f"{_AT}.after", "a text or null")
    _check_there(pipelines, target)
    try:
        return lineage_of(pipelines, target, operators, after=after, across=False, **how)
    except OptionsError as error:
        raise MessageError(f"{_AT}.{error}") from None


def _roots(pipelines: Mapping[str, Pipeline], _: Operators, asked: dict[str, Any]) -> dict[str, Any]:
    """The nodes at distance 0; of an artifact the versions in all pipelines."""
    kind, pipeline, id_, writer = target = read_target(asked.get("target"), f"{_AT}.target")
    graph = Graph(pipelines, edges_max=_edges(asked))
    found = Found(graph)
    if kind == ARTIFACT and writer is None:
        found.add_versions(each for other in graph.namesakes(id_) for each in graph.versions(other, id_))
        return found.message()
    _check_there(pipelines, target)
    if kind == ARTIFACT:
        found.add_versions([_version(pipelines, pipeline, id_, writer or "")])
    else:
        found.add_executions(executions_of(pipelines[pipeline], target))
    return found.message()


def _executions(pipelines: Mapping[str, Pipeline], _: Operators, asked: dict[str, Any]) -> dict[str, Any]:
    """The writers of versions, and their readers, also those of versions in other pipelines."""
    graph = Graph(pipelines, edges_max=_edges(asked))
    found = Found(graph)
    before, after = (
        [_version(pipelines, *each) for each in _list(asked, key, _VERSION)] for key in ("before", "after")
    )
    elsewhere = _list(asked, "elsewhere", _SPAN)
    writers = found.add_executions(each for version in before for each in graph.before(version))
    readers = found.add_executions(each for version in after for each in graph.after(version))
    graph.find_namesakes(id_ for _, id_, *_ in elsewhere)
    for pipeline, id_, *span in elsewhere:
        readers |= found.add_executions(graph.readers_elsewhere(pipeline, id_, Span(*span)))
    return {**found.message(), "before": [*writers], "after": [*readers]}


def _versions(pipelines: Mapping[str, Pipeline], _: Operators, asked: dict[str, Any]) -> dict[str, Any]:
    """The versions that readings in other pipelines read."""
    graph = Graph(pipelines, edges_max=_edges(asked))
    found = Found(graph)
    readings = _list(asked, "readings", _READING)
    graph.find_namesakes(id_ for _, id_, _ in readings)
    for pipeline, id_, time in readings:
        found.add_versions(graph.read_elsewhere(pipeline, id_, time))
    return found.message()


def _nodes(pipelines: Mapping[str, Pipeline], operators: Operators, asked: dict[str, Any]) -> dict[str, Any]:
    """The descriptions of vertices."""
    nodes = []
    for kind, pipeline, id_, writer in _list(asked, "vertices", _VERTEX):
        if kind not in (EXECUTION, ARTIFACT):
            raise wrong(f"{_AT}.vertices[]", _VERTEX.names)
        if kind == EXECUTION:
            _check_there(pipelines, Target(EXECUTION, pipeline, id_))
            vertex = Vertex(pipelines[pipeline], id_, pipelines[pipeline].executions[id_])
        else:
            vertex = _version(pipelines, pipeline, id_, writer)
        nodes.append(describe(vertex, operators))
    return {"nodes": nodes}


_ANSWERS = {
    "find": _find, "similar": _similar, "page": _page, "roots": _roots, "executions": _executions,
    "versions": _versions, "nodes": _nodes,
}  # fmt: skip


def _name(asked: dict[str, Any]) -> str:
    name = text(asked, "name", _AT)
    if len(name) > NAME_MAX:
        raise wrong(f"{_AT}.name", f"a text of at most {NAME_MAX} characters")
    return name


def _edges(asked: dict[str, Any]) -> int:
    return number(asked, "edges", _AT, 0, EDGES_MAX)


def _list(asked: dict[str, Any], key: str, shape: Shape) -> list[list[Any]]:
    return [parts(each, f"{_AT}.{key}[]", shape) for each in listed(asked, key, _AT, EDGES_MAX)]


def _check_there(pipelines: Mapping[str, Pipeline], target: Target) -> None:
    """Raises MovedError where the target is not in these pipelines."""
    pipeline = pipelines.get(target.pipeline)
    kept = kept_in(pipeline)[target.kind] if pipeline is not None else {}
    if target.id not in kept:
        raise MovedError(f"{target.name} is not here, or no longer")


def _version(pipelines: Mapping[str, Pipeline], pipeline: str, id_: str, writer: str) -> Vertex:
    """A version that was named; raises MovedError where it is not in these pipelines."""
    _check_there(pipelines, Target(ARTIFACT, pipeline, id_))
    artifact = pipelines[pipeline].artifacts[id_]
    if artifact.unversioned is None and not writer:
        return Vertex(pipelines[pipeline], id_, artifact.version)
    version = artifact.unversioned.by_writer.get(writer or None) if artifact.unversioned is not None else None
    if version is None:
        raise MovedError(f"{version_name(pipeline, id_, writer)} is not here, or no longer")
    return Vertex(pipelines[pipeline], id_, version, writer or None)
