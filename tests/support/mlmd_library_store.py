"""Writes a store through the real library `ml-metadata`, as TFX and Kubeflow Pipelines call it.

Run by `mlmd_library.make_store` in the library's own environment: `python mlmd_library_store.py STORE SCHEMA`. It
imports nothing of the project. The library stamps rows with the present; their times are set afterwards, to minutes
after `T0`.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable
from typing import Any

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto

T0, MINUTE = 1_700_000_000_000, 60_000

INGEST = "tfx.components.example_gen.csv_example_gen.component.CsvExampleGen"
STATISTICS = "tfx.components.statistics_gen.component.StatisticsGen"
SCHEMA_GEN = "tfx.components.schema_gen.component.SchemaGen"
TRANSFORM = "tfx.components.transform.component.Transform"
TRAIN = "tfx.components.trainer.component.Trainer"
EVALUATE = "tfx.components.evaluator.component.Evaluator"
PUSH = "tfx.components.pusher.component.Pusher"
CLOUD_PUSH = "tfx.extensions.google_cloud_ai_platform.pusher.component.Pusher"
IMPORT = "tfx.dsl.components.common.importer.Importer"
RESOLVE = "tfx.dsl.components.common.resolver.Resolver"
CONTAINER, DAG = "system.ContainerExecution", "system.DAGExecution"

#: A key, and the artifact that is read or written by it.
Named = tuple[str, int]


class Library:
    """A store, and the times that its rows will have."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.config = proto.ConnectionConfig()
        self.config.sqlite.filename_uri = path
        self.config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = metadata_store.MetadataStore(self.config)
        self.executions: dict[int, tuple[float, float]] = {}
        self.artifacts: dict[int, float] = {}

    def artifact(self, minute: float, type_: str, **properties: Any) -> int:
        """Registers an artifact that is live."""
        type_id = self.store.put_artifact_type(proto.ArtifactType(name=type_))
        made = proto.Artifact(type_id=type_id, uri=f"/made/{minute}", state=proto.Artifact.LIVE)
        fill(made.custom_properties, properties)
        (key,) = self.store.put_artifacts([made])
        self.artifacts[key] = minute
        return int(key)

    def execution(
        self,
        start: float,
        end: float | None,
        type_: str,
        state: str,
        contexts: dict[str, str],
        *,
        reads: Iterable[Named] = (),
        writes: Iterable[Named] = (),
        name: str | None = None,
        indexed: bool = True,
        **properties: Any,
    ) -> int:
        """Registers an execution with its contexts and inputs, and publishes its outputs and its last state."""
        execution = proto.Execution(type_id=self.store.put_execution_type(proto.ExecutionType(name=type_)))
        if name is not None:
            execution.name = name
        execution.last_known_state = proto.Execution.RUNNING if end is None or end > start else proto.Execution.NEW
        fill(execution.custom_properties, properties)
        made = [self._context(kind, text) for kind, text in contexts.items()]
        inputs = [(None, event(start, proto.Event.INPUT, each, indexed)) for each in reads]
        key = self.store.put_execution(execution, inputs, made, reuse_context_if_already_exist=True)[0]
        self.executions[key] = (start, start if end is None else end)
        if end is not None:
            self.publish(key, end, state, writes, indexed)
        return int(key)

    def publish(self, key: int, minute: float, state: str, writes: Iterable[Named] = (), indexed: bool = True) -> None:
        """Publishes the outputs and the state of an execution."""
        (execution,) = self.store.get_executions_by_id([key])
        execution.last_known_state = proto.Execution.State.Value(state)
        outputs = [(None, event(minute, proto.Event.OUTPUT, each, indexed)) for each in writes]
        self.store.put_execution(execution, outputs, [])
        self.executions[key] = (self.executions[key][0], minute)

    def close(self, schema: int) -> None:
        """Migrates the store to a schema, and sets the times of its rows."""
        del self.store
        if schema != 10:
            metadata_store.downgrade_schema(self.config, schema)
        times = "create_time_since_epoch = ?, last_update_time_since_epoch = ?"
        with sqlite3.connect(self.path) as connection:
            for key, (start, end) in self.executions.items():
                connection.execute(f"UPDATE Execution SET {times} WHERE id = ?", (at(start), at(end), key))
            for key, minute in self.artifacts.items():
                connection.execute(f"UPDATE Artifact SET {times} WHERE id = ?", (at(minute), at(minute), key))
        connection.close()

    def _context(self, kind: str, name: str) -> Any:
        type_id = self.store.put_context_type(proto.ContextType(name=kind))
        return proto.Context(type_id=type_id, name=name)


def at(minute: float) -> int:
    """Milliseconds of a minute after `T0`."""
    return T0 + round(minute * MINUTE)


def event(minute: float, kind: int, named: Named, indexed: bool) -> Any:
    """An edge with its path: a key and an index as TFX writes it, a key alone as Kubeflow Pipelines does."""
    keys, artifact = named
    made = proto.Event(artifact_id=artifact, type=kind, milliseconds_since_epoch=at(minute))
    for key in keys.split():
        made.path.steps.add().key = key
        if indexed:
            made.path.steps.add().index = 0
    return made


def fill(properties: Any, values: dict[str, Any]) -> None:
    """Sets properties by the types of their values."""
    for name, value in values.items():
        kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
        setattr(properties[name], kind, value)


def tfx(store: Library) -> None:
    """Three runs that share an imported schema: pushed; refused against its baseline; all cached from the first."""
    schema, baseline = store.artifact(0, "Schema"), 0
    kept: dict[str, int] = {}
    for number, blessed in enumerate((1, 0)):
        start, run = 100.0 * number, f"r{number}"

        def step(begin: float, end: float, type_: str, component: str, state: str = "COMPLETE", **fields: Any) -> int:
            contexts = {"pipeline": "taxi", "pipeline_run": run, "node": f"taxi.{component}"}  # noqa: B023
            offset = start  # noqa: B023
            name = f"{run}/{component}"  # noqa: B023
            return store.execution(offset + begin, offset + end, type_, state, contexts, name=name, **fields)

        if number == 0:
            step(0, 1, IMPORT, "schema_importer", writes=[("result", schema)])
        data = store.artifact(start + 5, "Examples", span=number)
        step(1, 5, INGEST, "CsvExampleGen", writes=[("examples", data)])
        statistics = store.artifact(start + 7, "ExampleStatistics")
        step(5, 7, STATISTICS, "StatisticsGen", reads=[("examples", data)], writes=[("statistics", statistics)])
        graph = store.artifact(start + 10, "TransformGraph")
        reads = [("examples", data), ("schema", schema)]
        step(5, 10, TRANSFORM, "Transform", reads=reads, writes=[("transform_graph", graph)])
        model = store.artifact(start + 40, "Model")
        reads = [("examples", data), ("transform_graph", graph)]
        step(10, 40, TRAIN, "Trainer", reads=reads, writes=[("model", model)])
        judged = [("model", model)]
        if number:
            step(1, 1.5, RESOLVE, "latest_blessed_model_resolver", writes=[("model", baseline)])
            judged.append(("baseline_model", baseline))
        blessing = store.artifact(start + 45, "ModelBlessing", blessed=blessed)
        step(40, 45, EVALUATE, "Evaluator", reads=judged, writes=[("blessing", blessing)])
        pushed = store.artifact(start + 47, "PushedModel", pushed=blessed)
        reads = [("model", model), ("model_blessing", blessing)]
        step(45, 47, PUSH if number else CLOUD_PUSH, "Pusher", reads=reads, writes=[("pushed_model", pushed)])
        if number == 0:
            baseline = model
            kept = {"data": data, "model": model, "pushed": pushed}
    cached = {"pipeline": "taxi", "pipeline_run": "r2"}
    for minute, type_, reads, writes in (
        (201, INGEST, [], [("examples", kept["data"])]),
        (202, TRAIN, [("examples", kept["data"])], [("model", kept["model"])]),
        (203, PUSH, [("model", kept["model"])], [("pushed_model", kept["pushed"])]),
    ):
        store.execution(minute, minute, type_, "CACHED", cached, reads=reads, writes=writes, name=f"r2/{type_}")


def notebook(store: Library) -> None:
    """Each component is a run of its own. Model A is refused; B, which is compared with it, is pushed."""

    def step(begin: float, end: float, type_: str, name: str, **fields: Any) -> None:
        contexts = {"pipeline": "notebook", "pipeline_run": f"interactive-{begin}"}
        store.execution(begin, end, type_, "COMPLETE", contexts, name=name, **fields)

    models: dict[str, int] = {}
    for start, letter, blessed in ((0, "A", 0), (100, "B", 1)):
        model = models[letter] = store.artifact(start + 20, "Model")
        step(start, start + 20, TRAIN, f"train {letter}", writes=[("model", model)])
        judged = [("model", model), *([("baseline_model", models["A"])] if letter == "B" else [])]
        blessing = store.artifact(start + 25, "ModelBlessing", blessed=blessed)
        step(start + 21, start + 25, EVALUATE, f"evaluate {letter}", reads=judged, writes=[("blessing", blessing)])
        pushed = store.artifact(start + 28, "PushedModel", pushed=blessed)
        reads = [("model", model), ("model_blessing", blessing)]
        step(start + 26, start + 28, PUSH, f"push {letter}", reads=reads, writes=[("pushed_model", pushed)])


def kubeflow(store: Library) -> None:
    """A run in an inner DAG that deploys nothing; a run that failed, was retried and deployed; one that is cached."""

    def made(begin: float, end: float | None, run: str, task: str, state: str = "COMPLETE", **fields: Any) -> int:
        contexts = {"system.Pipeline": "fraud", "system.PipelineRun": run}
        fields = {"task_name": task, "display_name": "", **fields}
        kind = fields.pop("kind", CONTAINER)
        return store.execution(begin, end, kind, state, contexts, indexed=False, **fields)

    root = made(0, None, "k1", "", kind=DAG, name="run/k1")
    inner = made(1, None, "k1", "steps", kind=DAG, parent_dag_id=root)
    data, model = store.artifact(60, "system.Dataset"), store.artifact(182, "system.Model")
    made(2, 60, "k1", "prep", parent_dag_id=inner, name="k1/prep", writes=[("data", data)])
    fields = {"parent_dag_id": inner, "name": "k1/train"}
    made(61, 181, "k1", "train-model", reads=[("data", data)], writes=[("model", model)], **fields)
    store.publish(inner, 182, "COMPLETE", indexed=False)
    store.publish(root, 183, "COMPLETE", indexed=False)

    again = made(300, None, "k2", "", kind=DAG, name="run/k2")
    better = store.artifact(460, "system.Model")
    fields = {"parent_dag_id": again}
    made(301, 361, "k2", "train-model", "FAILED", name="k2/train", reads=[("data", data)], **fields)
    store.publish(again, 362, "FAILED", indexed=False)
    fields["name"] = "k2/train-2"
    made(390, 450, "k2", "train-model-2", reads=[("data", data)], writes=[("model", better)], **fields)
    fields["name"] = "k2/deploy"
    made(451, 455, "k2", "deploy-model", reads=[("model", better)], **fields)

    last = made(500, None, "k3", "", kind=DAG, name="run/k3")
    fields = {"parent_dag_id": last, "cached_execution_id": "1", "name": "k3/train"}
    made(501, 502, "k3", "train-model", "CACHED", reads=[("data", data)], writes=[("model", better)], **fields)
    store.publish(last, 503, "COMPLETE", indexed=False)


def main() -> None:
    """Writes all of them into one store."""
    path, schema = sys.argv[1:]
    store = Library(path)
    tfx(store)
    notebook(store)
    kubeflow(store)
    store.close(int(schema))


if __name__ == "__main__":
    main()
