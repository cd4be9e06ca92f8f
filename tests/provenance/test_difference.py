"""What differs between a graphlet and the last that was pushed before it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.operators import Operators
from stream_app.provenance.difference import LISTED_MAX, difference, last_pushed_before, portrait
from tests.provenance.two_runs import NEXT, PUSHED, events
from tests.support.builders import artifact, ended, ran, started

OPERATORS = Operators()


def seen(happened: list[Event]) -> Detector:
    """A detector after some events; nothing needs a learner."""
    detector = Detector(Settings())
    for event in happened:
        detector.step(event)
    return detector


def compared(happened: list[Event], trainer: str = "r2-train", pipeline: str = "p") -> dict[str, Any]:
    """The difference of a trainer's graphlet from the last push before it."""
    state = seen(happened).pipelines[pipeline]
    graphlet = state.graphlets[trainer]
    other = last_pushed_before(state, graphlet)
    before = portrait(*other, OPERATORS) if other is not None else None
    return difference(portrait(state, graphlet, OPERATORS), before)


@pytest.fixture
def found() -> dict[str, Any]:
    return compared(events())


def of(found: dict[str, Any], name: str) -> Any:
    return found["difference"][name]


def test_it_says_what_is_compared(found: dict[str, Any]) -> None:
    assert [(found[side]["graphlet"], found[side]["outcome"]) for side in ("against", "graphlet")] == [
        ("p/r1-train", "pushed"),
        ("p/r2-train", "not_pushed"),
    ]
    assert found["against"]["started"] == "2023-11-14T22:17:20.000Z"


def test_data_is_added_removed_and_kept(found: dict[str, Any]) -> None:
    """What ingest wrote, and what comes from outside; what the run made itself is no data."""
    assert of(found, "data") == {
        "added": {"count": 1, "first": ["s3"]},
        "removed": {"count": 1, "first": ["s1"]},
        "kept": {"count": 2, "first": ["s2", "schema"]},
    }


def test_code_and_properties_that_changed_have_both_values(found: dict[str, Any]) -> None:
    """What is equal in both is left out."""
    assert of(found, "code_version") == {"before": "c1", "after": "c2"}
    assert of(found, "properties") == {
        "count": 1,
        "first": [{"property": "train.optimizer", "before": "adam", "after": "sgd"}],
    }


def test_metrics_have_both_values_and_their_difference(found: dict[str, Any]) -> None:
    """Those of executions and of what they wrote; one that only one of the two reports has no difference."""
    assert of(found, "metrics") == {
        "count": 4,
        "first": [
            {"metric": "preprocess.rows", "before": 1000.0, "after": 900.0, "difference": -100.0},
            {"metric": "train.auc", "before": 0.75, "after": 0.5, "difference": -0.25},
            {"metric": "train.recall", "before": None, "after": 0.25, "difference": None},
            {"metric": "train.steps", "before": 100.0, "after": None, "difference": None},
        ],
    }


def test_cost_and_durations_are_by_operator_group(found: dict[str, Any]) -> None:
    """In node-seconds and seconds; of the run as a whole too."""
    cost = {each["group"]: (each["before"], each["after"], each["difference"]) for each in of(found, "cost")}
    durations = {each["group"]: (each["before"], each["after"]) for each in of(found, "durations")}

    assert list(cost) == ["ingest", "preprocess", "train", "validate", "deploy"]
    assert cost["train"] == (3600.0, 3 * 3600.0, 2 * 3600.0)
    assert cost["deploy"] == (60.0, None, None)
    assert durations == {
        "ingest": (60.0, 60.0),
        "preprocess": (60.0, 60.0),
        "train": (3600.0, 10800.0),
        "validate": (60.0, 60.0),
        "deploy": (60.0, None),
        "whole": (68 * 60.0, 186 * 60.0),
    }


def test_operators_are_added_removed_and_counted() -> None:
    """A type that both have is named where its number differs."""
    more = replace(NEXT, spans=("s3", "s4"), validators=("Evaluator", "ModelValidator"))

    assert of(compared([*PUSHED.events(), *more.events()]), "operators") == {
        "added": {"count": 1, "first": ["ModelValidator"]},
        "removed": {"count": 2, "first": ["InfraValidator", "Pusher"]},
        "changed": {"count": 1, "first": [{"operator": "ExampleGen", "before": 2, "after": 3}]},
    }


def test_a_training_that_runs_has_no_duration_yet() -> None:
    happened = [*PUSHED.events(), *(e for e in NEXT.events() if not (e.execution_type == "Trainer" and e.outputs))]
    durations = {each["group"]: each["after"] for each in of(compared(happened), "durations")}

    assert (durations["preprocess"], durations["train"], durations["whole"]) == (60.0, None, None)


def test_equal_graphlets_differ_in_nothing() -> None:
    found = compared([*PUSHED.events(), *replace(PUSHED, run="r2", minute=1000).events()])

    assert of(found, "properties")["count"] == 0
    assert {each["difference"] for each in of(found, "metrics")["first"]} == {0.0}
    assert {each["difference"] for part in ("cost", "durations") for each in of(found, part)} == {0.0}
    assert [of(found, "data")[name]["count"] for name in ("added", "removed", "kept")] == [0, 0, 3]
    assert all(each["count"] == 0 for each in of(found, "operators").values())


def test_the_order_of_events_does_not_matter(found: dict[str, Any]) -> None:
    for seed in range(5):
        shuffled = events()
        random.Random(seed).shuffle(shuffled)
        assert compared(shuffled) == found


class TestAgainst:
    """Which graphlet is compared with."""

    def test_the_pushed_one_that_started_last_before(self) -> None:
        """Neither one that was not pushed, nor a later one, nor the graphlet itself."""
        runs = [
            replace(PUSHED, run="r0", minute=-1000),
            PUSHED,
            replace(PUSHED, run="refused", minute=500, pushed=False),
            replace(NEXT, pushed=True),
            replace(PUSHED, run="r3", minute=2000),
        ]
        happened = [event for run in runs for event in run.events()]

        assert compared(happened)["against"]["run"] == "r1"
        assert compared(happened, "r1-train")["against"]["run"] == "r0"
        assert compared(happened, "r3-train")["against"]["run"] == "r2"

    def test_none_where_nothing_was_pushed_before(self) -> None:
        """Pushes of other pipelines do not count."""
        found = compared([*PUSHED.events("q"), *NEXT.events()])

        assert found["graphlet"]["graphlet"] == "p/r2-train"
        assert (found["against"], found["difference"]) == (None, None)


def test_long_lists_are_cut_and_counted() -> None:
    spans = tuple(f"new-{number:03}" for number in range(LISTED_MAX + 7))
    properties = {f"m{number:03}": float(number) for number in range(LISTED_MAX + 7)}
    found = compared([*PUSHED.events(), *replace(NEXT, spans=spans, properties=properties).events()])

    assert of(found, "data")["added"] == {"count": LISTED_MAX + 7, "first": list(spans[:LISTED_MAX])}
    assert len(of(found, "metrics")["first"]) == LISTED_MAX
    assert of(found, "metrics")["count"] == len(properties) + 3


def test_metrics_that_differ_come_first() -> None:
    same = replace(NEXT, properties={**PUSHED.properties, "z": 1.0})

    assert [each["metric"] for each in of(compared([*PUSHED.events(), *same.events()]), "metrics")["first"]] == [
        "preprocess.rows",
        "train.z",
        "train.auc",
        "train.steps",
    ]


def test_a_warm_start_and_a_shared_span_are_what_they_are() -> None:
    """An older model is no data; a span that another run ingested is, and its ingestion does not prolong the run."""
    happened = [
        *ran(0, "gen", "ExampleGen", run="r0", writes=["span"]),
        *ran(2, "old", "Trainer", run="r0", reads=["span"], writes=["old-model"]),
        *ran(4, "push", "Pusher", run="r0", reads=["old-model"]),
        started(5000, "new", "Trainer", run="r1", reads=["span", "old-model", artifact("table", versioned=False)]),
        ended(5060, "new", "Trainer", run="r1", writes=["new-model"]),
    ]
    found = compared(happened, "new")

    assert of(found, "data")["kept"]["first"] == ["span"]
    assert of(found, "data")["added"]["first"] == ["table"]
    durations = {each["group"]: each["after"] for each in of(found, "durations")}
    assert (durations["whole"], durations["ingest"]) == (3600.0, None)
