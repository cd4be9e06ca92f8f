"""What is behind an execution or an artifact, and what came of it: breadth first, in pages, within bounds.

A hop leads from an execution to the next, or from an artifact to the next; between the two it is half a hop, a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nsmallest
from typing import Any

from stream_app.core.operators import RUN, Operators
from stream_app.core.state.entities import Execution, Version
from stream_app.core.state.pipeline import Pipeline
from stream_app.errors import OptionsError
from stream_app.provenance import cursors
from stream_app.provenance.cursors import Cursor
from stream_app.provenance.graph import ARTIFACT, EXECUTION, Graph, Vertex
from stream_app.provenance.names import Target, find
from stream_app.provenance.nodes import describe
from stream_app.provenance.paging import Page

UP, DOWN, BOTH = "up", "down", "both"
DIRECTIONS = (UP, DOWN, BOTH)

#: Hops, and nodes of a page: by default and at most.
DEPTH, DEPTH_MAX = 50, 10_000
LIMIT, LIMIT_MAX = 200, 1_000
#: Nodes that are visited and edges that are looked at for one page; beyond, the answer is truncated.
NODES_MAX, EDGES_MAX = 100_000, 500_000
#: Edges that a node has in an answer: that lead to it, and that it leads to.
NODE_EDGES_MAX = 20


def lineage(
    pipelines: Mapping[str, Pipeline],
    name: str,
    operators: Operators,
    *,
    direction: str = BOTH,
    depth: int = DEPTH,
    limit: int = LIMIT,
    after: str | None = None,
    across: bool = False,
    nodes_max: int = NODES_MAX,
    edges_max: int = EDGES_MAX,
) -> dict[str, Any]:
    """Lists what is behind an execution, an artifact or a run, and what came of it, whatever the order of events was.

    Nodes come by distance, kind, pipeline and id, and names are unique, so that answers of processes can be merged.

    Parameters
    ----------
    pipelines
        Pipelines by name.
    name
        What is asked for; see `names`.
    operators
        Price the executions.
    direction
        `up`: what leads to it; `down`: what it leads to; `both`.
    depth
        Hops, at most 10,000.
    limit
        Nodes of a page, at most 1,000.
    after
        The cursor of the page before; None: the first page.
    across
        Whether artifacts are followed into other pipelines that have one of the same id.
    nodes_max, edges_max
        Nodes that are visited and edges that are looked at, in all. Which are left out beyond that is not defined.

    Returns
    -------
    dict
        `id`, `direction`, `depth` and `across` as asked; `nodes`, with their `distance` in hops; `edges`, each between
        a node of the page and one not farther than it; `edges_omitted`, where a node has more than 20 either way;
        `next`, the cursor of the next page or None; `truncated`, whether a bound was reached.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        There is nothing of this name, or more than one thing.
    OptionsError
        A parameter is out of its bounds, or the cursor is that of another question.
    """
    check(direction, depth, limit)
    target = find(pipelines, name)
    how: dict[str, Any] = {"direction": direction, "depth": depth, "limit": limit, "after": after, "across": across}
    return lineage_of(pipelines, target, operators, **how, nodes_max=nodes_max, edges_max=edges_max)


def lineage_of(
    pipelines: Mapping[str, Pipeline],
    target: Target,
    operators: Operators,
    *,
    direction: str,
    depth: int,
    limit: int,
    after: str | None,
    across: bool,
    nodes_max: int,
    edges_max: int,
) -> dict[str, Any]:
    """Lists what is behind a thing that was found, and what came of it; parameters and errors as of `lineage`."""
    question = (target, direction, depth, across)
    cursor = cursors.read(question, after) if after is not None else None
    walk = _Walk(Graph(pipelines, across=across, edges_max=edges_max), direction, nodes_max)
    page = Page(limit, cursor, _in_level)
    for step, level in enumerate(walk.levels(target, 2 * depth)):
        if page.add(step, level):
            break
    edges, omitted = walk.edges(page.nodes)
    return {
        "id": target.name,
        "direction": direction,
        "depth": depth,
        "across": across,
        "nodes": [{**describe(each, operators), "distance": walk.distance[each.entity] / 2} for each in page.nodes],
        "edges": edges,
        "edges_omitted": omitted,
        "next": cursors.write(question, walk.cursor(page.nodes[-1])) if page.follows else None,
        "truncated": walk.truncated,
    }


def check(direction: str, depth: int, limit: int) -> None:
    """Refuses parameters that are out of their bounds.

    Parameters
    ----------
    direction, depth, limit
        As of `lineage`.

    Raises
    ------
    OptionsError
        One of them is; the message begins with its name.
    """
    if direction not in DIRECTIONS:
        raise OptionsError(f"direction: expected one of {', '.join(DIRECTIONS)}")
    if not 0 <= depth <= DEPTH_MAX:
        raise OptionsError(f"depth: expected a number of hops from 0 to {DEPTH_MAX}")
    if not 1 <= limit <= LIMIT_MAX:
        raise OptionsError(f"limit: expected a number from 1 to {LIMIT_MAX}")


def _in_level(vertex: Vertex) -> tuple[str, str, str]:
    """The key of a node among those of one distance, which are of one kind."""
    return vertex[0].name, vertex[1], vertex[3] or ""


class _Way:
    """One direction of a walk: which one, what it has seen, and the nodes that it follows next."""

    def __init__(self, backward: bool, roots: list[Vertex]) -> None:
        self.backward = backward
        self.seen = {each.entity for each in roots}
        self.frontier = roots


class _Walk:
    """A breadth-first walk, up, down or both at once, that keeps the distance in steps of what it has visited."""

    def __init__(self, graph: Graph, direction: str, nodes_max: int) -> None:
        self._graph = graph
        self._direction = direction
        self._nodes_max = nodes_max
        self._full = False
        self.distance: dict[Execution | Version, int] = {}

    @property
    def truncated(self) -> bool:
        """Whether a bound was reached."""
        return self._full or self._graph.exhausted

    def levels(self, target: Target, steps: int) -> Iterator[list[Vertex]]:
        """The nodes of each distance, from what was asked for on; a level may be empty where others follow."""
        level = [each for each in _roots(self._graph, target) if self._visit(each, 0)]
        ways = [_Way(name == UP, level) for name in (UP, DOWN) if self._direction in (name, BOTH)]
        for step in range(1, steps + 2):
            yield level
            if step > steps or self.truncated or not any(way.frontier for way in ways):
                return
            level = []
            for way in ways:
                self._advance(way, step, level)

    def _advance(self, way: _Way, step: int, level: list[Vertex]) -> None:
        """Follows a way by one step, and adds what no way has visited before to the level."""
        frontier, way.frontier = way.frontier, []
        seen, follow = way.seen, self._graph.before if way.backward else self._graph.after
        self._graph.look_ahead(frontier, backward=way.backward)
        for vertex in frontier:
            for found in follow(vertex):
                if found[2] in seen:
                    continue
                if self._visit(found, step):
                    level.append(found)
                elif self._full:
                    return
                seen.add(found[2])
                way.frontier.append(found)

    def _visit(self, vertex: Vertex, step: int) -> bool:
        """Keeps the distance of a node; False where it was visited before, or no more may be."""
        if vertex.entity in self.distance:
            return False
        if len(self.distance) >= self._nodes_max:
            self._full = True
            return False
        self.distance[vertex.entity] = step
        return True

    def cursor(self, vertex: Vertex) -> Cursor:
        """The place of a node that was visited."""
        return Cursor(self.distance[vertex.entity], vertex.key)

    def edges(self, page: list[Vertex]) -> tuple[list[dict[str, str]], int]:
        """The edges between nodes of a page and nearer nodes, the nearest last ones first, and how many are left out.

        An edge joins an execution and a version, whose distances differ, so that it is on one page: the farther node's.
        """
        edges: list[dict[str, str]] = []
        omitted = 0
        for backward in (True, False):
            self._graph.look_ahead(page, backward=backward)
        for vertex in page:
            own = self.distance[vertex.entity]
            for backward in (True, False) if own else ():
                among = self._graph.among(vertex, self.distance, backward=backward)
                nearer = [each for each in among if self.distance[each.entity] < own]
                kept = nsmallest(NODE_EDGES_MAX, nearer, key=lambda each: (-self.distance[each.entity], each.key))
                omitted += len(nearer) - len(kept)
                names = ((each.name, vertex.name) if backward else (vertex.name, each.name) for each in kept)
                edges += ({"from": one, "to": other} for one, other in names)
        return edges, omitted


def _roots(graph: Graph, target: Target) -> Iterator[Vertex]:
    """The nodes at distance 0: of an artifact its versions, of a run its executions."""
    pipeline = graph.pipelines[target.pipeline]
    if target.kind != ARTIFACT:
        yield from executions_of(pipeline, target)
        return
    for version in graph.versions(pipeline, target.id):
        if target.writer in (None, version.writer or ""):
            yield version
    for other in graph.namesakes(target.id, target.pipeline) if graph.across and target.writer is None else ():
        yield from graph.versions(other, target.id)


def executions_of(pipeline: Pipeline, target: Target) -> Iterator[Vertex]:
    """The execution that was found, or those of the run.

    Parameters
    ----------
    pipeline
        The pipeline of the target.
    target
        An execution or a run of it.

    Returns
    -------
    iterator of Vertex
        Executions.
    """
    if target.kind == EXECUTION:
        yield Vertex(pipeline, target.id, pipeline.executions[target.id])
        return
    for execution in pipeline.runs[target.id].executions:
        if execution.group != RUN:
            yield Vertex(pipeline, execution.id, execution)
