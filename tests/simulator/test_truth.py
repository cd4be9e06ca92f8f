"""The truth beside the events: it says what happened, and its chances are true chances."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import orjson
import pytest

from stream_app.core.operators import Operators
from stream_app.core.outputs import STAGES
from stream_app.simulator import Fleet, FleetOptions, best_balanced_accuracy, summarise
from stream_app.sources import native
from tests.simulator.recorded_fleet import Json, RecordedFleet, inputs, output_property, outputs, state
from tests.support.oracle import recompute


@pytest.fixture(scope="module")
def rows() -> list[Json]:
    """The truth of six days of the default fleet."""
    fleet = Fleet(FleetOptions(days=6.0, seed=1))
    for _ in fleet.events():
        pass
    return list(fleet.truth())


@pytest.mark.usefixtures("lossless")
def test_a_model_is_pushed_when_a_pusher_that_read_it_says_so() -> None:
    """Truth says pushed exactly where a COMPLETE Pusher with `pushed` = 1 reads the trainer's model."""
    recorded = RecordedFleet(FleetOptions(pipelines=60, days=3.0, seed=2))
    served = {
        model
        for pusher in recorded.of_type("Pusher")
        if state(pusher) == "COMPLETE" and output_property(pusher, "PushedModel", "pushed") == 1
        for model in inputs(pusher, "Model")
    }
    pushed = {
        trainer[0]["execution"]["id"]: not served.isdisjoint(outputs(trainer, "Model"))
        for trainer in recorded.of_type("Trainer")
        if state(trainer) != "CACHED"
    }

    assert {row["trainer"]: row["pushed"] for row in recorded.truth} == pushed
    assert sum(pushed.values()) > 50


@pytest.mark.slow
@pytest.mark.usefixtures("lossless")
def test_truth_is_the_outcome_that_the_events_have() -> None:
    """The batch oracle finds the same graphlets, and the same ones pushed, warm starts, baselines and all."""
    fleet = Fleet(FleetOptions(pipelines=25, days=2.5, seed=3))
    events = [native.decode(orjson.dumps(event), None) for event in fleet.events()]
    found = recompute(events, operators=Operators(), horizon_ms=14 * 86_400_000)["graphlets"]

    assert {row["graphlet"]: row["pushed"] for row in fleet.truth()} == {
        graphlet: recorded["outcome"] == "pushed" for graphlet, recorded in found.items()
    }


@pytest.mark.slow
def test_the_chances_are_calibrated(rows: list[Json]) -> None:
    """At every stage, in every tenth of the chances, as many are pushed as they say, within chance itself."""
    for stage, tenth in product(STAGES, range(10)):
        chances = [(row["p"][stage], row["pushed"]) for row in rows if stage in row["p"]]
        binned = [(p, pushed) for p, pushed in chances if tenth / 10 <= p < (tenth + 1) / 10]
        expected = sum(p for p, _ in binned)
        spread = math.sqrt(sum(p * (1 - p) for p, _ in binned))
        pushed = sum(pushed for _, pushed in binned)

        assert abs(pushed - expected) <= 3.5 * spread + 0.5, (stage, tenth)


def test_the_stages_tell_ever_more_but_never_all(rows: list[Json]) -> None:
    """The best balanced accuracy that the world's own chances allow rises by stage, and leaves luck at each."""
    best = summarise(rows).best_balanced_accuracy

    assert 0.85 <= best["input"] <= 0.92
    assert best["input"] < best["preprocess"] < best["train"] < best["validate"]
    assert 0.95 <= best["validate"] <= 0.98


def test_about_one_model_in_nine_is_pushed(rows: list[Json]) -> None:
    """The default fleet pushes 9 to 13 % of the models it trains; the rest is waste."""
    summary = summarise(rows)

    assert 0.09 <= summary.pushed_share <= 0.13
    assert summary.trained == len(rows)
    assert summary.wasted_share == pytest.approx(
        sum(r["cost_node_seconds"] for r in rows if not r["pushed"]) / sum(r["cost_node_seconds"] for r in rows)
    )


def test_stages_that_were_not_reached_have_no_chance(rows: list[Json]) -> None:
    """Stages come in order without gaps, but for pipelines that validate nothing."""
    for row in rows:
        reached = list(row["p"])

        assert reached == [stage for stage in STAGES if stage in row["p"]]
        assert reached[:2] == list(STAGES[:2])
        assert all(0.0 <= p <= 1.0 for p in row["p"].values())
        assert not row["pushed"] or "train" in reached


def test_truth_can_be_read_while_events_are() -> None:
    """Each row is told once, whenever it is asked for."""
    options = FleetOptions(pipelines=10, days=3.0, seed=5)
    fleet, whole = Fleet(options), Fleet(options)
    recorded: list[Json] = []
    for count, _ in enumerate(fleet.events()):
        if count % 100 == 0:
            recorded.extend(fleet.truth())
    recorded.extend(fleet.truth())
    for _ in whole.events():
        pass

    assert recorded == list(whole.truth())
    assert list(fleet.truth()) == []


def thresholds(chances: list[float]) -> Iterator[float]:
    yield from chances
    yield 2.0


def test_best_balanced_accuracy_is_that_of_the_best_threshold() -> None:
    """The sweep finds what trying every threshold finds, ties included."""
    for code in product(((0.1, 0), (0.1, 1), (0.5, 0), (0.5, 1), (0.9, 1)), repeat=4):
        chances, pushed = [p for p, _ in code], [y for _, y in code]
        ones, zeros = sum(pushed), len(pushed) - sum(pushed)
        if not ones or not zeros:
            assert best_balanced_accuracy(chances, pushed) == 0.5
            continue
        tried = [
            (sum(y for p, y in code if p >= threshold) / ones + sum(1 - y for p, y in code if p < threshold) / zeros)
            / 2
            for threshold in thresholds(chances)
        ]

        assert best_balanced_accuracy(chances, pushed) == pytest.approx(max(tried))
