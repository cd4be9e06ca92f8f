"""State as rows: small values keyed by kind, pipeline and id, for a table with a changelog.

Only facts, predictions and announcements are stored. `loading` registers the edges anew and lets graphlets find their
members; outcomes and ledger are computed by `outcomes.settle` and `accounting.settle`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import orjson

from stream_app.core.state.changes import Entity
from stream_app.core.state.entities import Artifact, Execution, Graphlet, Run, Subject
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.predictions import PredictionRecord, StagePrediction

#: Raised when the form of a row changes so that a reader of the version before would misread it. An addition at the
#: end of a list, or to an object, needs no new version: readers ignore what they do not know, and have defaults for
#: what is missing. Older rows pass `upgrade`; rows of a later version are refused.
VERSION = 2

PIPELINE, HISTORY, EXECUTION, ARTIFACT, GRAPHLET, RUN = (
    "pipeline",
    "history",
    "execution",
    "artifact",
    "graphlet",
    "run",
)


def key(kind: str, pipeline: str, name: str) -> bytes:
    """The key of a row."""
    return "\x00".join((kind, pipeline, name)).encode()


def changed_rows(pipelines: Iterable[Pipeline]) -> list[tuple[bytes, bytes | None]]:
    """Collects the rows of all entities that changed, which are no longer marked as changed afterwards.

    Parameters
    ----------
    pipelines
        The pipelines.

    Returns
    -------
    list of tuple
        Key and value of each row; the value is None for a row that was dropped.
    """
    rows: dict[bytes, bytes | None] = {}
    for pipeline in pipelines:
        dropped, touched = pipeline.changes.take()
        for kind, name in dropped:
            rows[key(kind, pipeline.name, name)] = None
        rows[key(PIPELINE, pipeline.name, "")] = encode(pipeline_row(pipeline))
        for entity in touched:
            rows[key(entity.row[0], pipeline.name, entity.row[1])] = encode(value_of(entity))
    return list(rows.items())


def encode(value: Any) -> bytes:
    """The bytes of a row's value, with the version."""
    return orjson.dumps([VERSION, value], option=orjson.OPT_NON_STR_KEYS)


def value_of(entity: Entity) -> Any:
    """The value of an entity's row."""
    if isinstance(entity, Execution):
        return execution_row(entity)
    if isinstance(entity, Artifact):
        evicted_ends = None if entity.unversioned is None else entity.unversioned.evicted_ends
        return [entity.properties, evicted_ends, entity.type, entity.type_ms]
    if isinstance(entity, Run):
        return [*subject_row(entity), entity.had_trainer, entity.in_history]
    if isinstance(entity, Graphlet):
        return subject_row(entity)
    return entity


def subject_row(subject: Subject) -> list[Any]:
    """Predictions and announcements of a run or a trainer."""
    predictions = predictions_row(subject.predictions)
    return [subject.announced_kind, subject.label_revision, subject.announce_at_ms, predictions]


def pipeline_row(pipeline: Pipeline) -> list[Any]:
    """Clocks, cutoff, frozen sums, and the pushes of closed graphlets."""
    clock = pipeline.clock
    return [
        clock.now_ms, clock.last_event_ms, clock.last_log_ms, clock.cutoff_ms, pipeline.timers.next_sweep_ms,
        ledger_row(pipeline.frozen_ledger), pipeline.pushes.closed(), clock.alone,
        None if clock.ahead is None else list(clock.ahead),
    ]  # fmt: skip


def ledger_row(ledger: Ledger) -> dict[str, Any]:
    """The value of a ledger."""
    row = {entry.name: getattr(ledger, entry.name) for entry in fields(ledger)}
    row["wasted_by"] = [[group, cause, amount] for (group, cause), amount in ledger.wasted_by.items()]
    return row


def execution_row(execution: Execution) -> list[Any]:
    """The facts of an execution."""
    reads, writes, reports = sorted(execution.reads), sorted(execution.writes), execution.reports
    return [
        execution.type, execution.type_ms, execution.stated_run, execution.stated_run_ms, execution.seen,
        execution.first_ms, execution.running_ms, execution.end_ms, execution.end_state, execution.reported_node_ms,
        reads, writes, execution.properties,
        execution.touched_day, None if execution.eviction is None else list(execution.eviction),
        execution.last_ms, [execution.read_ms[each] for each in reads], [execution.write_ms[each] for each in writes],
        None if reports is None else reports.few, execution.last_running_ms,
        None if reports is None else reports.spans, None if reports is None else reports.ends,
    ]  # fmt: skip


def predictions_row(predictions: PredictionRecord | None) -> list[Any] | None:
    """The value of a record of predictions."""
    if predictions is None:
        return None
    return [
        predictions.revision,
        predictions.decision,
        predictions.first_ms,
        predictions.flag_ms,
        predictions.propensity,
        predictions.avoided_booked,
        [prediction_row(prediction) for prediction in predictions.stages],
        None if predictions.open_flag is None else list(predictions.open_flag),
    ]


def prediction_row(prediction: StagePrediction) -> dict[str, Any]:
    """The value of one predicted stage."""
    row = {name: getattr(prediction, name) for name in StagePrediction.__slots__}
    row["values"] = prediction.values.tolist()
    return row
