"""Logs, detectors that have read them, and their graphs in networkx, with the names that lineage gives to nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import networkx as nx
from hypothesis import strategies as st

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.ids import graphlet_id
from stream_app.core.operators import RUN, Operators
from stream_app.provenance.graph import artifact_name
from stream_app.provenance.lineage import lineage
from tests.support import oracle
from tests.support.builders import artifact, ran
from tests.support.worlds import OPERATORS, fleets, noise


def detector_of(events: Iterable[Event], operators: Operators = OPERATORS) -> Detector:
    """A detector without a learner that has read a log."""
    detector = Detector(Settings(operators=operators))
    for event in events:
        detector.step(event)
    return detector


def asked(detector: Detector, name: str, **how: Any) -> dict[str, Any]:
    """One page of the lineage of a name."""
    return lineage(detector.pipelines, name, detector.settings.operators, **how)


def pages(detector: Detector, name: str, **how: Any) -> Iterator[dict[str, Any]]:
    """All pages, one after the other."""
    after = None
    while True:
        page = asked(detector, name, after=after, **how)
        yield page
        after = page["next"]
        if after is None:
            return


def whole(detector: Detector, name: str, **how: Any) -> dict[str, Any]:
    """All pages as one."""
    found = list(pages(detector, name, **how))
    return {
        "nodes": [node for page in found for node in page["nodes"]],
        "edges": [edge for page in found for edge in page["edges"]],
    }


def graph_of(events: Iterable[Event], pipeline: str, operators: Operators = OPERATORS) -> nx.DiGraph:
    """The graph of a pipeline by the oracle, its nodes named as lineage names them."""
    own = [event for event in events if event.pipeline == pipeline]
    executions = oracle._executions(own, operators)
    unversioned = {ref.id for event in own for ref in (*event.inputs, *event.outputs) if not ref.versioned}
    graph = oracle._graph(executions, unversioned)
    graph.remove_nodes_from([each.node for each in executions.values() if each.group == RUN])

    def name(node: tuple[Any, ...]) -> str:
        if node[0] == "execution":
            return graphlet_id(pipeline, node[1])
        whole_name = artifact_name(pipeline, node[1])
        # No id of these logs needs an escape.
        return f"{whole_name}:{node[2] or ''}" if node[1] in unversioned else whole_name

    return nx.relabel_nodes(graph, {node: name(node) for node in graph})


@st.composite
def tangles(draw: st.DrawFn) -> list[Event]:
    """Executions that read and write a few artifacts at random: cycles, hubs, self edges, versions or none."""
    artifacts: list[Any] = [f"a{n}" for n in range(draw(st.integers(1, 6)))]
    artifacts += [artifact(f"u{n}", versioned=False) for n in range(draw(st.integers(0, 2)))]
    some = st.lists(st.sampled_from(artifacts), max_size=4)
    log: list[Event] = []
    for number in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(("Transform", "Trainer", "StatisticsGen", "Evaluator", "Pusher", "Other")))
        hub = [artifacts[0]] if draw(st.booleans()) else []
        run = draw(st.sampled_from(("r1", "r2", None)))
        log += ran(number, f"e{number}", kind, run=run, reads=[*draw(some), *hub], writes=draw(some))
    return log


def worlds() -> st.SearchStrategy[list[Event]]:
    """Logs of every shape."""
    return st.one_of(tangles(), fleets(), noise())
