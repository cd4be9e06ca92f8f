"""Lineage over several peers is what one process answers that has all their pipelines."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.core.detector import Detector
from stream_app.core.events import Event
from stream_app.errors import StreamAppError
from tests.provenance.graphs import asked, detector_of, worlds
from tests.provenance.peers.fleet import asked_over, peers_of, shared

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
    found = {"nothing", "p/", "same", "a1", "run:r1", "artifact:a0", "q/same"}
    for pipeline in detector.pipelines.values():
        found |= {f"{pipeline.name}/{each}" for each in pipeline.executions}
        found |= {f"{pipeline.name}/artifact:{each}" for each in pipeline.artifacts}
        found |= {f"{pipeline.name}/run:{each}" for each in pipeline.runs}
        found |= {f"{pipeline.name}/artifact:a0:{each}" for each in list(pipeline.executions)[:2]}
    return sorted(found)


def answered(ask: Any, *where: Any, **how: Any) -> Any:
    """An answer as JSON, or the error with its kind."""
    try:
        return orjson.dumps(ask(*where, **how))
    except StreamAppError as error:
        return type(error), str(error)


@settings(max_examples=400)
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
