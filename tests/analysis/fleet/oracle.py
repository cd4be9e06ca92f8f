"""The sums of one pipeline computed from scratch, as docs/analysis.md defines them.

Nothing is shared with the analysis: executions, members and outcomes are those of the oracle of graphlets, searches are
networkx's, and sums are pandas'. Clear before fast.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import networkx as nx
import pandas as pd

from stream_app.core.events import COMPLETE, ENDS, FAILED, RUNNING, Event
from stream_app.core.operators import ANALYSIS, INGEST, RUN, TRAIN, TUNE, VALIDATE, Operators
from tests.support.oracle import Execution, Graphlet, Outcome, PipelineOracle

DAY = 86_400_000
FALSE = {"", "0", "0.0", "false", "no", "off", "n", "f", "none", "null"}


def week(time_ms: int) -> int:
    """Weeks since Monday, 1969-12-29."""
    return int((pd.Timestamp(time_ms, unit="ms") - pd.Timestamp("1969-12-29")).days // 7)


def sums(
    events: list[Event], *, operators: Operators, now: int, horizon_ms: int, lost_ms: int
) -> tuple[dict[tuple[int, str], Counter[str]], dict[tuple[int, str], dict[str, list[int]]]]:
    """By week and model type: the counters, and the sorted values of each measure."""
    world = PipelineOracle(events, operators, 10_000)
    outcomes = world.outcomes(now, horizon_ms, lost_ms)
    rows = pd.DataFrame(
        [*_executions(events, world), *_graphlets(events, world, outcomes)],
        columns=["week", "model_type", "kind", "name", "value"],
    )
    counters: dict[tuple[int, str], Counter[str]] = {}
    measures: dict[tuple[int, str], dict[str, list[int]]] = {}
    for (number, model_type, kind, name), own in rows.groupby(["week", "model_type", "kind", "name"]):
        key = (int(number), str(model_type))
        if kind == "counter":
            total = int(own["value"].sum())
            if total:
                counters.setdefault(key, Counter())[str(name)] = total
        else:
            measures.setdefault(key, {})[str(name)] = sorted(int(value) for value in own["value"])
    return counters, measures


def _executions(events: list[Event], world: PipelineOracle) -> list[tuple[int, str, str, str, int]]:
    in_graphlets = {key for graphlet in world.graphlets for key in (*graphlet.members, graphlet.trainer.id)}
    first = pd.Series([event.time_ms for event in events]).groupby([event.execution_id for event in events]).min()
    found: list[tuple[int, str, str, str, int]] = []
    for x in world.executions.values():
        if x.group == RUN:
            continue
        where = week(x.start), ""
        found += [
            (*where, "counter", f"executions:{x.type}", 1),
            (*where, "counter", f"active:{pd.Timestamp(x.start, unit='ms').weekday()}", 1),
            (*where, "counter", f"node_ms:{x.group}", x.cost),
            (*where, "counter", f"failed:{x.type}", int(x.state == FAILED and x.over)),
            (*where, "counter", "alone_ms", x.cost if x.id not in in_graphlets else 0),
        ]
    runs = pd.DataFrame(
        [(x.run, first[x.id], x.group == TRAIN) for x in world.executions.values() if x.run is not None]
    )
    for _, own in runs.groupby(0) if len(runs) else ():
        where = week(int(own[1].min())), ""
        found += [(*where, "counter", "runs", 1), (*where, "measure", "trainers", int(own[2].sum()))]
    return found


def _graphlets(
    events: list[Event], world: PipelineOracle, outcomes: dict[str, Outcome]
) -> list[tuple[int, str, str, str, int]]:
    found: list[tuple[int, str, str, str, int]] = []
    order = sorted(world.graphlets, key=lambda each: (each.trainer.start, each.trainer.id))
    uses = Counter(key for each in order for key in (*each.members, each.trainer.id))
    facts = [_facts(events, world, each, outcomes[each.trainer.id], uses) for each in order]
    for own in facts:
        where = own["week"], own["model_type"]
        found += [(*where, "counter", name, amount) for name, amount in own["counters"].items()]
        found += [(*where, "measure", name, value) for name, value in own["measures"].items()]
    for before, own in pairwise(facts):
        where = own["week"], own["model_type"]
        found += [
            (*where, "counter", "pairs", 1),
            (*where, "measure", "training_interval_ms", own["start"] - before["start"]),
        ]
        union = own["inputs"] | before["inputs"]
        if union:
            found.append((*where, "measure", "overlap", 1000 * len(own["inputs"] & before["inputs"]) // len(union)))
        if own["code"] and before["code"]:
            found.append((*where, "counter", "pairs_with_code", 1))
            found.append((*where, "counter", "same_code", int(own["code"] == before["code"])))
        found.append((*where, "counter", "same_operators", int(own["types"] == before["types"])))
    return found + _pushes(world, facts)


def _pushes(world: PipelineOracle, facts: list[dict[str, Any]]) -> list[tuple[int, str, str, str, int]]:
    """A push costs the shares of the graphlets since the push before, and what belongs to none since then."""
    members = {key for graphlet in world.graphlets for key in (*graphlet.members, graphlet.trainer.id)}
    alone = [(x.start, x.cost) for x in world.executions.values() if x.group != RUN and x.id not in members]
    pushed = sorted((own for own in facts if own["outcome"] == "pushed"), key=lambda own: (own["time"], own["trainer"]))
    times = {own["trainer"]: position for position, own in enumerate(pushed)}
    found: list[tuple[int, str, str, str, int]] = []
    after, tries = -(2**62), []
    for own in facts:
        tries.append(own)
        if own["outcome"] != "pushed":
            continue
        spent = sum(each["share"] for each in tries) + sum(
            cost for start, cost in alone if after < start <= own["start"]
        )
        where = own["week"], own["model_type"]
        found += [
            (*where, "counter", "push_ms", spent),
            (*where, "measure", "push_node_ms", spent),
            (*where, "measure", "push_tries", len(tries)),
        ]
        position = times[own["trainer"]]
        if position:
            found.append((*where, "measure", "push_interval_ms", own["time"] - pushed[position - 1]["time"]))
        after, tries = own["start"], []
    return found


def _facts(
    events: list[Event], world: PipelineOracle, graphlet: Graphlet, outcome: Outcome, uses: Counter[str]
) -> dict[str, Any]:
    trainer = graphlet.trainer
    own = [trainer, *(world.executions[key] for key in graphlet.members)]
    same_run = [x for x in own if x is trainer or (trainer.run is not None and x.run == trainer.run)]
    ran = [x for x in own if x.state != "CACHED"]
    spans = [span for x in ran for span in _spans(events, x)]
    duration = max(end for _, end in spans) - min(start for start, _ in spans)
    busy = _measure(spans)
    cost = pd.Series([x.cost for x in own]).groupby([x.group for x in own]).sum()
    ingested = [world.executions[key].start for key in graphlet.up if world.executions[key].group == INGEST]
    validators = [world.executions[key] for key in graphlet.down if world.executions[key].group == VALIDATE]
    groups = {x.group for x in own}
    counters = {
        f"outcome:{outcome.outcome}": 1,
        **({f"cause:{outcome.cause}": 1} if outcome.cause else {}),
        "with:analysis": int(ANALYSIS in groups),
        "with:validation": int(any(COMPLETE in x.states for x in validators)),
        "with:tuning": int(TUNE in groups),
        "with:warm_start": int(_is_warm(world, trainer)),
    }
    inputs = _inputs(world, graphlet)
    measures = {"executions": len(own), "depth": _depth(world, graphlet), "inputs": len(inputs)}
    if outcome.outcome != "open":
        measures |= {"duration_ms": duration, "waiting_ms": duration - busy, "node_ms": int(cost.sum())}
        measures |= {f"node_ms:{group}": int(amount) for group, amount in cost.items()}
    if outcome.outcome == "pushed" and ingested and outcome.time is not None:
        measures["data_to_push_ms"] = outcome.time - min(ingested)
    return {
        "trainer": trainer.id, "start": trainer.start, "week": week(trainer.start), "outcome": outcome.outcome,
        "time": outcome.time, "model_type": _text(same_run, "model_type"), "code": _text(same_run, "code_version"),
        "inputs": inputs, "types": sorted({x.type for x in own}), "counters": counters, "measures": measures,
        "share": sum(x.cost // uses[x.id] for x in own),
    }  # fmt: skip


def _spans(events: list[Event], x: Execution) -> list[tuple[int, int]]:
    """Start and end of each attempt; the last report of one without an end."""
    own = [event for event in events if event.execution_id == x.id]
    starts = {event.time_ms for event in own if event.state == RUNNING}
    ends = {(event.time_ms, event.state) for event in own if event.state in ENDS}
    if len(starts) <= 1 and len(ends) <= 1:
        return [(x.start, max(x.start, (x.end if x.end is not None else x.running) or 0))]
    return [(start, max(start, x.running or 0) if end is None else end) for start, end in x.attempts]


def _text(executions: list[Execution], name: str) -> str:
    """The value of the latest execution that reports it."""
    told = [((x.start, x.id), str(x.properties[name])) for x in executions if name in x.properties]
    return max(told)[1] if told else ""


def _measure(spans: list[tuple[int, int]]) -> int:
    """The length of a union of intervals, cut at every end of one."""
    points = sorted({point for span in spans for point in span})
    return sum(
        later - sooner
        for sooner, later in pairwise(points)
        if any(start <= sooner and later <= end for start, end in spans)
    )


def _writers(world: PipelineOracle, version: Any) -> list[Execution]:
    return [world.executions[node[1]] for node in world.graph.predecessors(version)]


def _inputs(world: PipelineOracle, graphlet: Graphlet) -> set[str]:
    """What the trainer and its up set, as far as edges lead there, read from ingest executions or from outside."""
    found = set()
    for key in (graphlet.trainer.id, *_distances(world, graphlet, graphlet.up, up=True)):
        for version in world.graph.predecessors(("execution", key)):
            writers = _writers(world, version)
            if not writers or any(x.group == INGEST for x in writers):
                found.add(version[1])
    return found


def _depth(world: PipelineOracle, graphlet: Graphlet) -> int:
    up = _distances(world, graphlet, graphlet.up, up=True)
    down = _distances(world, graphlet, graphlet.down, up=False)
    return max(up.values(), default=0) + 1 + max(down.values(), default=0)


def _distances(world: PipelineOracle, graphlet: Graphlet, members: set[str], *, up: bool) -> dict[str, int]:
    """Execution -> its distance in executions from the trainer, through members alone."""
    nodes = {node for node in world.graph if node[0] == "version" or node[1] in {*members, graphlet.trainer.id}}
    graph = world.graph.subgraph(nodes)
    lengths = nx.single_source_shortest_path_length(graph.reverse() if up else graph, graphlet.trainer.node)
    return {node[1]: length // 2 for node, length in lengths.items() if node[0] == "execution" and length}


def _is_warm(world: PipelineOracle, trainer: Execution) -> bool:
    versions = world.graph.predecessors(trainer.node)
    return any(x.group == TRAIN and x is not trainer for version in versions for x in _writers(world, version))
