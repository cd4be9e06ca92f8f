"""Loads state from rows: facts are taken as they are, edges are registered anew, and graphlets find their members."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar

import orjson

from stream_app.core.events import RUNNING
from stream_app.core.graphlets.membership import spread_from_trainer
from stream_app.core.graphlets.rebuilding import refresh_graphlet, trainers_read
from stream_app.core.graphlets.roles import count_stated, role_of
from stream_app.core.graphlets.tries import load_tries
from stream_app.core.graphlets.updating import enter_run
from stream_app.core.graphlets.versions import add_reader, connect_writer
from stream_app.core.operators import Operators
from stream_app.core.state.attempts import REPORTS_MAX, Reports
from stream_app.core.state.clock import Ahead
from stream_app.core.state.entities import (
    NOTHING,
    Artifact,
    Execution,
    Graphlet,
    Run,
    Subject,
    Unversioned,
)  # fmt: skip
from stream_app.core.state.eviction import EvictionSummary
from stream_app.core.state.history import History, Snapshot, Spread
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.predictions import OpenFlag, PredictionRecord, StagePrediction
from stream_app.core.storage.rows import ARTIFACT, EXECUTION, GRAPHLET, HISTORY, PIPELINE, RUN, VERSION
from stream_app.core.storage.upgrade import Row, renamed, renamed_entries, upgrade
from stream_app.errors import StateError

T = TypeVar("T")

#: An execution with the ids of the artifacts it read and wrote.
Ends = tuple[Execution, list[str], list[str]]


def load(saved: Mapping[bytes, bytes], operators: Operators) -> Iterator[tuple[Pipeline, dict[str, str]]]:
    """Loads the pipelines of some rows and rebuilds their graphlets.

    Parameters
    ----------
    saved
        All rows by their keys, of this version or of an earlier one.
    operators
        Map execution types to groups.

    Yields
    ------
    Pipeline
        One pipeline after another, by name.
    dict of str to str
        Old id to new id of its graphlets in rows of version 1, where the two differ.

    Raises
    ------
    StateError
        A row has a later version or cannot be read.
    """
    by_pipeline: dict[str, list[Row]] = {}
    for row_key, row in sorted(saved.items()):
        found = read_row(row_key, row)
        by_pipeline.setdefault(found.pipeline, []).append(found)
    for name, rows in by_pipeline.items():
        with refusing(name):
            names = renamed(rows)
            pipeline = load_pipeline(name, rows, names, operators)
        yield pipeline, names


@contextmanager
def refusing(pipeline: str) -> Iterator[None]:
    """Raises StateError where the rows of a pipeline break what reads them: no program wrote them."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise StateError(f"the rows of pipeline {pipeline[:80]!r} cannot be read: {fault}") from error


def read_row(row_key: bytes, row: bytes) -> Row:
    """Reads a row in its own version. Raises StateError when that fails."""
    try:
        kind, pipeline, name = row_key.decode().split("\x00")
        version, value = orjson.loads(row)
    except (ValueError, TypeError) as error:
        raise StateError(f"row {row_key[:80]!r} cannot be read: {error}") from error
    if version not in (1, VERSION):
        raise StateError(f"row {row_key[:80]!r} has version {version}, this program reads up to {VERSION}")
    return Row(kind, pipeline, name, version, value)


def load_pipeline(name: str, rows: list[Row], names: Mapping[str, str], operators: Operators) -> Pipeline:
    """Loads one pipeline from its rows, of which `names` are the renamed graphlets."""
    pipeline = Pipeline(name, keep_rows=True)
    by_kind: dict[str, list[tuple[str, Any]]] = {}
    for row in rows:
        value = upgraded(row, names)
        by_kind.setdefault(row.kind, []).append((row.name, value))
    for _, value in by_kind.get(PIPELINE, ()):
        load_clocks(pipeline, value)
    for _, value in by_kind.get(HISTORY, ()):
        pipeline.history = load_history(value)
    for entity, value in by_kind.get(ARTIFACT, ()):
        properties, evicted_ends, artifact_type, type_ms = value[:4]
        artifact = pipeline.artifacts[entity] = Artifact(entity, artifact_type, type_ms)
        artifact.properties = load_properties(properties)
        if evicted_ends is not None:
            artifact.unversioned = Unversioned()
            artifact.unversioned.evicted_ends = evicted_ends
            artifact.unversioned.ends = sorted((end_ms, writer_id) for writer_id, end_ms in evicted_ends.items())
    connect(pipeline, [load_execution(pipeline, *entry) for entry in by_kind.get(EXECUTION, ())], operators)
    for entity, value in by_kind.get(GRAPHLET, ()):
        load_graphlet(pipeline, entity, value)
    for entity, value in by_kind.get(RUN, ()):
        load_run(pipeline, entity, value)
    return pipeline


def upgraded(row: Row, names: Mapping[str, str]) -> Any:
    """The value of a row in this version. Raises StateError when it cannot be upgraded."""
    try:
        value = upgrade(row).value
        return renamed_entries(value, names) if row.kind == HISTORY and row.version == 1 else value
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise StateError(
            f"row {row.kind} {row.name[:80]!r} of {row.pipeline[:80]!r} cannot be read: {error}"
        ) from error


def load_clocks(pipeline: Pipeline, value: list[Any]) -> None:
    """Loads clock, timers, frozen ledger and pushes of closed graphlets."""
    clock = pipeline.clock
    (
        clock.now_ms, clock.last_event_ms, clock.last_log_ms, clock.cutoff_ms, pipeline.timers.next_sweep_ms,
        frozen, pushes,
    ) = value[:7]  # fmt: skip
    if len(value) > 7:  # later than 0.2.0
        clock.alone, ahead = value[7:9]
        clock.ahead = None if ahead is None else Ahead(*ahead)
    for ledger in (pipeline.frozen_ledger, pipeline.ledger):
        ledger.merge(load_ledger(frozen))
    pipeline.pushes.pushes = [(start_ms, trainer, push_ms) for start_ms, trainer, push_ms in pushes]
    check_names(trainer for _, trainer, _ in pipeline.pushes.pushes)


def check_names(names: Iterable[object]) -> None:
    """Raises TypeError for a name that is no text: it would become part of a key, and fail when that is written."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{str(name)[:80]!r} is no name")


def load_ledger(row: dict[str, Any]) -> Ledger:
    """Loads a ledger."""
    row = dict(row)
    row["wasted_by"] = {(group, cause): amount for group, cause, amount in row["wasted_by"]}
    for name in ("saved", "harmed", "undecided"):
        row[name] = {int(policy): amount for policy, amount in row[name].items()}
    return known(Ledger, row)


def load_history(row: dict[str, Any]) -> History:
    """Loads a history."""
    row = dict(row)
    for name in ("last", "last_pushed"):
        row[name] = known(Snapshot, row[name]) if row[name] is not None else None
    row["started"] = [known(Snapshot, snapshot) for snapshot in row["started"]]
    for name in ("start_gap", "failed", "pushed", "taken"):
        row[name] = known(Spread, row[name])
    for name in ("numbers", "costs"):
        row[name] = {entry: known(Spread, spread) for entry, spread in row[name].items()}
    row["flag_streaks"] = {int(budget): streak for budget, streak in row["flag_streaks"].items()}
    return known(History, row)


def known(kind: type[T], row: Mapping[str, Any]) -> T:
    """Makes a dataclass from a row's fields; unknown fields are ignored, missing ones have their defaults."""
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in row.items() if name in names})


def load_properties(row: dict[str, list[Any]] | None) -> dict[str, tuple[int, Any]] | None:
    """Loads properties with their event times."""
    return None if row is None else {name: (time_ms, value) for name, (time_ms, value) in row.items()}


def load_execution(pipeline: Pipeline, name: str, row: list[Any]) -> Ends:
    """Loads one execution, with the ids of the artifacts at its edges; its role and edges follow once all are known."""
    execution = pipeline.executions[name] = Execution(name)
    (
        execution.type, execution.type_ms, execution.stated_run, execution.stated_run_ms, execution.seen,
        execution.first_ms, execution.running_ms, execution.end_ms, execution.end_state, execution.reported_node_ms,
        inputs, outputs, properties, execution.touched_day, eviction,
        execution.last_ms, input_ms, output_ms, reports,
    ) = row[:19]  # fmt: skip
    check_names((*inputs, *outputs, *(() if execution.stated_run is None else (execution.stated_run,))))
    # Rows of 0.2.0 end here.
    execution.last_running_ms, spans, ends = row[19:22] if len(row) > 19 else (None, [], [])
    execution.read_ms = dict(zip(inputs, input_ms, strict=True)) or NOTHING
    execution.write_ms = dict(zip(outputs, output_ms, strict=True)) or NOTHING
    if reports is not None:
        execution.reports = Reports.from_row(reports, spans, ends)
    if execution.last_running_ms is None and execution.running_ms is not None:
        known_ms = [time_ms for time_ms, state in reports or () if state == RUNNING]
        if len(reports or ()) == REPORTS_MAX and execution.last_ms > (execution.end_ms or 0):
            known_ms.append(execution.last_ms)  # 0.2.0 kept the earliest reports alone
        execution.last_running_ms = max(known_ms, default=execution.running_ms)
    execution.properties = load_properties(properties)
    if eviction is not None:
        pushed, policies, (start_ms, trainer), *further = eviction
        check_names((trainer,))
        execution.eviction = EvictionSummary(pushed, policies, (start_ms, trainer), *further[:6])
    count_stated(pipeline, execution.stated_run, 1)
    return execution, inputs, outputs


def connect(pipeline: Pipeline, ends: list[Ends], operators: Operators) -> None:
    """Gives every execution its role, registers every edge, then lets every graphlet find its members."""
    for execution, _, _ in ends:
        execution.group, execution.run = role_of(pipeline, execution, operators)
        enter_run(pipeline, execution)
        pipeline.work.rebook_one(execution)
    for run in pipeline.runs.values():
        load_tries(run)
    for execution, _, outputs in ends:
        for artifact_id in outputs:
            artifact = pipeline.artifacts.setdefault(artifact_id, Artifact(artifact_id))
            connect_writer(artifact, execution)
    for execution, inputs, _ in ends:
        for artifact_id in inputs:
            artifact = pipeline.artifacts.setdefault(artifact_id, Artifact(artifact_id))
            add_reader(artifact, execution)
    for execution, _, _ in ends:
        for version in execution.reads.values():
            version.touched_day = max(version.touched_day, execution.touched_day)
    for execution, _, _ in ends:
        for version in execution.writes.values():
            # A reader may have been touched since by what it wrote, which touches no writer of what it read.
            version.touched_day = min(version.touched_day, execution.touched_day)
    for execution, _, _ in ends:
        execution.reads_trainer, execution.own_trainer = trainers_read(execution)
        refresh_graphlet(pipeline, execution)
    for graphlet in pipeline.graphlets.values():
        spread_from_trainer(pipeline, graphlet)


def load_graphlet(pipeline: Pipeline, name: str, row: list[Any]) -> None:
    """Loads the predictions and announcements of a trainer."""
    graphlet = pipeline.graphlets.get(name)
    if graphlet is None:
        graphlet = pipeline.retired[name] = Graphlet(pipeline.name, pipeline.executions[name])
    load_subject(graphlet, row)


def load_run(pipeline: Pipeline, name: str, row: list[Any]) -> None:
    """Loads the predictions and announcements of a run."""
    run = pipeline.runs.setdefault(name, Run(name))
    load_subject(run, row)
    run.had_trainer, run.in_history = row[4:6]


def load_subject(subject: Subject, row: list[Any]) -> None:
    """Loads predictions and announcements."""
    subject.announced_kind, subject.label_revision, subject.announce_at_ms = row[:3]
    subject.predictions = load_predictions(row[3])


def load_predictions(row: list[Any] | None) -> PredictionRecord | None:
    """Loads a record of predictions."""
    if row is None:
        return None
    record = PredictionRecord()
    record.revision, record.decision, record.first_ms, flags, record.propensity, record.avoided_booked, stages = row[:7]
    record.flag_ms = {int(policy): time_ms for policy, time_ms in flags.items()}
    if len(row) > 7 and row[7] is not None:  # later than 0.2.0
        flag = OpenFlag(*row[7][:8])
        record.open_flag = flag._replace(reasons=tuple((name, value, effect) for name, value, effect in flag.reasons))
    for stage in stages:
        prediction = StagePrediction()
        for name in StagePrediction.__slots__:
            setattr(prediction, name, stage[name])
        prediction.names = tuple(stage["names"])
        prediction.values = array("d", stage["values"])
        prediction.flagged = tuple(stage["flagged"])
        record.stages += (prediction,)
    return record
