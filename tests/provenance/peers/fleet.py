"""Logs of several pipelines that share artifacts, and their pipelines in several peers, with JSON between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from stream_app.core.detector import Detector
from stream_app.core.events import Event
from stream_app.core.state.pipeline import Pipeline
from stream_app.provenance.peers import Peer, answer, lineage_over
from tests.support.builders import artifact, ran, run_ended
from tests.support.worlds import OPERATORS

PIPELINES = ("p", "q", "team/r", "s~:", "t")


@st.composite
def shared(draw: st.DrawFn) -> list[Event]:
    """Executions of up to five pipelines that share a few artifacts, of which some pipelines know no versions."""
    pipelines = draw(st.lists(st.sampled_from(PIPELINES), min_size=1, max_size=5, unique=True))
    ids = [f"a{number}" for number in range(draw(st.integers(1, 5)))]
    pairs = st.tuples(st.sampled_from(pipelines), st.sampled_from(ids))
    unversioned = set(draw(st.lists(pairs, max_size=12)))
    log: list[Event] = []
    for number in range(draw(st.integers(1, 16))):
        pipeline = draw(st.sampled_from(pipelines))
        some = st.lists(st.sampled_from(ids), max_size=3, unique=True)
        reads, writes = (
            [artifact(each, versioned=(pipeline, each) not in unversioned) for each in draw(some)] for _ in "rw"
        )
        kind = draw(st.sampled_from(("Transform", "Trainer", "StatisticsGen", "Evaluator", "Pusher")))
        begun = draw(st.integers(0, 12))
        name = draw(st.sampled_from((f"e{number}", "same", "a1")))
        events = ran(
            begun,
            name,
            kind,
            run=draw(st.sampled_from(("r1", "r2", None))),
            reads=reads,
            writes=writes,
            pipeline=pipeline,
        )
        log += events[: draw(st.sampled_from((1, 2, 2, 2)))]
        if draw(st.integers(0, 9)) == 0:
            log.append(run_ended(begun + 2, pipeline=pipeline))
    return log


def split(pipelines: Mapping[str, Pipeline], places: Iterable[int], number: int) -> list[dict[str, Pipeline]]:
    """The pipelines of each of a number of peers; `places` says which peer has which pipeline."""
    parts: list[dict[str, Pipeline]] = [{} for _ in range(number)]
    for (name, pipeline), place in zip(pipelines.items(), places, strict=False):
        parts[place][name] = pipeline
    return parts


def peer(pipelines: Mapping[str, Pipeline], asked: list[dict[str, Any]] | None = None) -> Peer:
    """A peer that has some pipelines; all that is sent is written as JSON and read from it."""

    async def ask(question: dict[str, Any]) -> Any:
        if asked is not None:
            asked.append(question)
        await asyncio.sleep(0)
        return orjson.loads(orjson.dumps(answer(pipelines, OPERATORS, orjson.loads(orjson.dumps(question)))))

    return ask


def peers_of(detector: Detector, places: Iterable[int], number: int) -> list[Peer]:
    """Peers that have the pipelines of a detector among them."""
    return [peer(each) for each in split(detector.pipelines, places, number)]


def asked_over(peers: Sequence[Peer], name: str, **how: Any) -> dict[str, Any]:
    """The lineage of a name over some peers."""
    return asyncio.run(lineage_over(peers, name, **how))
