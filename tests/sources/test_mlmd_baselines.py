"""A model that an execution compares with is no input of the graph: a push must not reach its graphlet."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.sources.mlmd import Cursor, Rules, Store, follow
from tests.sources.mlmd_store import OUTPUT, StoreWriter
from tests.support.mlmd_results import detector_of, events_in, outcomes_in, results

TRAIN = "tfx.components.trainer.component.Trainer"
EVALUATE = "tfx.components.evaluator.component.Evaluator"
PUSH = "tfx.components.pusher.component.Pusher"
RESOLVE = "tfx.dsl.components.common.resolver.Resolver"


def notebook(writer: StoreWriter, *keys: str) -> None:
    """Model A is refused; B, which is compared with it, is pushed. Each component is a run of its own."""
    first, second = writer.artifact(0), writer.artifact(60)
    blessings = [writer.artifact(15, "ModelBlessing", blessed=0), writer.artifact(75, "ModelBlessing", blessed=1)]
    pushed = [writer.artifact(17, "PushedModel", pushed=0), writer.artifact(77, "PushedModel", pushed=1)]
    writer.done(0, 10, TRAIN, writes=[first], run="train A")
    writer.done(11, 15, EVALUATE, reads=[(first, "model")], writes=blessings[:1], run="evaluate A")
    writer.done(16, 17, PUSH, reads=[(first, "model"), blessings[0]], writes=pushed[:1], run="push A")
    writer.done(60, 70, TRAIN, writes=[second], run="train B")
    writer.done(
        71, 75, EVALUATE, reads=[(second, "model"), (first, " ".join(keys))], writes=blessings[1:], run="evaluate B"
    )
    writer.done(76, 77, PUSH, reads=[(second, "model"), blessings[1]], writes=pushed[1:], run="push B")


def inputs_of(path: Path, execution: str, rules: Rules | None = None) -> set[str]:
    """The artifacts that the events of an execution name as inputs."""
    return {ref.id for event in events_in(path, rules) if event.execution_id == execution for ref in event.inputs}


@pytest.mark.parametrize("key", ["baseline_model", "baseline", "reference_model", "baseline-model", "Baseline_Model"])
def test_a_push_does_not_reach_the_baseline_where_each_component_is_a_run(tmp_path: Path, key: str) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        notebook(writer, key)

    found = outcomes_in(tmp_path / "store.sqlite")

    assert found["digits/4"] == ("pushed", None)
    assert found["digits/1"][0] != "pushed"
    assert inputs_of(tmp_path / "store.sqlite", "5") == {"2"}


def test_the_baseline_is_a_property_of_the_execution_from_its_start(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        notebook(writer, "baseline_model")

    events = [event for event in events_in(tmp_path / "store.sqlite") if event.execution_id == "5"]

    assert [event.properties["baseline_model"] for event in events] == ["1", "1"]


def test_several_baselines_are_all_named(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        models = [writer.artifact(0) for _ in range(3)]
        reads = [(models[2], "model"), (models[1], "baseline_model"), (models[0], "baseline_model")]
        writer.done(0, 1, EVALUATE, reads=reads)

    first = events_in(tmp_path / "store.sqlite")[0]

    assert (first.properties["baseline_model"], [ref.id for ref in first.inputs]) == ("1,2", ["3"])


def test_a_model_that_is_read_as_its_own_baseline_is_an_input(tmp_path: Path) -> None:
    """TFX writes one edge with two paths then."""
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        writer.done(0, 1, EVALUATE, reads=[(writer.artifact(0), "model baseline_model")])

    first = events_in(tmp_path / "store.sqlite")[0]

    assert ([ref.id for ref in first.inputs], first.properties) == (["1"], {})


def test_other_keys_are_a_rule(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        notebook(writer, "rival")

    assert inputs_of(tmp_path / "store.sqlite", "5") == {"1", "2"}
    assert inputs_of(tmp_path / "store.sqlite", "5", Rules(baseline_keys=("rival",))) == {"2"}


def test_a_store_without_event_paths_keeps_its_edges(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        notebook(writer)

    assert inputs_of(tmp_path / "store.sqlite", "5") == {"1", "2"}


def test_a_resolver_that_passes_the_baseline_on_leads_no_push_to_it(tmp_path: Path) -> None:
    """It writes the model of an earlier run again."""
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        first, second = writer.artifact(0), writer.artifact(60)
        writer.done(0, 10, TRAIN, writes=[first], run="r1")
        writer.done(60, 61, RESOLVE, writes=[first], run="r2")
        writer.done(61, 70, TRAIN, writes=[second], run="r2")
        blessing = writer.artifact(75, "ModelBlessing", blessed=1)
        reads = [(second, "model"), (first, "baseline_model")]
        writer.done(71, 75, EVALUATE, reads=reads, writes=[blessing], run="r2")
        pushed = writer.artifact(77, "PushedModel", pushed=1)
        writer.done(76, 77, PUSH, reads=[(second, "model"), blessing], writes=[pushed], run="r2")

    found = outcomes_in(tmp_path / "store.sqlite")

    assert (found["digits/1"][0], found["digits/3"]) == ("not_pushed", ("pushed", None))


def test_an_edge_that_arrives_late_brings_its_path(tmp_path: Path) -> None:
    """A pass before it saw the execution without its baseline."""
    path, cursor = tmp_path / "store.sqlite", Cursor()
    with StoreWriter(path) as writer, Store(str(path)) as store:
        first, second = writer.artifact(0), writer.artifact(60)
        writer.done(0, 10, TRAIN, writes=[first], run="train A")
        writer.done(60, 70, TRAIN, writes=[second], run="train B")
        evaluator = writer.execution(71, EVALUATE, run="evaluate B")
        writer.edge(71, evaluator, second, 3, "model")
        events = list(follow(store, cursor))

        writer.edge(72, evaluator, first, 3, "baseline_model")
        blessing = writer.artifact(75, "ModelBlessing", blessed=1)
        writer.edge(75, evaluator, blessing, OUTPUT)
        writer.update(75, evaluator, "COMPLETE")
        pushed = writer.artifact(77, "PushedModel", pushed=1)
        writer.done(76, 77, PUSH, reads=[second, blessing], writes=[pushed], run="push B")
        events += follow(store, cursor)

    assert results(detector_of(events)) == results(detector_of(events_in(path)))
    assert results(detector_of(events))["digits/1"].outcome != "pushed"
