"""What is sent when a graphlet is closed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app import wire
from stream_app.core.outputs import NOT_PUSHED, OPEN, PRUNED, PUSHED, UNKNOWN, Closed
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.processing.closed_graphlets import MAX_GRAPHLET, closed_graphlet
from tests.test_schemas import validator

NAMES = Names("g")
Ids = tuple[str, ...]
PARTS = ("up", "down", "side")


def graphlet(
    name: str,
    *up: str,
    down: tuple[str, ...] = (),
    side: tuple[str, ...] = (),
    outcome: str = PUSHED,
    cause: Any = None,
) -> dict[str, Any]:
    """A graphlet as the detector describes it."""
    return {
        "graphlet": name, "pipeline": "p", "run": "r", "trainer": "t", "up": [*up], "down": [*down], "side": [*side],
        "outcome": outcome, "cause": cause, "time_ms": 1_700_000_000_000, "cost": {"train": 2_500},
    }  # fmt: skip


def sent(record: dict[str, Any]) -> dict[str, Any]:
    """The value of the record of a graphlet, which fits its schema."""
    value = closed_graphlet(NAMES, Closed(record)).value or b""
    document: dict[str, Any] = orjson.loads(value)
    validator("graphlet").validate(document)
    assert len(value) <= MAX_GRAPHLET
    return document


def test_a_closed_graphlet_is_sent_as_it_is() -> None:
    """Keyed by its id, with members, cost in node-seconds and outcome."""
    record = graphlet("p/t", "gen", down=("eval",), side=("stats",))
    message = closed_graphlet(NAMES, Closed(record))

    assert (message.topic, message.key, message.headers) == ("g-graphlets", b"p/t", ())
    assert orjson.loads(message.value or b"") == {
        "version": wire.VERSION, "graphlet": "p/t", "pipeline": "p", "run": "r", "trainer": "t",
        "up": ["gen"], "down": ["eval"], "side": ["stats"], "members_omitted": 0, "cost": {"train": 2.5},
        "outcome": "pushed", "pushed": True, "cause": "pushed", "time": "2023-11-14T22:13:20.000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "cause", "expected"),
    [
        (PUSHED, None, (True, "pushed")),
        (NOT_PUSHED, "failed", (False, "failed")),
        (PRUNED, None, (None, "pruned")),
        (UNKNOWN, "registry_gap", (None, "registry_gap")),
        (OPEN, None, (None, None)),
    ],
)
def test_every_outcome_has_its_label_and_cause(outcome: str, cause: str | None, expected: tuple[Any, Any]) -> None:
    """As the example of the graphlet has them; one that was evicted without an outcome has no time either."""
    document = sent(graphlet("p/t", outcome=outcome, cause=cause))

    assert (document["outcome"], document["pushed"], document["cause"]) == (outcome, *expected)
    assert (document["time"] is None) == (outcome == OPEN)


def test_ten_thousand_members_fit() -> None:
    """With ids of the length of those that orchestrators make."""
    members = [f"run-2026-03-01T00:00:00+00:00/task-{number:05d}/attempt-1/0f8fad5b-d9cb" for number in range(10_000)]
    document = sent(graphlet("p/t", *members))

    assert (document["up"], document["members_omitted"]) == (members, 0)


@given(
    st.lists(st.integers(0, 900), min_size=3, max_size=3),
    st.sampled_from(["x" * 1_000, "é" * 1_000, '"' * 1_000, "\x01" * 1_000, "\U0001f600" * 250]),
)
def test_a_graphlet_that_is_too_large_says_how_many_members_are_left_out(counts: list[int], text: str) -> None:
    """They are left out from the end, of `side` first; everything else is there, also the cost of all members."""
    members = {part: [f"{n:04d}{text}" for n in range(count)] for part, count in zip(PARTS, counts, strict=True)}
    record = {**graphlet("p/t"), **members}
    document = sent(record)
    kept = [each for part in PARTS for each in document[part]]
    every = [each for part in PARTS for each in members[part]]

    assert kept == every[: len(kept)]
    assert len(kept) + document["members_omitted"] == len(every)
    whole = len(orjson.dumps(wire.closed_to_dict(Closed(record))))
    assert (document["members_omitted"] == 0) == (whole <= MAX_GRAPHLET)
    if document["members_omitted"]:  # there is no room for one more
        assert len(orjson.dumps(document)) + 7_000 > MAX_GRAPHLET
    assert {**document, **dict.fromkeys((*PARTS, "members_omitted"))} == {
        **wire.closed_to_dict(Closed(record)), **dict.fromkeys((*PARTS, "members_omitted")),
    }  # fmt: skip
