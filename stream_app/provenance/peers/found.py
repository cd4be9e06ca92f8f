"""Collects the executions and versions of an answer, each once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stream_app.core.state.entities import Execution
from stream_app.provenance.elsewhere import reading_time, span_of
from stream_app.provenance.graph import Entity, Graph, Vertex


class Found:
    """What was found, up to a number of edges; `entities` says what is sent of it.

    Parameters
    ----------
    graph
        Follows the edges of executions within their pipelines, and counts them.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._edges = graph.edges_left
        self._executions: list[dict[str, Any]] = []
        self._versions: list[list[Any]] = []
        #: The places in both lists.
        self._places: dict[Entity, int] = {}

    def add_executions(self, vertices: Iterable[Vertex]) -> dict[int, None]:
        """Adds executions; returns their places, as a set in order."""
        return {self._place_of_execution(each): None for each in vertices}

    def add_versions(self, vertices: Iterable[Vertex]) -> None:
        """Adds versions."""
        for each in vertices:
            self._place_of_version(each)

    def message(self) -> dict[str, Any]:
        """The answer so far."""
        return {
            "executions": self._executions,
            "versions": self._versions,
            "edges": self._edges - self._graph.edges_left,
            "truncated": self._graph.exhausted,
        }

    def _place_of_execution(self, vertex: Vertex) -> int:
        pipeline, id_, execution, _ = vertex
        place = self._places.get(execution)
        if place is None:
            assert isinstance(execution, Execution)
            read = [*self._graph.before(vertex)]
            place = self._places[execution] = len(self._executions)
            self._executions.append({
                "pipeline": pipeline.name,
                "id": id_,
                "reads": [*map(self._place_of_version, read)],
                "times": [reading_time(pipeline.artifacts[each.id], execution) for each in read],
                "writes": [*map(self._place_of_version, self._graph.after(vertex))],
            })  # fmt: skip
        return place

    def _place_of_version(self, vertex: Vertex) -> int:
        pipeline, id_, version, writer = vertex
        place = self._places.get(version)
        if place is None:
            place = self._places[version] = len(self._versions)
            self._versions.append([pipeline.name, id_, writer or "", *span_of(pipeline.artifacts[id_], writer)])
        return place
