"""Extracts what is known of a run or a trainer at a stage, as named numbers for the models.

Only facts that had happened when the stage was reached are used. A feature that is not known is absent. Every value is
finite, within +-BOUND and rounded, so that a model learns exactly the values it was asked about, even after storage.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from stream_app.core.events import CACHED, FAILED
from stream_app.core.features.cadence import cadence_features
from stream_app.core.features.concurrent_runs import concurrent_run_features
from stream_app.core.features.improvement import deviation, improvement_features
from stream_app.core.features.validation import blessing
from stream_app.core.operators import ANALYSIS, INGEST, PREPROCESS, RUN, TRAIN, TUNE, VALIDATE
from stream_app.core.outputs import TRAIN as TRAIN_STAGE
from stream_app.core.outputs import VALIDATE as VALIDATE_STAGE
from stream_app.core.state.entities import Execution, Subject
from stream_app.core.state.history import History, Snapshot
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.units import HOUR_MS

BOUND = 20.0
DIGITS = 4
_SCALE = 10.0**DIGITS
#: A scaled value this far from the nearest whole number may be rounded the other way than its decimals.
_NEAR_HALF = 0.499
#: Numeric properties used for each prefix, the first by name.
NUMBERS_MAX = 8
#: Buckets for the model's type.
TYPE_BUCKETS = 16
#: Data artifacts compared per graphlet.
DATA_MAX = 256

DATA_GROUPS = (INGEST, ANALYSIS, PREPROCESS)
#: Properties with a meaning of their own, which are not measurements.
RESERVED = frozenset(("blessed", "keep", "pruned_by", "pushed", "owner", "model_type", "code_version"))


def extract(
    pipeline: Pipeline, subject: Subject, stage: str, now_ms: int, nodes: Mapping[str, float]
) -> tuple[dict[str, float], Snapshot]:
    """Extracts the features of a run or of a trainer.

    Parameters
    ----------
    pipeline
        The pipeline of the subject.
    subject
        The subject of the prediction.
    stage
        One of `STAGES`.
    now_ms
        The time of the prediction in ms since 1970 UTC.
    nodes
        Execution type to number of nodes, for costs.

    Returns
    -------
    features : dict of str to float
        Feature name to value, sorted by name.
    snapshot : Snapshot
        The snapshot from which they were made.
    """
    executions = subject.own_executions()
    now = snapshot_of(pipeline, subject.key, executions, stage, now_ms, nodes)
    found: dict[str, float] = {}
    history = pipeline.history
    before = history.started_before(now.subject)
    past_features(found, history, now_ms)
    cadence_features(found, history, now.subject, now_ms)
    concurrent_run_features(found, pipeline, subject)
    gap_features(found, history, before, now_ms)
    data_features(found, history, before, now)
    code_features(found, history, now.code_version)
    shape_features(found, history, executions, now.cost, stage)
    number_features(found, history, now.numbers)
    improvement_features(found, history, now.numbers)
    if subject.trainer is not None:
        found["warm_start"] = float(warm_start(subject.trainer))
    run = pipeline.run_of(subject)
    if run is not None:
        found["trainers"] = float(len(run.trainers))
    found["open"] = math.log1p(len(pipeline.open))
    if stage == VALIDATE_STAGE:
        validation_features(found, pipeline, executions)
    kind = text_property(executions, "model_type")
    if kind:
        found[f"model_type.{zlib.crc32(kind.encode()) % TYPE_BUCKETS}"] = 1.0
    names = in_order(tuple(found))
    return dict(zip(names, rounded(list(map(found.__getitem__, names))), strict=True)), now


def snapshot(pipeline: Pipeline, subject: Subject, stage: str, now_ms: int, nodes: Mapping[str, float]) -> Snapshot:
    """Takes a snapshot of the subject, in the form in which the history keeps it.

    Parameters
    ----------
    pipeline, subject, stage, now_ms, nodes
        As of `extract`.

    Returns
    -------
    Snapshot
        Code version, data, measurements and cost so far.
    """
    return snapshot_of(pipeline, subject.key, subject.own_executions(), stage, now_ms, nodes)


def snapshot_of(
    pipeline: Pipeline,
    key: str,
    executions: list[Execution],
    stage: str,
    now_ms: int,
    nodes: Mapping[str, float],
) -> Snapshot:
    """Takes the snapshot of the executions that a prediction uses."""
    numbers = numeric_properties(pipeline, executions, "data", DATA_GROUPS)
    if stage in (TRAIN_STAGE, VALIDATE_STAGE):
        numbers.update(numeric_properties(pipeline, executions, "train", (TRAIN, TUNE)))
    if stage == VALIDATE_STAGE:
        numbers.update(numeric_properties(pipeline, executions, "validate", (VALIDATE,)))
    return Snapshot(
        subject=key,
        time_ms=now_ms,
        code_version=text_property(executions, "code_version"),
        data=data_hashes(pipeline, executions),
        numbers=numbers,
        cost=cost_of(executions, nodes),
    )


def cost_of(executions: Iterable[Execution], nodes: Mapping[str, float]) -> float:
    """Node-seconds used by executions so far; executions of group run have none of their own."""
    return sum(e.node_ms(nodes.get(e.type, 1.0)) for e in executions if e.group != RUN) / 1000.0


def text_property(executions: list[Execution], name: str) -> str:
    """A property as text, from the newest execution that reports it.

    Parameters
    ----------
    executions
        The executions, by start.
    name
        The name of the property.

    Returns
    -------
    str
        The value, "" when no execution reports it.
    """
    for execution in reversed(executions):
        value = execution.value_of(name)
        if value is not None:
            return str(value)
    return ""


def data_hashes(pipeline: Pipeline, executions: list[Execution]) -> list[int]:
    """Hashes of the data artifacts: outputs of ingest, and other inputs of preprocessing and training from outside."""
    ids: set[str] = set()
    for execution in executions:
        if execution.group == INGEST:
            ids.update(execution.writes)
        elif execution.group in (PREPROCESS, TRAIN):
            for artifact_id in execution.reads:
                artifact = pipeline.artifacts[artifact_id]
                writers = artifact.version.writers if artifact.unversioned is None else ()
                if not writers or any(writer.group == INGEST for writer in writers):
                    ids.add(artifact_id)
    return sorted({zlib.crc32(artifact_id.encode()) for artifact_id in ids})[:DATA_MAX]


def numeric_properties(
    pipeline: Pipeline, executions: list[Execution], prefix: str, groups: tuple[str, ...]
) -> dict[str, float]:
    """Numeric properties of executions of some groups and of their outputs; the newest execution's value holds."""
    found: dict[str, float] = {}
    for execution in executions:
        if execution.group not in groups:
            continue
        property_sets = [execution.properties]
        property_sets.extend(pipeline.artifacts[artifact_id].properties for artifact_id in sorted(execution.writes))
        for properties in property_sets:
            for name, (_, value) in (properties or {}).items():
                if not isinstance(value, str) and name not in RESERVED:
                    found[f"{prefix}.{name}"] = float(value)
    return {name: found[name] for name in sorted(found)[:NUMBERS_MAX]}


def past_features(found: dict[str, float], history: History, now_ms: int) -> None:
    """Adds how the pipeline's last graphlets ended, and the time since the last push against the usual interval."""
    found["labelled"] = math.log1p(history.labelled)
    if history.outcomes:
        found["push_rate"] = history.pushed.mean
        found["push_rate_5"] = sum(history.outcomes[-5:]) / len(history.outcomes[-5:])
        found["push_rate_20"] = sum(history.outcomes) / len(history.outcomes)
        found["push_rate_all"] = history.pushes / history.labelled
        found["last_pushed"] = float(history.outcomes[-1])
        found["runs_since_push"] = math.log1p(history.runs_since)
        found["failed_rate"] = history.failed.mean
        found["last_failed"] = float(history.causes[-1] == "failed")
        found["failed_5"] = float(history.causes[-5:].count("failed"))
        found["blessed_unpushed"] = math.log1p(history.blessed_unpushed)
    if history.push_ms:
        since_ms = max(0, now_ms - history.push_ms[-1])
        found["hours_since_push"] = math.log1p(since_ms / HOUR_MS)
        intervals = [b - a for a, b in zip(history.push_ms, history.push_ms[1:], strict=False)]
        if intervals:
            found["since_push_to_least"] = log_ratio(since_ms, min(intervals))
        usual_ms = history.usual_interval_ms()
        if usual_ms is not None:
            found["since_push_to_usual"] = log_ratio(since_ms, usual_ms)
        usual_runs = history.usual_runs_between()
        if usual_runs is not None:
            found["runs_to_usual"] = log_ratio(history.runs_since + 1, usual_runs)


def gap_features(found: dict[str, float], history: History, before: Snapshot | None, now_ms: int) -> None:
    """Adds the time since the graphlet before this one started."""
    if before is None:
        return
    gap_ms = max(0, now_ms - before.time_ms)
    found["gap"] = math.log1p(gap_ms / HOUR_MS)
    if history.start_gap.count > 1:
        found["gap_to_usual"] = log_ratio(gap_ms, history.start_gap.mean)


def data_features(found: dict[str, float], history: History, before: Snapshot | None, now: Snapshot) -> None:
    """Adds the share of new data since the graphlet before and since the last push."""
    found["data"] = math.log1p(len(now.data))
    own_data = set(now.data)
    for name, other in (("last", before), ("pushed", history.last_pushed)):
        if other is None:
            continue
        other_data = set(other.data)
        union = len(own_data | other_data)
        if union:
            found[f"data_overlap_{name}"] = len(own_data & other_data) / union
        found[f"data_new_{name}"] = math.log1p(len(own_data - other_data))


def code_features(found: dict[str, float], history: History, code: str) -> None:
    """Adds whether the code changed, and how this code did so far."""
    if not code:
        return
    if history.last is not None and history.last.code_version:
        found["code_same_last"] = float(code == history.last.code_version)
    if history.last_pushed is not None and history.last_pushed.code_version:
        found["code_same_pushed"] = float(code == history.last_pushed.code_version)
    labelled, pushed, failed = history.codes.get(code, (0, 0, 0))
    found["code_labelled"] = math.log1p(labelled)
    if labelled:
        found["code_push_rate"] = pushed / labelled
        found["code_fail_rate"] = failed / labelled


def shape_features(
    found: dict[str, float], history: History, executions: list[Execution], cost: float, stage: str
) -> None:
    """Adds counts of executions by state, and the cost so far against the usual."""
    steps = [execution for execution in executions if execution.group != RUN]
    found["executions"] = math.log1p(len(steps))
    found["failed_steps"] = float(sum(1 for e in steps if e.state == FAILED))
    found["cached_steps"] = float(sum(1 for e in steps if e.state == CACHED))
    types: dict[str, int] = {}
    for execution in steps:
        types[execution.type] = types.get(execution.type, 0) + 1
    found["repeated_steps"] = float(sum(count - 1 for count in types.values()))
    found["cost"] = math.log1p(cost)
    before = history.costs.get(f"before.{stage}")
    if before is not None and before.count > 1:
        found["cost_to_usual"] = log_ratio(cost, before.mean)
    trainers = [e for e in steps if e.group == TRAIN]
    if trainers and stage in (TRAIN_STAGE, VALIDATE_STAGE):
        trainer = trainers[-1]
        duration_ms = max(0, (trainer.end_ms or trainer.start_ms) - trainer.start_ms)
        found["train_hours"] = math.log1p(duration_ms / HOUR_MS)


def number_features(found: dict[str, float], history: History, numbers: dict[str, float]) -> None:
    """Adds measurements, and their distance in spreads from their mean and from the last pushed graphlet's."""
    for name, value in numbers.items():
        found[name] = squash(value)
        spread = history.numbers.get(name)
        if spread is None or spread.count < 2:
            continue
        unit = deviation(spread)
        found[f"{name}.to_mean"] = (value - spread.mean) / unit
        if history.last_pushed is not None and name in history.last_pushed.numbers:
            found[f"{name}.to_pushed"] = (value - history.last_pushed.numbers[name]) / unit


def validation_features(found: dict[str, float], pipeline: Pipeline, executions: list[Execution]) -> None:
    """Adds the results of the validators so far."""
    validators = [execution for execution in executions if execution.group == VALIDATE]
    found["validators"] = float(len(validators))
    found["validators_failed"] = float(sum(1 for e in validators if e.state == FAILED))
    blessed = blessing(pipeline, validators)
    if blessed is not None:
        found["blessed"] = blessed


def warm_start(trainer: Execution) -> bool:
    """Whether the trainer reads a version that another trainer wrote."""
    return any(
        writer.group == TRAIN and writer is not trainer
        for version in trainer.reads.values()
        for writer in version.writers
    )


def log_ratio(value: float, usual: float) -> float:
    """The logarithm of a ratio of two amounts, either of which may be 0."""
    return math.log((value + 1.0) / (usual + 1.0))


def squash(value: float) -> float:
    """A measurement of any size on a scale that a linear model can use."""
    return math.copysign(math.log1p(abs(value)), value)


@lru_cache(maxsize=500)  # an entry has some 2.5 kB
def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, sorted; cached, since thousands of graphlets have the same features."""
    return tuple(sorted(names))


def rounded(values: list[float]) -> list[float]:
    """`bounded` of each value, all at once.

    A scaled value that is not next to a half is rounded to the same whole number as its decimals are, and that number
    scaled back is the float nearest to those decimals. Values next to a half, or not finite, are passed to `bounded`.
    """
    if not math.isfinite(sum(values)):
        return list(map(bounded, values))
    scaled = np.array(values).clip(-BOUND, BOUND) * _SCALE
    whole = np.rint(scaled)
    found: list[float] = (whole / _SCALE).tolist()
    for i in np.flatnonzero(np.abs(scaled - whole) > _NEAR_HALF).tolist():
        found[i] = bounded(values[i])
    return found


def bounded(value: float) -> float:
    """The value clipped to the bound and rounded; 0 when it is not finite."""
    if not math.isfinite(value):
        return 0.0
    return round(min(BOUND, max(-BOUND, value)), DIGITS)
