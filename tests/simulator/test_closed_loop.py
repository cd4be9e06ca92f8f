"""The closed loop: what a prune stops, what it leaves alone, and how its pipeline lives on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from stream_app.simulator import Fleet, FleetOptions
from tests.simulator.recorded_fleet import Json, inputs, outputs, time_ms

OPTIONS = FleetOptions(pipelines=12, days=5.0, seed=4)

pytestmark = pytest.mark.usefixtures("lossless")


class Loop:
    """A fleet whose runs `decide` may prune, seeing this loop: what was handed out and asked so far."""

    def __init__(self, decide: Callable[[Loop, str, str], str | None]) -> None:
        self.events: list[Json] = []
        #: (pipeline, run) -> times asked.
        self.asked: Counter[tuple[str, str]] = Counter()
        #: Run -> its Trainer events so far.
        self.trained: Counter[str] = Counter()
        self._decide = decide
        fleet = Fleet(OPTIONS)
        for event in fleet.events(self._prune):
            self.events.append(event)
            if event["execution"]["type"] == "Trainer" and "run" in event:
                self.trained[event["run"]] += 1
        self.truth = list(fleet.truth())

    def of(self, pipeline: str) -> list[Json]:
        """What one pipeline told."""
        return [event for event in self.events if event["pipeline"] == pipeline]

    def _prune(self, pipeline: str, run: str) -> str | None:
        self.asked[pipeline, run] += 1
        return self._decide(self, pipeline, run)


def prune_in_training(loop: Loop, pipeline: str, run: str) -> str | None:
    """Prunes when a run's first Trainer event was handed out, as a detector that has seen it start would."""
    return f"{pipeline}/{run}#1" if loop.trained[run] == 1 else None


@pytest.fixture(scope="module")
def twin() -> Loop:
    """The fleet that is never pruned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream_app.simulator.fleet.delays", lambda *_: (0,))
        return Loop(lambda *_: None)


@pytest.fixture(scope="module")
def busy(twin: Loop) -> str:
    """The pipeline with the most pushes out of runs."""
    return Counter(row["pipeline"] for row in twin.truth if row["pushed"] and row["run"]).most_common(1)[0][0]


def test_a_hook_that_never_prunes_changes_nothing(twin: Loop) -> None:
    """Closed loop without prunes is the open loop, events and truth."""
    fleet = Fleet(OPTIONS)

    assert list(fleet.events()) == twin.events
    assert list(fleet.truth()) == twin.truth


def test_only_runs_that_were_told_of_are_asked_about_and_often(twin: Loop) -> None:
    """The hook is asked with pipelines and runs that events name, at every step of a run from preprocessing on."""
    assert set(twin.asked) <= {(event["pipeline"], event.get("run")) for event in twin.events}
    assert max(twin.asked.values()) >= 5


def test_a_prune_leaves_other_pipelines_and_the_past_as_they_were(twin: Loop, busy: str) -> None:
    """The twin that was never pruned is the same up to the cut, and everywhere else for good."""
    cut: list[int] = []

    def prune_once(loop: Loop, pipeline: str, _: str) -> str | None:
        if pipeline != busy or cut or len(loop.of(busy)) < 100:
            return None
        cut.append(len(loop.of(busy)))
        return "verdict-1"

    loop = Loop(prune_once)

    assert [e for e in loop.events if e["pipeline"] != busy] == [e for e in twin.events if e["pipeline"] != busy]
    assert loop.of(busy)[: cut[0]] == twin.of(busy)[: cut[0]]
    assert loop.of(busy) != twin.of(busy)


def test_a_pruned_pipeline_starts_its_runs_and_meets_its_data_when_its_twin_does(twin: Loop, busy: str) -> None:
    """Pruning every run of a pipeline moves none of its starts and none of its data."""
    loop = Loop(lambda _, pipeline, __: "v" if pipeline == busy else None)

    def starts(events: list[Json]) -> list[tuple[str, str]]:
        return [(event["id"], event["time"]) for event in events if event["id"].endswith("#1")]

    def data(events: list[Json]) -> list[tuple[str, list[str]]]:
        return [(event["time"], outputs([event], "Examples")) for event in events if outputs([event], "Examples")]

    assert starts(loop.of(busy)) == [s for s in starts(twin.of(busy)) if "release" not in s[0]]
    assert data(loop.of(busy)) == data(twin.of(busy))


def test_a_prune_cancels_the_trainer_and_its_run_and_nothing_follows() -> None:
    """A trainer that runs is CANCELED and its run too, both naming the verdict, and the rest never happens."""
    loop = Loop(prune_in_training)
    pruned = {row["run"]: row for row in loop.truth if row["pruned_by"]}
    rest: dict[str, list[Json]] = {run: [] for run in pruned}
    for event in loop.events:
        run = event.get("run")
        if run in rest and (rest[run] or "pruned_by" in event.get("properties", {})):
            rest[run].append(event)

    assert len(pruned) > 50
    for run, row in pruned.items():
        assert {event["execution"]["state"] for event in rest[run]} == {"CANCELED"}
        assert {event["properties"]["pruned_by"] for event in rest[run]} == {f"{row['pipeline']}/{run}#1"}
        assert [event["execution"]["type"] for event in rest[run]].count("Trainer") == 1
        assert rest[run][-1]["execution"] == {"id": run, "type": "PipelineRun", "state": "CANCELED"}
        assert not row["pushed"]
        assert set(row["p"]) == {"input", "preprocess"}


def test_a_trainer_pruned_early_costs_little_of_what_its_twin_costs(twin: Loop) -> None:
    """What was not computed is not charged."""
    costs = {row["trainer"]: row["cost_node_seconds"] for row in twin.truth}
    rows = [row for row in Loop(prune_in_training).truth if row["pruned_by"] and row["trainer"] in costs]

    assert sum(row["cost_node_seconds"] for row in rows) < 0.5 * sum(costs[row["trainer"]] for row in rows)


def test_a_pruned_run_leaves_no_model_behind() -> None:
    """Nothing reads a model of a run that was pruned before it was trained, and none of it is pushed."""
    loop = Loop(lambda _, __, run: "v" if int(run[-1]) % 2 else None)
    pruned = {event["run"] for event in loop.events if "pruned_by" in event.get("properties", {})}
    read = {model for event in loop.events for model in inputs([event], "Model")}

    assert len(pruned) > 50
    assert not {f"{run}/model" for run in pruned} & {model.rpartition("/model")[0] + "/model" for model in read}
    assert not any(row["pushed"] for row in loop.truth if row["run"] in pruned)


def test_pushes_that_pruning_prevents_come_when_runs_may_go_on(busy: str) -> None:
    """A pipeline whose runs are all pruned for a while is due still, and its next runs are likely to be pushed."""
    half_ms = (OPTIONS.start_ms + OPTIONS.end_ms) // 2
    loop = Loop(lambda now, pipeline, _: "v" if pipeline == busy and time_ms(now.events[-1]) < half_ms else None)
    later = [row for row in loop.truth if row["pipeline"] == busy and row["run"]]

    assert any("pruned_by" in event.get("properties", {}) for event in loop.of(busy))
    assert max(row["p"]["input"] for row in later[:3]) > 0.3
    assert any(row["pushed"] for row in later[:8])
