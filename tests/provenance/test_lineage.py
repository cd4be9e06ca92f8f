"""What lineage answers, compared with networkx on graphs of every shape, and its pages and bounds."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.core.events import Event
from stream_app.core.operators import RUN
from stream_app.errors import OptionsError
from stream_app.provenance.lineage import LIMIT, NODE_EDGES_MAX
from tests.provenance.graphs import asked, detector_of, graph_of, pages, whole, worlds
from tests.support.arrivals import shuffled
from tests.support.builders import MINUTE, artifact, at, ended, ran, started


def expected(graph: nx.DiGraph, root: str, direction: str, steps: int) -> dict[str, float]:
    """Name -> hops of what networkx reaches."""
    found: dict[str, float] = {}
    for name, view in (("up", graph.reverse()), ("down", graph)):
        if direction in (name, "both"):
            for node, length in nx.single_source_shortest_path_length(view, root, cutoff=steps).items():
                found[node] = min(length / 2, found.get(node, length / 2))
    return found


def edges_of(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(edge["from"], edge["to"]) for edge in answer["edges"]]


@settings(max_examples=300)
@given(data=st.data(), events=worlds())
def test_it_is_what_networkx_reaches(data: st.DataObject, events: list[Event]) -> None:
    """Ancestors and descendants within a depth, with their distances, and the edges between them, each once."""
    detector = detector_of(events)
    pipeline = data.draw(st.sampled_from(sorted(detector.pipelines)))
    graph = graph_of(events, pipeline)
    if not graph:
        return
    root = data.draw(st.sampled_from(sorted(graph)), label="root")
    direction = data.draw(st.sampled_from(("up", "down", "both")), label="direction")
    depth = data.draw(st.sampled_from((0, 1, 2, 50)), label="depth")

    answer = whole(detector, root, direction=direction, depth=depth, limit=1_000)

    reached = expected(graph, root, direction, 2 * depth)
    assert {node["name"]: node["distance"] for node in answer["nodes"]} == reached
    assert sorted(edges_of(answer)) == sorted(graph.subgraph(reached).edges)


@settings(max_examples=150)
@given(data=st.data(), events=worlds(), limit=st.integers(1, 7))
def test_pages_are_the_whole(data: st.DataObject, events: list[Event], limit: int) -> None:
    """One after the other, nodes and edges, with the same bytes whatever the order of events."""
    detector = detector_of(events)
    other = detector_of(data.draw(shuffled(events), label="arrived"))
    pipeline = data.draw(st.sampled_from(sorted(detector.pipelines)))
    root = data.draw(st.sampled_from(sorted(detector.pipelines[pipeline].executions)), label="root")
    name = f"{pipeline}/execution:{root}"

    found = list(pages(detector, name, limit=limit))

    assert all(len(page["nodes"]) == limit for page in found[:-1])
    assert 1 <= len(found[-1]["nodes"]) <= limit or len(found) == 1
    assert whole(detector, name, limit=limit) == whole(detector, name, limit=1_000)
    assert list(pages(other, name, limit=limit)) == found


def fan(readers: int, *, summary: bool = False) -> list[Event]:
    """One artifact that is read by many, which may all write into another one."""
    writes = ["summary"] if summary else []
    log = ran(0, "gen", "CsvExampleGen", writes=["hub"])
    for number in range(readers):
        log.append(ended(1, f"reader{number:05}", "StatisticsGen", run=f"r{number}", reads=["hub"], writes=writes))
    return log


def test_a_page_ends_at_its_limit_and_says_that_more_follows() -> None:
    """Until the last."""
    detector = detector_of(fan(500))
    first = asked(detector, "hub", direction="down")
    sizes = [len(page["nodes"]) for page in pages(detector, "hub", direction="down")]

    assert len(first["nodes"]) == LIMIT
    assert first["next"] is not None
    assert not first["truncated"]
    assert sizes == [200, 200, 101]


def test_a_cursor_holds_while_other_events_come() -> None:
    """It names the last node of its page, not a number of nodes."""
    detector = detector_of(fan(10))
    first = asked(detector, "hub", direction="down", limit=5)
    detector.step(ended(2, "reader00000a", "StatisticsGen", run="r0", reads=["hub"]))  # into the first page
    detector.step(ended(2, "reader00009a", "StatisticsGen", run="r0", reads=["hub"]))
    second = asked(detector, "hub", direction="down", limit=10, after=first["next"])

    assert [node["id"] for node in second["nodes"]] == [*(f"reader{n:05}" for n in range(4, 10)), "reader00009a"]


@pytest.mark.parametrize("bound", ["nodes_max", "edges_max"])
def test_a_bound_truncates_the_answer(bound: str) -> None:
    """It says so, and has no more than the bound."""
    detector = detector_of(fan(100))
    page = asked(detector, "hub", direction="down", limit=1_000, **{bound: 30})

    assert page["truncated"]
    assert 20 < len(page["nodes"]) <= 31
    assert page["next"] is None


def test_a_bound_that_just_suffices_truncates_nothing() -> None:
    detector = detector_of(fan(100))

    assert not asked(detector, "hub", direction="down", limit=1_000, nodes_max=101)["truncated"]
    assert asked(detector, "hub", direction="down", limit=1_000, nodes_max=100)["truncated"]


def test_a_node_with_many_edges_lists_some_and_counts_the_rest() -> None:
    """Or one node would make a page large."""
    detector = detector_of(fan(100, summary=True))
    answer = asked(detector, "hub", direction="down", limit=1_000)
    into = [one for one, other in edges_of(answer) if other == "p/artifact:summary"]

    assert into == [f"p/reader{n:05}" for n in range(NODE_EDGES_MAX)]
    assert answer["edges_omitted"] == 100 - NODE_EDGES_MAX


def test_all_that_is_behind_a_push() -> None:
    """From the deploy execution, with what each node is; a hop is an execution, an artifact is half of one."""
    detector = detector_of(
        [
            *ran(0, "gen", "CsvExampleGen", writes=["span"]),
            *ran(1, "train", "Trainer", reads=["span"], writes=[artifact("model")], node_ms=2 * MINUTE),
            *ran(3, "push", "Pusher", reads=["model"], writes=["pushed"]),
        ]
    )
    answer = asked(detector, "p/push", direction="up")

    assert [(node["id"], node["distance"]) for node in answer["nodes"]] == [
        ("push", 0), ("model", 0.5), ("train", 1), ("span", 1.5), ("gen", 2),
    ]  # fmt: skip
    assert answer["nodes"][2] == {
        "kind": "execution", "name": "p/train", "id": "train", "pipeline": "p", "type": "Trainer", "group": "train",
        "state": "COMPLETE", "run": "r1", "writer": None, "start": "2023-11-14T22:14:20.000Z",
        "end": "2023-11-14T22:15:20.000Z", "node_seconds": 120.0, "graphlets": {"count": 1, "ids": ["p/train"]},
        "distance": 1.0,
    }  # fmt: skip
    assert answer["nodes"][1] == {
        "kind": "artifact", "name": "p/artifact:model", "id": "model", "pipeline": "p", "type": "Artifact",
        "group": None, "state": None, "run": None, "writer": None, "start": None, "end": None, "node_seconds": None,
        "graphlets": {"count": 1, "ids": ["p/train"]}, "distance": 0.5,
    }  # fmt: skip
    assert (answer["id"], answer["next"], answer["truncated"]) == ("p/push", None, False)


def test_a_run_stands_for_its_executions() -> None:
    """Its own execution too, which has no edges."""
    detector = detector_of(
        [
            *ran(0, "gen", "CsvExampleGen", run="r0", writes=["span"]),
            *ran(1, "a", "Transform", reads=["span"], writes=["x"]),
            *ran(1, "b", "StatisticsGen", reads=["span"]),
            ended(3, "r1", "PipelineRun", run="r1", reads=["x"], writes=["span"]),
        ]
    )
    by_run = asked(detector, "p/run:r1", direction="up")

    assert [(node["id"], node["distance"]) for node in by_run["nodes"]] == [
        ("a", 0), ("b", 0), ("span", 0.5), ("gen", 1),
    ]  # fmt: skip
    assert asked(detector, "p/r1", direction="up") == by_run


def test_a_graphlet_lists_at_most_twenty_ids_and_counts_all() -> None:
    """Of a schema that many trainers read."""
    log = ran(0, "infer", "SchemaGen", run="r0", writes=["schema"])
    for number in range(30):
        log += ran(1, f"train{number:02}", "Trainer", run=f"r{number}", reads=["schema"])
    schema, infer = asked(detector_of(log), "schema", direction="up")["nodes"]

    for node in (schema, infer):
        assert node["graphlets"] == {"count": 30, "ids": [f"p/train{number:02}" for number in range(20)]}


# Across pipelines


def across(name: str, log: list[Event], **how: Any) -> list[tuple[str, float]]:
    """Names and distances where artifacts are followed into other pipelines."""
    return [(n["name"], n["distance"]) for n in asked(detector_of(log), name, across=True, **how)["nodes"]]


def test_artifacts_are_followed_into_other_pipelines_only_if_asked() -> None:
    """The pipeline is named; no graphlet grows."""
    log = [
        *ran(0, "feature", "Transform", run="r1", writes=["table@7"], pipeline="features"),
        *ran(5, "train", "Trainer", run="r1", reads=["table@7"], writes=["model"], pipeline="ads"),
    ]
    detector = detector_of(log)
    alone = asked(detector, "ads/train", direction="up")

    assert [node["name"] for node in alone["nodes"]] == ["ads/train", "ads/artifact:table@7"]
    assert across("ads/train", log, direction="up") == [
        ("ads/train", 0), ("ads/artifact:table@7", 0.5), ("features/artifact:table@7", 0.5), ("features/feature", 1),
    ]  # fmt: skip
    assert across("features/feature", log, direction="down") == [
        ("features/feature", 0), ("features/artifact:table@7", 0.5), ("ads/train", 1), ("ads/artifact:model", 1.5),
    ]  # fmt: skip
    assert across("ads/artifact:table@7", log, direction="up")[-1] == ("features/feature", 0.5)
    assert [graphlet["up"] for graphlet in detector.graphlets()] == [[]]


def unversioned_elsewhere() -> list[Event]:
    """A table that one pipeline overwrites, and that another one reads in between."""
    table = artifact("table", versioned=False)
    log: list[Event] = []
    for number in (1, 2, 3):
        minute = 10 * number
        log += ran(minute, f"write{number}", "Transform", run=f"w{number}", writes=[table], pipeline="features")
        log += ran(minute + 5, f"read{number}", "Trainer", run=f"r{number}", reads=[table], pipeline="ads")
    return log


def test_of_an_artifact_without_versions_the_last_one_written_before_is_followed() -> None:
    """Otherwise one table would join all runs of two pipelines."""
    log = unversioned_elsewhere()

    assert across("ads/read2", log, direction="up") == [
        ("ads/read2", 0), ("ads/artifact:table:", 0.5), ("features/artifact:table:write2", 0.5), ("features/write2", 1),
    ]  # fmt: skip
    assert across("features/write2", log, direction="down") == [
        ("features/write2", 0), ("features/artifact:table:write2", 0.5), ("ads/read2", 1),
    ]  # fmt: skip


@settings(max_examples=60)
@given(data=st.data(), events=worlds())
def test_across_up_and_down_are_each_others_inverse(data: st.DataObject, events: list[Event]) -> None:
    """Whatever one leads to is led to by it, in any pipeline."""
    detector = detector_of(events)
    pipeline = data.draw(st.sampled_from(sorted(detector.pipelines)))
    roots = [each.id for each in detector.pipelines[pipeline].executions.values() if each.group != RUN]
    if not roots:
        return
    root = data.draw(st.sampled_from(sorted(roots)), label="root")
    name = f"{pipeline}/{root}"
    down = whole(detector, f"{pipeline}/execution:{root}", direction="down", across=True)["nodes"]

    for node in down:
        if node["kind"] == "execution":
            up = whole(detector, node["name"], direction="up", across=True)["nodes"]
            assert (name, node["distance"]) in {(each["name"], each["distance"]) for each in up}


# Bad input


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"direction": "sideways"}, "direction: expected one of up, down, both"),
        ({"depth": -1}, "depth: expected a number of hops from 0 to 10000"),
        ({"depth": 10_001}, "depth: expected"),
        ({"limit": 0}, "limit: expected a number from 1 to 1000"),
        ({"limit": 1_001}, "limit: expected"),
        ({"after": ""}, "after: expected the cursor of an answer"),
        ({"after": "nonsense!"}, "after: expected the cursor"),
        ({"after": "bnVsbA"}, "after: expected the cursor"),
        ({"after": "W10"}, "after: expected the cursor"),
        ({"after": "WzEsIDIsIDMsIDQsIDUsIDZd"}, "after: expected the cursor"),
        ({"after": "W" * 30_000}, "after: expected the cursor"),
        ({"after": "\ud800"}, "after: expected the cursor"),
    ],
)
def test_a_parameter_out_of_its_bounds_is_refused(how: dict[str, Any], says: str) -> None:
    """With what is expected."""
    with pytest.raises(OptionsError, match=f"^{says}"):
        asked(detector_of(fan(3)), "hub", **how)


def test_a_cursor_of_another_question_is_refused() -> None:
    """It would name a place in another answer."""
    detector = detector_of(fan(3))
    cursor = asked(detector, "hub", direction="down", limit=1)["next"]

    for name, how in (("hub", {"direction": "up"}), ("gen", {"direction": "down"}), ("hub", {"depth": 2})):
        with pytest.raises(OptionsError, match="the cursor is of another question"):
            asked(detector, name, after=cursor, **how)


def test_an_execution_in_flight_has_no_end() -> None:
    log = [started(0, "t", "Trainer")]
    [node] = asked(detector_of(log), "t")["nodes"]

    assert (node["state"], node["end"]) == ("RUNNING", None)
    assert at(0) == log[0].time_ms
