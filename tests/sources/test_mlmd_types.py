"""Which operator an execution of a store is: by its full name where the operators know it, else by what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.core.operators import Operators
from stream_app.sources.mlmd import Rules
from tests.sources.mlmd_store import StoreWriter
from tests.support.mlmd_results import Result, events_in, results_in

#: Types as TFX 1.x writes them.
INGEST = "tfx.components.example_gen.csv_example_gen.component.CsvExampleGen"
TRAIN = "tfx.components.trainer.component.Trainer"
PUSH = "tfx.components.pusher.component.Pusher"


@pytest.mark.parametrize(
    ("store_type", "expected", "group"),
    [
        (INGEST, "CsvExampleGen", "ingest"),
        (TRAIN, "Trainer", "train"),
        ("tfx.extensions.google_cloud_ai_platform.trainer.component.Trainer", "Trainer", "train"),
        ("tfx.extensions.google_cloud_ai_platform.pusher.component.Pusher", "Pusher", "deploy"),
        ("tfx.dsl.components.common.importer.Importer", "Importer", "ingest"),
        ("tfx.dsl.components.common.resolver.Resolver", "Resolver", "custom"),
        ("my.pkg.Trainer", "Trainer", "train"),
        ("my.pkg.Special", "Special", "custom"),
        ("Trainer", "Trainer", "train"),
        ("mlmd.Train", "mlmd.Train", "train"),
        ("system.ImporterExecution", "Importer", "ingest"),
        ("trailing.", "trailing.", "custom"),
        ("tfx.components.trainer.component.Trainer@v2", "Trainer", "train"),
        ("Pusher:1.4.0", "Pusher", "deploy"),
        ("components.Train model@sha256=0f3c9a", "Trainer", "train"),
        ("components.Xgb step@sha256=0f3c9a", "Xgb step", "custom"),
        ("my.pkg:Special", "pkg:Special", "custom"),
    ],
)
def test_a_class_path_is_its_last_part(store_type: str, expected: str, group: str) -> None:
    found = Rules().execution_type(store_type)

    assert (found, Operators().group(found)) == (expected, group)


def test_a_version_does_not_hide_a_name_that_the_settings_know() -> None:
    """Kubeflow Pipelines 1 has a type for each version of a component; a setting for one of them still counts."""
    rules = Rules(Operators({"Fit": "train", "components.Fit@sha256=bad1": "custom"}))

    found = [rules.execution_type(f"components.Fit@sha256={digest}") for digest in ("0f3c", "77ab", "bad1")]

    assert found == ["Fit", "Fit", "components.Fit@sha256=bad1"]


def test_a_full_name_that_the_settings_know_holds_before_its_last_part() -> None:
    """So that one of two trainers can be something else."""
    rules = Rules(Operators({"my.pkg.Trainer": "custom", "Special": "train"}))

    found = [rules.execution_type(each) for each in ("my.pkg.Trainer", "other.pkg.Trainer", "my.pkg.Special")]

    assert found == ["my.pkg.Trainer", "Trainer", "Special"]
    assert [rules.operators.group(each) for each in found] == ["custom", "train", "train"]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("fit-model", "fit-model"),
        ("fit-model-2", "fit-model"),
        ("fit-model-13", "fit-model"),
        ("fit-model-x", "fit-model-x"),
        ("fit-model-3-late", "fit-model-3-late"),
        ("release-2", "release-2"),
        ("release-3", "release-3"),
        ("build-index", "build_index"),
        ("build-index-2", "build_index"),
    ],
)
def test_a_task_is_mapped_without_the_number_of_a_repeated_one(task: str, expected: str) -> None:
    """Kubeflow Pipelines numbers tasks of one component, and writes the function `build_index` as `build-index`."""
    groups = {"fit-model": "train", "release-2": "deploy", "build_index": "preprocess"}

    assert Rules(Operators(groups)).execution_type("system.ContainerExecution", task) == expected


@pytest.mark.parametrize(
    ("task", "group"),
    [
        ("train-model", "train"),
        ("train-model-2", "train"),
        ("model-training", "train"),
        ("preprocess", "preprocess"),
        ("evaluate-model", "validate"),
        ("deploy-model", "deploy"),
        ("trainer", "train"),
        ("send-mail", "custom"),
    ],
)
def test_usual_names_of_tasks_need_no_setting(task: str, group: str) -> None:
    assert Operators().group(Rules().execution_type("system.ContainerExecution", task)) == group


def test_a_task_that_the_settings_map_is_not_guessed() -> None:
    operators = Operators({"train-model": "custom"})

    assert operators.group(Rules(operators).execution_type("system.ContainerExecution", "train-model-2")) == "custom"


def test_a_store_of_class_paths_gives_graphlets(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        data, model = writer.artifact(0, "tfx.types.standard_artifacts.Examples"), writer.artifact(0)
        writer.done(0, 2, INGEST, writes=[data])
        writer.done(3, 13, TRAIN, reads=[data], writes=[model])
        writer.done(14, 15, PUSH, reads=[model], writes=[writer.artifact(0, "PushedModel", pushed=1)])

    found = results_in(tmp_path / "store.sqlite")

    assert found == {"digits/2": Result("pushed", None, {"ingest": 2, "train": 10, "deploy": 1}, ("1",), ("3",))}
    types = {output.type for event in events_in(tmp_path / "store.sqlite") for output in event.outputs}
    assert types == {"Examples", "Model", "PushedModel"}


@pytest.mark.parametrize("pushed_type", ["my.pkg.ReleaseToFleet", "ReleaseToFleet"])
def test_a_type_whose_end_is_a_push_is_named_as_in_the_store_or_in_the_event(tmp_path: Path, pushed_type: str) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        model = writer.artifact(0)
        writer.done(0, 10, TRAIN, writes=[model])
        writer.done(11, 12, "my.pkg.ReleaseToFleet", reads=[model])
    operators = Operators({"ReleaseToFleet": "deploy"})

    with_rule = results_in(tmp_path / "store.sqlite", Rules(operators, pushed_types=(pushed_type,)))
    without = results_in(tmp_path / "store.sqlite", Rules(operators))

    assert with_rule["digits/1"].outcome == "pushed"
    assert without["digits/1"].outcome != "pushed"
