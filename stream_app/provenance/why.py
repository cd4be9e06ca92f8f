"""Why an execution is in a graphlet, or which rule keeps it out.

The rules are those of docs/decisions/0001-graphlets.md. All searches go from an execution back to what it comes from,
so that an artifact with many readers costs nothing. Whether an execution is a member is read from the state; the search
finds the path that shows why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from stream_app.core.graphlets.membership import may_enter
from stream_app.core.operators import ANALYSIS, INGEST, RUN, TRAIN, Operators
from stream_app.core.state.entities import DOWN, SIDE, UP, Execution, Graphlet, Run, Version
from stream_app.core.state.pipeline import Pipeline
from stream_app.provenance.graph import Graph, Vertex
from stream_app.provenance.lineage import EDGES_MAX
from stream_app.provenance.names import find_execution, find_graphlet
from stream_app.provenance.nodes import describe

#: What keeps an execution out of a graphlet.
OTHER_PIPELINE, OTHER_RUN_RECORD, OVERSIZED, OF_OTHER_RUN = "other_pipeline", "run", "oversized", "of_other_run"
TRAINER, BETWEEN = "trainer", "trainer_between"
OWN_MODEL, OTHER_MODEL = "own_model", "other_model"
NOT_ANALYSIS, NO_RUN, SIDE_OF_OTHER_RUN = "not_analysis", "no_run", "analysis_of_other_run"
UNRELATED, NOT_SEARCHED = "unrelated", "not_searched"
RULES = (
    OTHER_PIPELINE, OTHER_RUN_RECORD, OVERSIZED, OF_OTHER_RUN, TRAINER, BETWEEN, OWN_MODEL, OTHER_MODEL,
    NOT_ANALYSIS, NO_RUN, SIDE_OF_OTHER_RUN, UNRELATED, NOT_SEARCHED,
)  # fmt: skip

_SETS = ((UP, "up"), (DOWN, "down"), (SIDE, "side"))
_Path = list[Vertex]


def why(
    pipelines: Mapping[str, Pipeline], execution: str, graphlet: str, operators: Operators, edges_max: int = EDGES_MAX
) -> dict[str, Any]:
    """Tells why an execution is in a graphlet, or why not.

    Parameters
    ----------
    pipelines
        Pipelines by name.
    execution, graphlet
        Their names; see `names`.
    operators
        Price the executions.
    edges_max
        Edges that are looked at.

    Returns
    -------
    dict
        `execution` and `graphlet`, their full names; `member`; `sets`, of `trainer`, `up`, `down`, `side`, and `run`
        for a run's provisional graphlet, the first being the one in which the graphlet lists it; `path`, from what
        comes first to what comes last, as nodes without a distance: it joins the execution and the trainer, or for
        `side` begins with what the trainer or its up set read or wrote; `rule`, one of `RULES`, and `at`, the full name
        of the execution at which it holds; both None for a member.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        There is nothing of one of the names, or more than one thing.
    """
    at_home, member = find_execution(pipelines, execution)
    pipeline, found = find_graphlet(pipelines, graphlet)
    asked = Vertex(at_home, member.id, member)
    sets: list[str] = []
    path: _Path = []
    rule: str | None = None
    at: Execution | None = None
    if pipeline is not at_home:
        return in_other_pipeline(asked.name, found.graphlet_id(pipeline.name))
    if isinstance(found, Run):
        sets = ["run"] if member.run == found.id else []
        rule, at = (None, None) if sets else (OF_OTHER_RUN, member)
    else:
        search = _Search(Graph({pipeline.name: pipeline}, edges_max=edges_max), pipeline, found)
        sets = _sets(found, member)
        if sets:
            path = search.path_within(asked, sets[0])
        else:
            rule, at, path = search.obstacle(asked)
    return {
        "execution": asked.name,
        "graphlet": found.graphlet_id(pipeline.name),
        "member": bool(sets),
        "sets": sets,
        "path": [describe(each, operators) for each in path],
        "rule": rule,
        "at": Vertex(at_home, at.id, at).name if at is not None else None,
    }


def in_other_pipeline(execution: str, graphlet: str) -> dict[str, Any]:
    """Why an execution is not in a graphlet of another pipeline; full names, and the result is as of `why`."""
    return {
        "execution": execution,
        "graphlet": graphlet,
        "member": False,
        "sets": [],
        "path": [],
        "rule": OTHER_PIPELINE,
        "at": execution,
    }


def _sets(graphlet: Graphlet, execution: Execution) -> list[str]:
    """The sets of a graphlet that an execution is in."""
    if execution is graphlet.trainer:
        return ["trainer"]
    bits = graphlet.members.get(execution, 0)
    return [name for bit, name in _SETS if bits & bit]


class _Search:
    """Searches for paths of one graphlet."""

    def __init__(self, graph: Graph, pipeline: Pipeline, graphlet: Graphlet) -> None:
        self._graph = graph
        self._pipeline = pipeline
        self._graphlet = graphlet
        self._trainer = Vertex(pipeline, graphlet.trainer.id, graphlet.trainer)

    # Members

    def path_within(self, asked: Vertex, name: str) -> _Path:
        """The shortest path that makes a member one, in one of the sets."""
        if name == "trainer":
            return [asked]
        if name == "up":
            return self._back(self._trainer, _is(asked), self._has(UP))
        if name == "down":
            return self._back(asked, _is(self._trainer), self._has(DOWN))
        path = self._back(asked, self._starts_side, self._has(SIDE), self._before_side)
        writers = [each for each in path[0].entity.writers if self._bits(each) & UP] if path else []  # type: ignore[union-attr]
        first = min(writers, key=lambda each: (each.group != INGEST, each.id), default=None)
        return [Vertex(self._pipeline, first.id, first), *path] if first is not None else path

    def _bits(self, execution: Execution) -> int:
        return self._graphlet.members.get(execution, 0)

    def _has(self, bit: int) -> Callable[[Execution], bool]:
        return lambda execution: bool(self._bits(execution) & bit)

    def _starts_side(self, vertex: Vertex) -> bool:
        """Whether the side set starts at a version: the up set wrote it, or the trainer read it."""
        if not isinstance(vertex.entity, Version):
            return False
        read = self._graphlet.trainer.reads.get(vertex.id) is vertex.entity
        return read or any(self._bits(each) & UP for each in vertex.entity.writers)

    def _before_side(self, vertex: Vertex) -> Iterator[Vertex]:
        """What led to a vertex of the side set: an execution without a run enters from ingested versions alone."""
        alone = isinstance(vertex.entity, Execution) and vertex.entity.run is None
        return (each for each in self._graph.before(vertex) if not alone or self._is_ingested(each))

    def _is_ingested(self, vertex: Vertex) -> bool:
        assert isinstance(vertex.entity, Version)
        return any(each.group == INGEST and self._bits(each) & UP for each in vertex.entity.writers)

    # Others

    def obstacle(self, asked: Vertex) -> tuple[str, Execution, _Path]:
        """The rule that keeps an execution out, where it holds, and the path that it ends."""
        execution = asked.entity
        assert isinstance(execution, Execution)
        if execution.group == RUN:
            return OTHER_RUN_RECORD, execution, []
        if self._graphlet.oversized:
            return OVERSIZED, self._graphlet.trainer, []
        found = self._with_rule(asked, execution)
        if self._graph.exhausted:
            return NOT_SEARCHED, execution, []
        return found or (UNRELATED, execution, [])

    def _with_rule(self, asked: Vertex, execution: Execution) -> tuple[str, Execution, _Path] | None:
        """A path without trainers says most, then one through trainers."""
        if execution.group == TRAIN:
            path = self._led_here(asked, _always) or self._leads_there(asked) or self._beside(asked, _always)
            return TRAINER, execution, path
        path = self._led_here(asked, _no_trainer)
        if path:
            at = next(each for each in _executions(path[1:]) if not may_enter(self._graphlet, each))
            return (OWN_MODEL if at.own_trainer else OTHER_MODEL), at, path
        path = self._beside(asked, _no_trainer)
        if path:
            at = next(each for each in _executions(path) if not self._bits(each) & SIDE)
            if at.group != ANALYSIS:
                return NOT_ANALYSIS, at, path
            return (NO_RUN if at.run is None else SIDE_OF_OTHER_RUN), at, path
        path = self._leads_there(asked)
        if path:
            return BETWEEN, [each for each in _executions(path[:-1]) if self._cuts(each)][-1], path
        path = self._led_here(asked, _always)
        if path:
            return BETWEEN, next(each for each in _executions(path[1:]) if each.group == TRAIN), path
        path = self._beside(asked, _always)
        if path:
            return BETWEEN, next(each for each in _executions(path) if each.group == TRAIN), path
        return None

    def _cuts(self, execution: Execution) -> bool:
        """Whether an execution before the trainer ends its paths: another trainer, and no earlier try."""
        return execution.group == TRAIN and execution.last_try is not self._graphlet.trainer

    def _led_here(self, asked: Vertex, may_pass: Callable[[Execution], bool]) -> _Path:
        """The shortest path from the trainer to an execution."""
        return self._back(asked, _is(self._trainer), may_pass)

    def _leads_there(self, asked: Vertex) -> _Path:
        """The shortest path from an execution to the trainer."""
        return self._back(self._trainer, _is(asked), _always)

    def _beside(self, asked: Vertex, may_pass: Callable[[Execution], bool]) -> _Path:
        """The shortest path to an execution from where the side set starts."""
        return self._back(asked, self._starts_side, may_pass)

    def _back(
        self,
        start: Vertex,
        is_goal: Callable[[Vertex], bool],
        may_pass: Callable[[Execution], bool],
        before: Callable[[Vertex], Iterable[Vertex]] | None = None,
    ) -> _Path:
        """The shortest path from a goal to a start, the least of several; empty where there is none."""
        follow = before or self._before
        came_from: dict[Execution | Version, Vertex | None] = {start.entity: None}
        level = [start]
        while level:
            reached: _Path = []
            for vertex in level:
                for found in follow(vertex):
                    if found.entity not in came_from:
                        came_from[found.entity] = vertex
                        reached.append(found)
            reached.sort(key=lambda each: each.key)
            for found in reached:
                if is_goal(found):
                    return list(_steps(found, came_from))
            level = [each for each in reached if isinstance(each.entity, Version) or may_pass(each.entity)]
        return []

    def _before(self, vertex: Vertex) -> Iterator[Vertex]:
        """What led to a vertex; to the trainer also its earlier tries."""
        yield from self._graph.before(vertex)
        if vertex.entity is self._graphlet.trainer:
            trainer = self._graphlet.trainer
            run = self._pipeline.runs.get(trainer.run) if trainer.run is not None else None
            for each in run.tasks.trainers(run.tasks.of(trainer)) if run is not None else ():
                if each.last_try is trainer:
                    yield Vertex(self._pipeline, each.id, each)


def _steps(vertex: Vertex, came_from: Mapping[Execution | Version, Vertex | None]) -> Iterator[Vertex]:
    following: Vertex | None = vertex
    while following is not None:
        yield following
        following = came_from[following.entity]


def _is(vertex: Vertex) -> Callable[[Vertex], bool]:
    return lambda other: other.entity is vertex.entity


def _always(_: Execution) -> bool:
    return True


def _no_trainer(execution: Execution) -> bool:
    return execution.group != TRAIN


def _executions(path: Iterable[Vertex]) -> Iterator[Execution]:
    return (each.entity for each in path if isinstance(each.entity, Execution))
