"""Graphlets, outcomes and ledger of a set of events, computed from scratch.

`docs/decisions/0001-graphlets.md` said a second time: nothing here is incremental, nothing is shared with the
detector, and graph searches are networkx's. Clear before fast.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx

from stream_app.core.events import CACHED, CANCELED, COMPLETE, ENDS, FAILED, NEW, RUNNING, Event, Scalar
from stream_app.core.ids import graphlet_id
from stream_app.core.operators import ANALYSIS, DEPLOY, INGEST, RUN, TRAIN, Operators

#: A node of the graph: ("execution", id), or ("version", artifact id, the writer's id or None).
Node = tuple[Any, ...]


@dataclass
class Execution:
    """The joined facts of one execution."""

    id: str
    type: str
    group: str
    run: str | None
    state: str
    states: set[str]
    start: int
    end: int | None
    cost: int
    inputs: set[str]
    outputs: set[str]
    properties: dict[str, Scalar]

    @property
    def node(self) -> Node:
        return ("execution", self.id)


@dataclass
class Outcome:
    outcome: str
    cause: str | None
    time: int | None


@dataclass
class Graphlet:
    """The three sets before an execution of several is listed in the first; empty sets when oversized."""

    trainer: Execution
    up: set[str]
    down: set[str]
    side: set[str]

    @property
    def members(self) -> set[str]:
        return self.up | self.down | self.side


def recompute(
    events: Iterable[Event],
    *,
    operators: Operators,
    horizon_ms: int,
    now: Mapping[str, int] | None = None,
    max_members: int = 10_000,
) -> dict[str, Any]:
    """All graphlets and the ledger of every pipeline.

    Parameters: `now` is each pipeline's clock in ms (its latest event time where not given).
    Returns: `{"graphlets": {graphlet id: {...}}, "ledger": {pipeline: {...}}}`, costs in node-milliseconds.
    """
    by_pipeline: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_pipeline[event.pipeline].append(event)
    graphlets: dict[str, dict[str, Any]] = {}
    ledger: dict[str, dict[str, int]] = {}
    for pipeline, own in sorted(by_pipeline.items()):
        clock = (now or {}).get(pipeline, max(event.time_ms for event in own))
        world = _Pipeline(own, operators, max_members)
        outcomes = world.outcomes(clock, horizon_ms)
        for graphlet in world.graphlets:
            graphlets[graphlet_id(pipeline, graphlet.trainer.id)] = world.wire(
                pipeline, graphlet, outcomes[graphlet.trainer.id]
            )
        ledger[pipeline] = world.ledger(outcomes)
    return {"graphlets": graphlets, "ledger": ledger}


class _Pipeline:
    """Everything that follows from the events of one pipeline."""

    def __init__(self, events: list[Event], operators: Operators, max_members: int) -> None:
        self.executions = _executions(events, operators)
        self.artifact_properties = _artifact_properties(events)
        unversioned = {ref.id for event in events for ref in (*event.inputs, *event.outputs) if not ref.versioned}
        self.graph = _graph(self.executions, unversioned)
        self.graphlets = [
            self._graphlet(execution, max_members)
            for execution in self.executions.values()
            if execution.group == TRAIN and execution.state != CACHED
        ]

    # Membership

    def _graphlet(self, trainer: Execution, max_members: int) -> Graphlet:
        up = self._up(trainer)
        graphlet = Graphlet(trainer, up, self._down(trainer), self._side(trainer, up))
        if len(graphlet.members) > max_members:
            return Graphlet(trainer, set(), set(), set())
        return graphlet

    def _up(self, trainer: Execution) -> set[str]:
        kept = [x for x in self.executions.values() if x.group != TRAIN]
        return self._executions_of(nx.ancestors(self._only(kept, trainer), trainer.node))

    def _down(self, trainer: Execution) -> set[str]:
        kept = [
            x
            for x in self.executions.values()
            if x.group != TRAIN and (not self._has_own_trainer(x) or trainer.run == x.run)
        ]
        return self._executions_of(nx.descendants(self._only(kept, trainer), trainer.node))

    def _has_own_trainer(self, x: Execution) -> bool:
        """Whether x reads a version that a trainer of its own run wrote, one that really trained."""
        if x.run is None:
            return False
        writers = [w for version in self._reads(x) for w in self._writers(version)]
        return any(w.group == TRAIN and w.state != CACHED and w.run == x.run for w in writers)

    def _side(self, trainer: Execution, up: set[str]) -> set[str]:
        members = [self.executions[key] for key in sorted(up)]
        runs = {x.run for x in (trainer, *members)} - {None}
        ingested = {v for x in members if x.group == INGEST for v in self._writes(x)}
        kept = [
            x
            for x in self.executions.values()
            if x.group == ANALYSIS and (x.run in runs if x.run is not None else ingested & self._reads(x))
        ]
        seeds = {v for x in members for v in self._writes(x)} | self._reads(trainer)
        graph = nx.DiGraph(self._only(kept))
        graph.add_node(("source",))
        graph.add_edges_from((("source",), seed) for seed in seeds)
        return self._executions_of(nx.descendants(graph, ("source",)))

    def _only(self, kept: Iterable[Execution], trainer: Execution | None = None) -> nx.DiGraph:
        """The graph of all versions and of these executions alone."""
        nodes = {node for node in self.graph if node[0] == "version"} | {x.node for x in kept}
        return self.graph.subgraph(nodes | ({trainer.node} if trainer else set()))

    @staticmethod
    def _executions_of(nodes: Iterable[Node]) -> set[str]:
        return {node[1] for node in nodes if node[0] == "execution"}

    def _reads(self, x: Execution) -> set[Node]:
        return set(self.graph.predecessors(x.node))

    def _writes(self, x: Execution) -> set[Node]:
        return set(self.graph.successors(x.node))

    def _writers(self, version: Node) -> list[Execution]:
        return [self.executions[node[1]] for node in self.graph.predecessors(version)]

    # Outcomes

    def outcomes(self, now: int, horizon_ms: int) -> dict[str, Outcome]:
        """By trainer id."""
        pushes = {g.trainer.id: time for g in self.graphlets if (time := self._push_time(g)) is not None}
        return {g.trainer.id: self._outcome(g.trainer, pushes, now, horizon_ms) for g in self.graphlets}

    def _outcome(self, trainer: Execution, pushes: Mapping[str, int], now: int, horizon_ms: int) -> Outcome:
        if trainer.id in pushes:
            return Outcome("pushed", None, pushes[trainer.id])
        own_run = [x for x in self.executions.values() if x.group == RUN and x.run is not None and x.run == trainer.run]
        prunes = [x.end for x in (trainer, *own_run) if CANCELED in x.states and "pruned_by" in x.properties]
        if prunes:
            return Outcome("pruned", None, min(end for end in prunes if end is not None))
        if trainer.state in (FAILED, CANCELED):
            return Outcome("not_pushed", "failed", trainer.end)
        ends = [x.end for x in own_run if x.end is not None]
        if ends:
            return Outcome("not_pushed", "run_ended", max(ends))
        later = [
            time for key, time in pushes.items() if (self.executions[key].start, key) > (trainer.start, trainer.id)
        ]
        if later:
            return Outcome("not_pushed", "superseded", min(later))
        if now >= trainer.start + horizon_ms:
            return Outcome("not_pushed", "expired", trainer.start + horizon_ms)
        return Outcome("open", None, None)

    def _push_time(self, graphlet: Graphlet) -> int | None:
        ends = [x.end for key in graphlet.down if self._pushed(x := self.executions[key])]
        return min((end for end in ends if end is not None), default=None)

    def _pushed(self, x: Execution) -> bool:
        if x.group != DEPLOY or COMPLETE not in x.states:
            return False
        told = [
            self.artifact_properties[key]["pushed"]
            for key in sorted(x.outputs)
            if "pushed" in self.artifact_properties[key]
        ]
        return not told or any(_means_yes(value) for value in told)

    # Sums

    def ledger(self, outcomes: Mapping[str, Outcome]) -> dict[str, int]:
        """Node-milliseconds by class; every execution outside group `run` is charged once."""
        sums = {"useful": 0, "wasted": 0, "pending": 0, "unattributed": 0}
        graphlets_of: dict[str, set[str]] = defaultdict(set)
        for graphlet in self.graphlets:
            for key in graphlet.members | {graphlet.trainer.id}:
                graphlets_of[key].add(outcomes[graphlet.trainer.id].outcome)
        over = {x.run for x in self.executions.values() if x.group == RUN and x.end is not None}
        trained = {x.run for x in self.executions.values() if x.group == TRAIN}
        for x in self.executions.values():
            if x.group != RUN:
                idle = x.run is not None and x.run in over - trained
                sums[_class(graphlets_of[x.id], idle)] += x.cost
        return sums

    def wire(self, pipeline: str, graphlet: Graphlet, outcome: Outcome) -> dict[str, Any]:
        """One graphlet as plain values."""
        cost: dict[str, int] = {}
        for key in sorted(graphlet.members | {graphlet.trainer.id}):
            x = self.executions[key]
            cost[x.group] = cost.get(x.group, 0) + x.cost
        return {
            "pipeline": pipeline,
            "run": graphlet.trainer.run,
            "trainer": graphlet.trainer.id,
            "up": sorted(graphlet.up),
            "down": sorted(graphlet.down - graphlet.up),
            "side": sorted(graphlet.side - graphlet.up - graphlet.down),
            "outcome": outcome.outcome,
            "cause": outcome.cause,
            "time": outcome.time,
            "cost": cost,
        }


def _class(outcomes: set[str], idle: bool) -> str:
    """The class of an execution by its graphlets' outcomes; `idle`: its run ended without a trainer."""
    if "pushed" in outcomes:
        return "useful"
    if "open" in outcomes:
        return "pending"
    return "wasted" if outcomes or idle else "unattributed"


# Facts


def _executions(events: list[Event], operators: Operators) -> dict[str, Execution]:
    by_id: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_id[event.execution_id].append(event)
    return {key: _execution(key, own, operators) for key, own in sorted(by_id.items())}


def _execution(id: str, events: list[Event], operators: Operators) -> Execution:  # noqa: A002
    type_ = min((event.time_ms, event.execution_type) for event in events)[1]
    own = [event for event in events if event.run is None and operators.group(event.execution_type) == RUN]
    runs = [(event.time_ms, event.run) for event in events if event.run is not None]
    runs += [(event.time_ms, event.execution_id) for event in own]
    ends = [(event.time_ms, event.state) for event in events if event.state in ENDS]
    states = {event.state for event in events}
    state = max(ends)[1] if ends else RUNNING if RUNNING in states else NEW
    running = [event.time_ms for event in events if event.state == RUNNING]
    start = min(running) if running else min(event.time_ms for event in events)
    end = max(ends)[0] if ends else None
    return Execution(
        id=id,
        type=type_,
        group=operators.group(type_),
        run=min(runs)[1] if runs else None,
        state=state,
        states=states,
        start=start,
        end=end,
        cost=_cost(events, state, start, end, operators.nodes.get(type_, 1)),
        inputs={ref.id for event in events for ref in event.inputs},
        outputs={ref.id for event in events for ref in event.outputs},
        properties=_joined((event.time_ms, event.properties) for event in events),
    )


def _cost(events: list[Event], state: str, start: int, end: int | None, nodes: float) -> int:
    if state == CACHED:
        return 0
    told = [event.node_ms for event in events if event.node_ms is not None]
    if told:
        return max(told)
    return math.floor(max(0, end - start) * nodes) if end is not None else 0


def _artifact_properties(events: list[Event]) -> dict[str, dict[str, Scalar]]:
    seen: dict[str, list[tuple[int, dict[str, Scalar]]]] = defaultdict(list)
    for event in events:
        for ref in (*event.inputs, *event.outputs):
            seen[ref.id].append((event.time_ms, ref.properties))
    return {key: _joined(told) for key, told in seen.items()}


def _joined(told: Iterable[tuple[int, Mapping[str, Scalar]]]) -> dict[str, Scalar]:
    """Key by key the later value; ties take the greater JSON encoding."""
    values: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for time, properties in told:
        for key, value in properties.items():
            values[key].append((time, json.dumps(value)))
    return {key: json.loads(max(all_told)[1]) for key, all_told in values.items()}


def _means_yes(value: Scalar) -> bool:
    if not isinstance(value, str):
        return value != 0
    return value.strip().lower() not in ("", "0", "0.0", "false", "no", "off", "n", "f", "none", "null")


# Edges


def _graph(executions: Mapping[str, Execution], unversioned: set[str]) -> nx.DiGraph:
    """Execution -> version -> execution; executions of group `run` stand in it without edges."""
    graph = nx.DiGraph()
    graph.add_nodes_from(x.node for x in executions.values())
    linked = [x for x in executions.values() if x.group != RUN]
    writers: dict[str, list[Execution]] = defaultdict(list)
    for x in linked:
        for artifact in x.outputs:
            writers[artifact].append(x)
            graph.add_edge(x.node, ("version", artifact, x.id if artifact in unversioned else None))
    for x in linked:
        for artifact in x.inputs:
            writer = _last_writer(x, writers[artifact]) if artifact in unversioned else None
            graph.add_edge(("version", artifact, writer), x.node)
    return graph


def _last_writer(reader: Execution, writers: list[Execution]) -> str | None:
    """The writer whose version of an unversioned artifact this reader reads."""
    done = [(w.end, w.id) for w in writers if w.id != reader.id and w.end is not None and w.end <= reader.start]
    return max(done)[1] if done else None
