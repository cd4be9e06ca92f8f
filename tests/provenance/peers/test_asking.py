"""Lineage over several peers is what one process answers that has all their pipelines."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.core.detector import Detector
from stream_app.core.events import Event
from stream_app.core.ids import graphlet_id
from stream_app.errors import OptionsError, StreamAppError
from stream_app.provenance.names import UnknownNameError
from stream_app.provenance.peers import MovedError, Peer
from tests.provenance.graphs import asked, detector_of, worlds
from tests.provenance.peers.fleet import asked_over, peer, peers_of, shared, split
from tests.support.builders import ran

HOW = st.fixed_dictionaries(
    {
        "direction": st.sampled_from(("up", "down", "both")),
        "depth": st.sampled_from((0, 1, 2, 50)),
        "limit": st.integers(1, 8),
        "across": st.sampled_from((True, True, False)),
    }
)


def names_of(detector: Detector) -> list[str]:
    """Names of all there is, of versions that may be there, and of what is unknown or ambiguous."""
    found = []
    for pipeline in detector.pipelines.values():
        found += [f"{pipeline.name}/{each}" for each in pipeline.executions]
        found += [f"{pipeline.name}/artifact:{each}" for each in pipeline.artifacts]
        found += [f"{pipeline.name}/run:{each}" for each in pipeline.runs]
        found += [f"{pipeline.name}/artifact:a0:{each}" for each in list(pipeline.executions)[:2]]
    return [*found, "same", "a1", "run:r1", "artifact:a0", "q/same", "p/", "nothing"]


def answered(ask: Any, *where: Any, **how: Any) -> Any:
    """An answer as JSON, or the error with its kind."""
    try:
        return orjson.dumps(ask(*where, **how))
    except StreamAppError as error:
        return type(error), str(error)


@settings(max_examples=250)
@given(data=st.data(), events=st.one_of(shared(), shared(), shared(), worlds()), how=HOW, number=st.integers(1, 4))
def test_all_pages_are_those_of_one_process(
    data: st.DataObject, events: list[Event], how: dict[str, Any], number: int
) -> None:
    """Every byte of them, for any name, wherever the pipelines are; and so is the error, where there is one."""
    detector = detector_of(events)
    places = data.draw(st.lists(st.integers(0, number - 1), min_size=5, max_size=5), label="places")
    peers = peers_of(detector, places, number)
    name = data.draw(st.sampled_from(names_of(detector)), label="name")
    after = None
    while True:
        page = answered(asked, detector, name, after=after, **how)
        assert answered(asked_over, peers, name, after=after, **how) == page
        after = orjson.loads(page)["next"] if isinstance(page, bytes) else None
        if after is None:
            return


def test_the_texts_of_names_may_be_anything() -> None:
    """Too long for a message or no text in UTF-8, a name names nothing, as in one process."""
    detector = detector_of(ran(0, "gen", "CsvExampleGen"))
    for name in ("\ud800", "x" * 20_000, "", "/" * 10_001, "ge\udfffn"):
        with pytest.raises(
            UnknownNameError, match="no such execution, artifact or run; there are, for instance, p/gen"
        ):
            asked_over(peers_of(detector, [0], 2), name)
    with pytest.raises(UnknownNameError, match=r"^gen: no such execution, artifact or run; there is none at all$"):
        asked_over([], "gen")


def test_the_best_of_all_similar_names_are_named() -> None:
    """Those of one peer alone would send the reader astray."""
    log = [event for name in ("trainer-1", "evaluate", "push") for event in ran(0, name, "Other", pipeline=name)]
    detector = detector_of(log)
    for name in ("trainer-2", "valuate", "zzz", "PUSH"):
        with pytest.raises(UnknownNameError) as alone:
            asked(detector, name)
        with pytest.raises(UnknownNameError) as together:
            asked_over(peers_of(detector, [0, 1, 2], 3), name)
        assert str(together.value) == str(alone.value)


# Bounds


def chain(length: int) -> list[Event]:
    """Pipelines that hand an artifact on, one to the next."""
    log: list[Event] = []
    for number in range(length):
        log += ran(
            2 * number, f"e{number}", "Transform",
            reads=[f"x{number}"], writes=[f"x{number + 1}"], pipeline=f"p{number:03}",
        )  # fmt: skip
    return log


def fan(readers: int) -> list[Event]:
    """An artifact that many pipelines read."""
    log = ran(0, "gen", "CsvExampleGen", writes=["hub"], pipeline="source")
    for number in range(readers):
        log += ran(1, "read", "StatisticsGen", reads=["hub"], pipeline=f"p{number:03}")
    return log


@given(nodes=st.integers(0, 12), direction=st.sampled_from(("up", "down", "both")), events=shared())
@settings(max_examples=60)
def test_the_bound_of_nodes_is_that_of_one_process(nodes: int, direction: str, events: list[Event]) -> None:
    """It holds for all peers together, and is reached in the same answers."""
    detector = detector_of(events)
    pipeline = next(iter(detector.pipelines.values()))
    name = graphlet_id(pipeline.name, next(iter(pipeline.executions)))
    how: dict[str, Any] = {"direction": direction, "across": True, "nodes_max": nodes, "limit": 1_000}
    page = asked_over(peers_of(detector, [0, 1, 0, 1, 0], 2), name, **how)

    assert page["truncated"] == asked(detector, name, **how)["truncated"]
    assert len(page["nodes"]) <= nodes


@pytest.mark.parametrize("across", [True, False])
def test_the_bound_of_edges_truncates_the_answer(across: bool) -> None:
    """Of a peer, and of all together, where each has less."""
    log = fan(40) if across else [event for n in range(40) for event in ran(1, f"read{n}", "Other", reads=["hub"])]
    detector = detector_of(log)
    name = "source/artifact:hub" if across else "p/artifact:hub"
    how: dict[str, Any] = {"across": across, "direction": "down", "limit": 1_000}
    peers = peers_of(detector, [number % 4 for number in range(41)], 4)
    pages = [asked_over(peers, name, edges_max=bound, **how) for bound in (0, 1, 5, 20, 5_000, 500_000)]

    assert [page["truncated"] for page in pages] == [True] * 4 + [False] * 2
    assert len(pages[-1]["nodes"]) > len(pages[2]["nodes"])
    assert pages[-1]["nodes"] == asked(detector, name, **how)["nodes"]


def test_the_bound_of_a_question_is_not_that_of_the_walk() -> None:
    """Many small questions may follow each other: no peer is busy for long with one of them."""
    detector = detector_of(chain(11))
    questions: list[dict[str, Any]] = []
    peers = [peer(each, questions) for each in split(detector.pipelines, [number % 3 for number in range(11)], 3)]
    how: dict[str, Any] = {"across": True, "limit": 1_000}

    assert asked_over(peers, "p005/e5", question_edges_max=20, **how) == asked(detector, "p005/e5", **how)
    assert {each["edges"] for each in questions if "edges" in each} == {20}
    assert asked_over(peers, "p005/e5", edges_max=20, **how)["truncated"]
    assert asked_over(peers, "p005/e5", question_edges_max=3, **how)["truncated"]
    assert asked_over(peers, "p005/e5", question_edges_max=1)["truncated"]


@pytest.mark.parametrize(("direction", "rounds"), [("down", 10), ("up", 20), ("both", 20)])
def test_the_bound_of_rounds_truncates_the_answer(direction: str, rounds: int) -> None:
    """A walk takes a round a hop down, and another one where versions of other pipelines may be read."""
    detector = detector_of(chain(11))
    name = "p000/e0" if direction == "down" else "p010/e10"
    peers = peers_of(detector, [number % 3 for number in range(11)], 3)
    how: dict[str, Any] = {"across": True, "direction": direction, "limit": 1_000}
    enough = asked_over(peers, name, rounds_max=rounds + 2, **how)
    few = asked_over(peers, name, rounds_max=rounds // 2, **how)

    assert enough == asked(detector, name, **how)
    assert not enough["truncated"]
    assert few["truncated"]
    assert few["nodes"] == enough["nodes"][: len(few["nodes"])]
    assert 0 < len(few["nodes"]) < len(enough["nodes"])


def test_a_peer_is_asked_once_a_level() -> None:
    """However many nodes the level has, and only the one that has the pipeline where nothing leads out of it."""
    detector = detector_of(fan(200))
    questions: list[dict[str, Any]] = []
    parts = split(detector.pipelines, [number % 4 for number in range(201)], 4)
    peers = [peer(each, questions) for each in parts]
    asked_over(peers, "source/artifact:hub", across=True, direction="down", limit=1_000)

    assert Counter(each["ask"] for each in questions) == {"find": 4, "roots": 4, "executions": 4, "nodes": 4}
    questions.clear()
    asked_over(peers, "source/artifact:hub", direction="down")
    assert Counter(each["ask"] for each in questions) == {"find": 4, "page": 1}


# Bad input


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"direction": "sideways"}, "direction: expected one of up, down, both"),
        ({"depth": -1}, "depth: expected a number of hops from 0 to 10000"),
        ({"limit": 0}, "limit: expected a number from 1 to 1000"),
        ({"after": "nonsense!"}, "after: expected the cursor"),
        ({"after": ""}, "after: expected the cursor"),
    ],
)
@pytest.mark.parametrize("across", [True, False])
def test_a_parameter_out_of_its_bounds_is_refused(how: dict[str, Any], says: str, across: bool) -> None:
    """With what is expected, as in one process."""
    detector = detector_of(fan(3))
    with pytest.raises(OptionsError, match=f"^{says}"):
        asked_over(peers_of(detector, [0, 1, 0, 1], 2), "gen", across=across, **how)


# Peers that fail, and pipelines that move


class AwayError(Exception):
    """What a caller's function raises where it reaches nobody."""


def faulty(peers: Sequence[Peer], ask: str, fault: Callable[[dict[str, Any]], Any]) -> list[Peer]:
    """Peers whose answers to one kind of question pass through a fault."""

    def wrapped(peer: Peer) -> Peer:
        async def asked(question: dict[str, Any]) -> Any:
            found = await peer(question)
            return fault(found) if question["ask"] == ask else found

        return asked

    return [wrapped(peer) for peer in peers]


@pytest.mark.parametrize("ask", ["find", "roots", "executions", "versions", "nodes", "page", "similar"])
def test_what_a_peer_raises_is_raised(ask: str) -> None:
    """As it is, whatever was asked, and nothing that was asked of others goes on behind it."""

    def away(_: Any) -> Any:
        raise AwayError

    detector = detector_of(chain(4))
    peers = faulty(peers_of(detector, [0, 1, 0, 1], 2), ask, away)
    with pytest.raises(AwayError):
        asked_over(peers, "unknown" if ask == "similar" else "p002/e2", across=ask != "page")


def test_the_other_questions_of_a_round_end_when_one_fails() -> None:
    """The caller may close its connections then."""
    ended = []

    async def away(_: Any) -> Any:
        raise AwayError

    async def slow(_: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(AwayError):
        asked_over([slow, away, slow], "gen")

    assert ended == [True, True]


@pytest.mark.parametrize("ask", ["roots", "executions", "nodes", "page"])
@pytest.mark.parametrize("name", ["p002/e2", "p002/artifact:x2", "p002/run:r1"])
def test_a_pipeline_that_moved_meanwhile_is_an_error_of_its_own(ask: str, name: str) -> None:
    """An answer without it would be wrong, and nobody could see that."""
    parts = split(detector_of(chain(4)).pipelines, [0, 1, 0, 1], 2)

    def moving(number: int) -> Peer:
        there = peer(parts[number])

        async def asked(question: dict[str, Any]) -> Any:
            if question["ask"] == ask:
                parts[0].pop("p002", None)
            return await there(question)

        return asked

    with pytest.raises(MovedError, match=r"^p002/.* is not here, or no longer$"):
        asked_over([moving(0), moving(1)], name, across=ask != "page")
