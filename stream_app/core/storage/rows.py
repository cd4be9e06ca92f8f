"""State as rows: small values keyed by kind, pipeline and id, for a table with a changelog.

Only facts and what was said are stored. `load` lays the edges anew and lets graphlets find their members; outcomes
and ledger follow from `outcomes.settle` and `ledger.settle`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import orjson

from stream_app.core.graphlets.membership import reads_own_trainer, refresh_graphlet, spread_from_trainer
from stream_app.core.graphlets.updating import enter_run
from stream_app.core.graphlets.versions import add_reader, connect_writer
from stream_app.core.operators import Operators
from stream_app.core.state.entities import Artifact, Execution, Graphlet, Left, Pipeline, Run, Said, Talk, Unversioned
from stream_app.core.state.history import History, Snapshot, Spread
from stream_app.core.state.ledger import Ledger
from stream_app.errors import StateError

#: Raised when the form of a row changes; rows of another version are refused.
VERSION = 1

PIPELINE, HISTORY, EXECUTION, ARTIFACT, GRAPHLET, RUN = (
    "pipeline",
    "history",
    "execution",
    "artifact",
    "graphlet",
    "run",
)


#: An execution with the ids of the artifacts it read and wrote.
Ends = tuple[Execution, list[str], list[str]]


def key(kind: str, pipeline: str, name: str) -> bytes:
    """The key of a row."""
    return "\x00".join((kind, pipeline, name)).encode()


def changed_rows(pipelines: Iterable[Pipeline]) -> list[tuple[bytes, bytes | None]]:
    """The rows of all entities marked as changed in some pipelines, and a None for each that is gone."""
    rows: dict[bytes, bytes | None] = {}
    for pipeline in pipelines:
        for kind, name in pipeline.gone:
            rows[key(kind, pipeline.name, name)] = None
        pipeline.gone = {}
        rows[key(PIPELINE, pipeline.name, "")] = encode(pipeline_row(pipeline))
        for entity in pipeline.changed or ():
            kind, name, value = entity_row(entity)
            rows[key(kind, pipeline.name, name)] = encode(value)
        pipeline.changed = {}
    return list(rows.items())


def encode(value: Any) -> bytes:
    return orjson.dumps([VERSION, value], option=orjson.OPT_NON_STR_KEYS)


def entity_row(entity: Execution | Artifact | Graphlet | Run | History) -> tuple[str, str, Any]:
    """(kind, id, value) of an entity's row."""
    if isinstance(entity, Execution):
        return EXECUTION, entity.id, execution_row(entity)
    if isinstance(entity, Artifact):
        return ARTIFACT, entity.id, [entity.properties, None if entity.unversioned is None else entity.unversioned.gone]
    if isinstance(entity, Graphlet):
        return (
            GRAPHLET,
            entity.trainer.id,
            [entity.said_kind, entity.label_revision, entity.say_ms, talk_row(entity.talk)],
        )
    if isinstance(entity, Run):
        said = [entity.said_kind, entity.label_revision, entity.say_ms, talk_row(entity.talk)]
        return RUN, entity.id, [*said, entity.had_trainer, entity.counted]
    return HISTORY, "", entity


def pipeline_row(pipeline: Pipeline) -> list[Any]:
    """Clocks, cutoff, frozen sums, and the pushes of graphlets that are closed."""
    kept = set(pipeline.push_of.values())
    return [
        pipeline.clock_ms,
        pipeline.last_event_ms,
        pipeline.last_log_ms,
        pipeline.cutoff_ms,
        pipeline.next_sweep_ms,
        ledger_row(pipeline.frozen_ledger),
        [push for push in pipeline.pushed if push not in kept],
    ]


def ledger_row(ledger: Ledger) -> dict[str, Any]:
    row = {entry.name: getattr(ledger, entry.name) for entry in fields(ledger)}
    row["wasted_by"] = [[group, cause, amount] for (group, cause), amount in ledger.wasted_by.items()]
    return row


def execution_row(execution: Execution) -> list[Any]:
    return [
        execution.type, execution.type_ms, execution.run, execution.run_ms, execution.seen, execution.first_ms,
        execution.running_ms, execution.end_ms, execution.end_state, execution.told_node_ms,
        sorted(execution.reads), sorted(execution.writes), execution.properties,
        execution.touched_day, None if execution.left is None else list(execution.left),
    ]  # fmt: skip


def talk_row(talk: Talk | None) -> list[Any] | None:
    if talk is None:
        return None
    return [
        talk.revision,
        talk.decision,
        talk.first_ms,
        talk.flag_ms,
        talk.propensity,
        talk.spared,
        [said_row(said) for said in talk.stages],
    ]


def said_row(said: Said) -> dict[str, Any]:
    row = {name: getattr(said, name) for name in Said.__slots__}
    row["values"] = said.values.tolist()
    return row


def load(saved: Mapping[bytes, bytes], operators: Operators) -> Iterator[Pipeline]:
    """The pipelines of some rows, their graphlets rebuilt.

    Raises
    ------
    StateError
        A row has another version, or is no row of ours.
    """
    by_pipeline: dict[str, list[tuple[str, str, Any]]] = {}
    for row_key, row in sorted(saved.items()):
        try:
            kind, pipeline, name = row_key.decode().split("\x00")
            version, value = orjson.loads(row)
        except (ValueError, TypeError) as error:
            raise StateError(f"row {row_key[:80]!r} cannot be read: {error}") from error
        if version != VERSION:
            raise StateError(f"row {row_key[:80]!r} has version {version}, this program reads {VERSION}")
        by_pipeline.setdefault(pipeline, []).append((kind, name, value))
    for pipeline, entries in by_pipeline.items():
        yield load_pipeline(pipeline, entries, operators)


def load_pipeline(name: str, entries: list[tuple[str, str, Any]], operators: Operators) -> Pipeline:
    """One pipeline of its rows."""
    pipeline = Pipeline(name)
    by_kind: dict[str, list[tuple[str, Any]]] = {}
    for kind, entity, value in entries:
        by_kind.setdefault(kind, []).append((entity, value))
    for _, value in by_kind.get(PIPELINE, ()):
        load_clocks(pipeline, value)
    for _, value in by_kind.get(HISTORY, ()):
        pipeline.history = load_history(value)
    for entity, (properties, gone) in by_kind.get(ARTIFACT, ()):
        artifact = pipeline.artifacts[entity] = Artifact(entity)
        artifact.properties = load_properties(properties)
        if gone is not None:
            artifact.unversioned = Unversioned()
            artifact.unversioned.gone = gone
            artifact.unversioned.ends = sorted((end_ms, writer_id) for writer_id, end_ms in gone.items())
    connect(pipeline, [load_execution(pipeline, *entry, operators) for entry in by_kind.get(EXECUTION, ())])
    for entity, value in by_kind.get(GRAPHLET, ()):
        load_graphlet(pipeline, entity, value)
    for entity, value in by_kind.get(RUN, ()):
        load_run(pipeline, entity, value)
    return pipeline


def load_clocks(pipeline: Pipeline, value: list[Any]) -> None:
    (
        pipeline.clock_ms, pipeline.last_event_ms, pipeline.last_log_ms, pipeline.cutoff_ms, pipeline.next_sweep_ms,
        frozen, pushes,
    ) = value  # fmt: skip
    for ledger in (pipeline.frozen_ledger, pipeline.ledger):
        ledger.merge(load_ledger(frozen))
    pipeline.pushed = [(start_ms, trainer, push_ms) for start_ms, trainer, push_ms in pushes]


def load_ledger(row: dict[str, Any]) -> Ledger:
    row = dict(row)
    row["wasted_by"] = {(group, cause): amount for group, cause, amount in row["wasted_by"]}
    for name in ("saved", "harmed", "undecided"):
        row[name] = {int(policy): amount for policy, amount in row[name].items()}
    return Ledger(**row)


def load_history(row: dict[str, Any]) -> History:
    row = dict(row)
    for name in ("last", "last_pushed"):
        row[name] = Snapshot(**row[name]) if row[name] is not None else None
    row["started"] = [Snapshot(**snapshot) for snapshot in row["started"]]
    for name in ("start_gap", "failed", "pushed", "taken"):
        row[name] = Spread(**row[name])
    for name in ("numbers", "costs"):
        row[name] = {entry: Spread(**spread) for entry, spread in row[name].items()}
    row["flag_streaks"] = {int(budget): streak for budget, streak in row["flag_streaks"].items()}
    return History(**row)


def load_properties(row: dict[str, list[Any]] | None) -> dict[str, tuple[int, Any]] | None:
    return None if row is None else {name: (time_ms, value) for name, (time_ms, value) in row.items()}


def load_execution(pipeline: Pipeline, name: str, row: list[Any], operators: Operators) -> Ends:
    """One execution, with the artifacts that its edges lead to, which are laid once all are known."""
    execution = pipeline.executions[name] = Execution(name)
    (
        execution.type, execution.type_ms, execution.run, execution.run_ms, execution.seen, execution.first_ms,
        execution.running_ms, execution.end_ms, execution.end_state, execution.told_node_ms,
        inputs, outputs, properties, execution.touched_day, left,
    ) = row  # fmt: skip
    execution.properties = load_properties(properties)
    if left is not None:
        pushed, policies, (start_ms, trainer), cause, own_trainer = left
        execution.left = Left(pushed, policies, (start_ms, trainer), cause, own_trainer)
    execution.group = operators.group(execution.type)
    enter_run(pipeline, execution)
    pipeline.stale[execution] = None
    return execution, inputs, outputs


def connect(pipeline: Pipeline, ends: list[Ends]) -> None:
    """Lays every edge, then lets every graphlet find its members."""
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
        execution.own_trainer = reads_own_trainer(execution)
        refresh_graphlet(pipeline, execution)
    for graphlet in pipeline.graphlets.values():
        spread_from_trainer(pipeline, graphlet)


def load_graphlet(pipeline: Pipeline, name: str, row: list[Any]) -> None:
    graphlet = pipeline.graphlets.get(name)
    if graphlet is None:
        graphlet = pipeline.retired[name] = Graphlet(pipeline.name, pipeline.executions[name])
    graphlet.said_kind, graphlet.label_revision, graphlet.say_ms, talk = row
    graphlet.talk = load_talk(talk)


def load_run(pipeline: Pipeline, name: str, row: list[Any]) -> None:
    run = pipeline.runs.setdefault(name, Run(name))
    run.said_kind, run.label_revision, run.say_ms, talk, run.had_trainer, run.counted = row
    run.talk = load_talk(talk)


def load_talk(row: list[Any] | None) -> Talk | None:
    if row is None:
        return None
    talk = Talk()
    talk.revision, talk.decision, talk.first_ms, flags, talk.propensity, talk.spared, stages = row
    talk.flag_ms = {int(policy): time_ms for policy, time_ms in flags.items()}
    for stage in stages:
        said = Said()
        for name, value in stage.items():
            setattr(said, name, value)
        said.names = tuple(stage["names"])
        said.values = array("d", stage["values"])
        said.flagged = tuple(stage["flagged"])
        talk.stages += (said,)
    return talk
