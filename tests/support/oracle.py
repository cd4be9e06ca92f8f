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
from stream_app.core.operators import ANALYSIS, CUSTOM, DEPLOY, INGEST, RUN, TRAIN, Operators

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
    #: (start, end) of each attempt; the last may have no end.
    attempts: list[tuple[int, int | None]]
    #: The last RUNNING event.
    running: int | None
    cost: int
    inputs: set[str]
    outputs: set[str]
    properties: dict[str, Scalar]

    @property
    def node(self) -> Node:
        return ("execution", self.id)

    @property
    def over(self) -> bool:
        """It has ended, and if in failure was not started again."""
        return self.end is not None and not (self.state in (FAILED, CANCELED) and self.attempts[-1][1] is None)

    @property
    def reporting(self) -> bool:
        """It is in an attempt in which it said at least twice that it runs."""
        return (
            bool(self.attempts)
            and not self.over
            and self.attempts[-1][1] is None
            and self.attempts[-1][0] != self.running
        )


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
    lost_ms: int = 6 * 3_600_000,
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
        world = PipelineOracle(own, operators, max_members)
        outcomes = world.outcomes(clock, horizon_ms, lost_ms)
        for graphlet in world.graphlets:
            graphlets[graphlet_id(pipeline, graphlet.trainer.id)] = world.wire(
                pipeline, graphlet, outcomes[graphlet.trainer.id]
            )
        ledger[pipeline] = world.ledger(outcomes)
    return {"graphlets": graphlets, "ledger": ledger}


class PipelineOracle:
    """Everything that follows from the events of one pipeline."""

    def __init__(self, events: list[Event], operators: Operators, max_members: int) -> None:
        self.executions = _executions(events, operators)
        self.artifact_properties = _artifact_properties(events)
        unversioned = {ref.id for event in events for ref in (*event.inputs, *event.outputs) if not ref.versioned}
        self.graph = _graph(self.executions, unversioned)
        self.last_try = _last_tries(list(self.executions.values()))
        self.graphlets = [
            self._graphlet(execution, max_members)
            for execution in self.executions.values()
            if execution.group == TRAIN and execution.state != CACHED and execution.id not in self.last_try
        ]

    # Membership

    def _graphlet(self, trainer: Execution, max_members: int) -> Graphlet:
        up = self._up(trainer)
        graphlet = Graphlet(trainer, up, self._down(trainer), self._side(trainer, up))
        if len(graphlet.members) > max_members:
            return Graphlet(trainer, set(), set(), set())
        return graphlet

    def _up(self, trainer: Execution) -> set[str]:
        tries = [x for x in self.executions.values() if self.last_try.get(x.id) == trainer.id]
        kept = [x for x in self.executions.values() if x.group != TRAIN] + tries
        graph = nx.DiGraph(self._only(kept, trainer))
        graph.add_edges_from((x.node, trainer.node) for x in tries)
        return self._executions_of(nx.ancestors(graph, trainer.node))

    def _down(self, trainer: Execution) -> set[str]:
        kept = [x for x in self.executions.values() if x.group != TRAIN and self._enters(trainer, x)]
        return self._executions_of(nx.descendants(self._only(kept, trainer), trainer.node))

    def _enters(self, trainer: Execution, x: Execution) -> bool:
        """Whether x may be in the down set: not if it reads a model of its own run, or deploys another's."""
        writers = [w for version in self._reads(x) for w in self._writers(version)]
        trainers = [w for w in writers if w.group == TRAIN and w.state != CACHED and w.id not in self.last_try]
        if x.run is not None and any(w.run == x.run for w in trainers):
            return trainer.run == x.run
        return x.group != DEPLOY or not trainers or trainer.id in {w.id for w in trainers}

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

    def outcomes(self, now: int, horizon_ms: int, lost_ms: int) -> dict[str, Outcome]:
        """By trainer id."""
        pushes = {g.trainer.id: time for g in self.graphlets if (time := self._push_time(g)) is not None}
        return {g.trainer.id: self._outcome(g, pushes, now, horizon_ms, lost_ms) for g in self.graphlets}

    def _outcome(
        self, graphlet: Graphlet, pushes: Mapping[str, int], now: int, horizon_ms: int, lost_ms: int
    ) -> Outcome:
        trainer = graphlet.trainer
        if trainer.id in pushes:
            return Outcome("pushed", None, pushes[trainer.id])
        own_run = [x for x in self.executions.values() if x.group == RUN and x.run is not None and x.run == trainer.run]
        prunes = [x.end for x in (trainer, *own_run) if CANCELED in x.states and "pruned_by" in x.properties]
        if prunes:
            return Outcome("pruned", None, min(end for end in prunes if end is not None))
        if "label_unknown" in trainer.properties and _means_yes(trainer.properties["label_unknown"]):
            return Outcome("unknown", "registry_gap", trainer.end if trainer.over else trainer.start)
        if trainer.over and trainer.state in (FAILED, CANCELED):
            return Outcome("not_pushed", "failed", trainer.end)
        if trainer.reporting and trainer.running is not None and now >= trainer.running + lost_ms:
            return Outcome("not_pushed", "lost", trainer.running)
        ended = [x for x in own_run if x.end is not None]
        run_end = max(x.end for x in ended if x.end is not None) if ended and all(x.over for x in ended) else None
        last = max(trainer.running or 0, trainer.end or 0)
        expiry = trainer.start + horizon_ms
        expiry = expiry if last <= expiry else last + horizon_ms
        deploys = [x for key in graphlet.down if (x := self.executions[key]).group == DEPLOY]
        refused = deploys and all(COMPLETE in x.states and not self._pushed(x) for x in deploys)
        if refused and (run_end is not None or now >= expiry):
            return Outcome("not_pushed", "refused", expiry if run_end is None else run_end)
        if run_end is not None:
            return Outcome("not_pushed", "run_ended", run_end)
        if trainer.reporting:
            return Outcome("open", None, None)
        later = [
            time for key, time in pushes.items() if (self.executions[key].start, key) > (trainer.start, trainer.id)
        ]
        if later:
            return Outcome("not_pushed", "superseded", min(later))
        if now >= expiry:
            return Outcome("not_pushed", "expired", expiry)
        return Outcome("open", None, None)

    def _push_time(self, graphlet: Graphlet) -> int | None:
        ends = [x.end for key in graphlet.down if self._pushed(x := self.executions[key])]
        return min((end for end in ends if end is not None), default=None)

    def _pushed(self, x: Execution) -> bool:
        if x.group != DEPLOY or COMPLETE not in x.states or self._skipped(x):
            return False
        told = [
            self.artifact_properties[key]["pushed"]
            for key in sorted(x.outputs)
            if "pushed" in self.artifact_properties[key]
        ]
        return not told or any(_means_yes(value) for value in told)

    def _skipped(self, x: Execution) -> bool:
        """Whether its run lists its task among those that were skipped."""
        runs = [y for y in self.executions.values() if y.group == RUN and y.run is not None and y.run == x.run]
        lists = [str(y.properties["skipped_tasks"]).split(",") for y in runs if "skipped_tasks" in y.properties]
        return any(x.properties.get("task") in names for names in lists)

    # Sums

    def ledger(self, outcomes: Mapping[str, Outcome]) -> dict[str, int]:
        """Node-milliseconds by class; every execution outside group `run` is charged once."""
        sums = {"useful": 0, "wasted": 0, "pending": 0, "unattributed": 0, "unknown": 0}
        graphlets_of: dict[str, set[str]] = defaultdict(set)
        for graphlet in self.graphlets:
            for key in graphlet.members | {graphlet.trainer.id}:
                graphlets_of[key].add(outcomes[graphlet.trainer.id].outcome)
        runs = [x for x in self.executions.values() if x.group == RUN and x.end is not None]
        over = {x.run for x in runs} - {x.run for x in runs if not x.over}
        trained = {x.run for x in self.executions.values() if x.group == TRAIN}
        for x in self.executions.values():
            if x.group != RUN:
                idle = x.run is not None and x.run in over - trained
                sums[_class(graphlets_of[x.id], idle)] += x.cost
        return {name: sum_ for name, sum_ in sums.items() if sum_ or name != "unknown"}

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
    if "unknown" in outcomes:
        return "unknown"
    return "wasted" if outcomes or idle else "unattributed"


# Facts


def _executions(events: list[Event], operators: Operators) -> dict[str, Execution]:
    by_id: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_id[event.execution_id].append(event)
    found = {key: _execution(key, own, operators) for key, own in sorted(by_id.items())}
    named = {x.run for x in found.values() if x.run not in (None, x.id)}
    for x in found.values():
        if x.id in named and x.group != RUN and (x.group == CUSTOM or not x.inputs | x.outputs):
            x.group, x.run = RUN, x.id
    return found


def _last_tries(executions: list[Execution]) -> dict[str, str]:
    """Each failed trainer that was tried again -> the last try: same job and place in the same run, started after."""
    trainers = sorted((x for x in executions if x.group == TRAIN and x.run is not None), key=lambda x: (x.start, x.id))
    following: dict[str, str] = {}
    for x in trainers:
        if x.over and x.state in (FAILED, CANCELED) and "pruned_by" not in x.properties and "job" in x.properties:
            own = [x.run, x.properties["job"], x.properties.get("map_index")]
            if sum(own == [y.run, y.properties.get("job"), y.properties.get("map_index")] for y in trainers) > 100:
                continue
            later = [
                y.id
                for y in trainers
                if [y.run, y.properties.get("job"), y.properties.get("map_index")] == own
                and (y.start, y.id) > (x.start, x.id)
                and x.end is not None
                and y.start >= x.end
            ]
            if later:
                following[x.id] = later[0]
    last: dict[str, str] = {}
    for key in following:
        end = key
        while end in following:
            end = following[end]
        last[key] = end
    return last


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
    attempts = _attempts(running, [time for time, _ in ends], start)
    return Execution(
        id=id,
        type=type_,
        group=operators.group(type_),
        run=min(runs)[1] if runs else None,
        state=state,
        states=states,
        start=start,
        end=end,
        attempts=attempts,
        running=max(running, default=None),
        cost=_cost(events, state, attempts, max(running, default=0), operators.nodes.get(type_, 1)),
        inputs={ref.id for event in events for ref in event.inputs},
        outputs={ref.id for event in events for ref in event.outputs},
        properties=_joined((event.time_ms, event.properties) for event in events),
    )


def _attempts(running: list[int], ends: list[int], start: int) -> list[tuple[int, int | None]]:
    """From the first report that it runs to the first end after that, and so on."""
    if not running:
        return [(start if number == 0 else end, end) for number, end in enumerate(sorted(set(ends)))]
    if len(set(ends)) == 1 and min(running) > ends[0]:
        return [(ends[0], ends[0])]
    found: list[tuple[int, int | None]] = []
    after = -1
    for end in sorted(set(ends)):
        first = min((time for time in running if after < time <= end), default=end)
        found.append((first, end))
        after = end
    rest = [time for time in running if time > after]
    return [*found, (min(rest), None)] if rest else found


def _cost(events: list[Event], state: str, attempts: list[tuple[int, int | None]], running: int, nodes: float) -> int:
    if state == CACHED:
        return 0
    told = [event.node_ms for event in events if event.node_ms is not None]
    if told:
        return max(told)
    return math.floor(sum((running if end is None else end) - start for start, end in attempts) * nodes)


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
