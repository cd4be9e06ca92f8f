"""Rows of a store of ML Metadata: whatever is in them, their events can be written and read again.

An input is a JSON object with the columns of an execution and of its artifacts, to which is done what queries do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from stream_app.core.events import Properties
from stream_app.sources.mlmd.events import events_of, is_dated, pipeline_of
from stream_app.sources.mlmd.records import STATES, ArtifactRecord, Record, RunRecord
from stream_app.sources.mlmd.rules import Rules
from stream_app.sources.scalars import name, scalar
from tests.fuzz.targets.decoders import check_written

MAX_BYTES = 4096
_RULES = (Rules(), Rules(pipeline="p", properties={"a": "b"}, pushed_types=()))


def check(data: bytes) -> None:
    """The events of an execution are sorted by time, of one pipeline, and the same after they were written."""
    try:
        row = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    if not isinstance(row, dict):
        return
    for rules in _RULES:
        record = _record(row)
        events = events_of(record, rules)
        assert [event.time_ms for event in events] == sorted(event.time_ms for event in events)
        assert len({(event.pipeline, event.run, event.execution_id) for event in events}) <= 1
        assert not events or (is_dated(record) and pipeline_of(record, rules))
        for event in events:
            check_written(event)
        assert events == events_of(_record(row), rules)


def _record(row: dict[str, Any]) -> Record:
    created_ms, updated_ms = _whole(row.get("created")), _whole(row.get("updated"))
    record = Record(
        _whole(row.get("id")),
        _type(row),
        STATES.get(_whole(row.get("state"))),
        created_ms or updated_ms,
        updated_ms,
        _properties(row.get("properties")),
        [(_text(each.get("type")), _text(each.get("name"))) for each in _objects(row.get("contexts"))],
        wrote_ms=_whole(row.get("wrote")),
    )
    for each in _objects(row.get("inputs")):
        artifact = _artifact(each)
        record.inputs.append(artifact)
        keys = each.get("keys")
        if isinstance(keys, list):
            record.input_keys[artifact.id] = {_text(key) for key in keys}
    record.outputs = [_artifact(each) for each in _objects(row.get("outputs"))]
    run = row.get("run")
    if isinstance(run, dict):
        started = run.get("started")
        started_ms = sorted(map(_whole, started)) if isinstance(started, list) else []
        root = record.id if run.get("root") else None
        record.run = RunRecord(root, started_ms, bool(run.get("in_flight")), updated_ms)
    return record


def _artifact(row: dict[str, Any]) -> ArtifactRecord:
    properties = _properties(row.get("properties"))
    state = _whole(row.get("state")) or None
    return ArtifactRecord(_whole(row.get("id")), _type(row), state, _whole(row.get("updated")), properties)


def _properties(value: object) -> Properties:
    if not isinstance(value, dict):
        return {}
    found = {name(key): scalar(each) for key, each in value.items() if key}
    return {key: each for key, each in found.items() if each is not None}


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _type(row: dict[str, Any]) -> str:
    """The name of a type, which stores refuse to be empty."""
    return _text(row.get("type")) or "7"


def _whole(value: object) -> int:
    """A number as a column has it, 64 bits with a sign."""
    return value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else 0


def seeds() -> Iterator[bytes]:
    """Executions of TFX and of Kubeflow Pipelines in all states, and an outermost DAG."""
    at = 1_700_000_000_000
    artifact = {"id": 3, "type": "Model", "updated": at + 9, "state": 2, "properties": {"pushed": 1, "span": 4}}
    contexts = [{"type": "pipeline", "name": "p"}, {"type": "pipeline_run", "name": "r"}, {"type": "node", "name": "n"}]
    for number, type_ in enumerate(("Trainer", "tfx.components.pusher.component.Pusher", "system.ContainerExecution")):
        for state in range(7):
            yield orjson.dumps(
                {
                    "id": 7, "type": type_, "state": state, "created": at, "updated": at + 60_000 * state, "wrote": at,
                    "properties": {"node_seconds": 1.5, "display_name": "train-2", "state": "complete", "a": True},
                    "contexts": contexts[: 3 - number], "inputs": [{**artifact, "keys": ["baseline_model", "model"]}],
                    "outputs": [artifact, {**artifact, "id": 4, "updated": at + 10**8}],
                }
            )  # fmt: skip
    kfp = [{"type": "system.Pipeline", "name": "p"}, {"type": "system.PipelineRun", "name": "r"}]
    for state in (2, 3, 4, 6):
        run = {"root": True, "started": [at, at + 10**7], "in_flight": state == 4}
        yield orjson.dumps(
            {
                "id": 1, "type": "system.DAGExecution", "state": state, "created": at, "updated": at + 5 * 10**6,
                "contexts": kfp, "run": run, "properties": {"cached_execution_id": "5", "task_name": "t"},
            }
        )  # fmt: skip
