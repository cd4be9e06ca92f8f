"""The JSON forms of what is sent and stored, as `schemas/` describes them.

Times are RFC 3339 strings in UTC: `time` is when something happened, `announced` when it was announced. An example
read back equals the one written, bit for bit: the examples log is what models are folded from.

Verdicts, examples and closed graphlets carry a `version`. A reader ignores fields that it does not know and takes
values of enumerations as they are, so that additions need no new version; verdicts and examples of earlier versions
pass `upgrade`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

from stream_app.core.events import ArtifactRef, Event
from stream_app.core.ids import graphlet_id, run_graphlet_id, verdict_id
from stream_app.core.outputs import OPEN, STAGES, Closed, Example, StageRecord, Verdict
from stream_app.errors import StateError
from stream_app.times import text_to_time, time_to_text

#: The version of verdicts, examples and closed graphlets; a record without one has version 1.
VERSION = 2

#: Fields of an example and of its stages from which a learner counts, and the types that it needs.
_EXAMPLE_TYPES = {"graphlet": (str,), "pipeline": (str,), "pushed": (bool, NoneType), "label_revision": (int,)}
_STAGE_TYPES = {
    **dict.fromkeys(("p", "baseline", "score", "cost", "cost_left", "actual_left", "propensity"), (int, float)),
    "features": (dict,),
    "flagged": (list,),
}


_LABELS: Mapping[str, bool | None] = {"pushed": True, "not_pushed": False, "pruned": None, "unknown": None}


def event_to_dict(event: Event) -> dict[str, Any]:
    """The native form of an event, without fields that have no value; decoding it gives the event again.

    Parameters
    ----------
    event
        The event.

    Returns
    -------
    dict
        As described by `schemas/event.schema.json`.
    """
    native: dict[str, Any] = {"time": time_to_text(event.time_ms), "pipeline": event.pipeline}
    if event.run is not None:
        native["run"] = event.run
    native["execution"] = {"id": event.execution_id, "type": event.execution_type, "state": event.state}
    if event.inputs:
        native["inputs"] = [_artifact_to_dict(artifact) for artifact in event.inputs]
    if event.outputs:
        native["outputs"] = [_artifact_to_dict(artifact) for artifact in event.outputs]
    if event.node_ms is not None:
        native["cost"] = {"node_seconds": event.node_ms / 1000}
    if event.properties:
        native["properties"] = event.properties
    if event.id is not None:
        native["id"] = event.id
    return native


def verdict_to_dict(verdict: Verdict) -> dict[str, Any]:
    """The JSON form of a verdict; its `id` is that of the graphlet with the revision.

    Parameters
    ----------
    verdict
        The verdict.

    Returns
    -------
    dict
        Costs in node-seconds, times as text.
    """
    return {
        "version": VERSION,
        "id": verdict.id,
        "graphlet": verdict.graphlet,
        "pipeline": verdict.pipeline,
        "run": verdict.run,
        "trainer": verdict.trainer,
        "stage": verdict.stage,
        "validator": verdict.validator,
        "p_push": verdict.p_push,
        "decision": verdict.decision,
        "threshold": verdict.threshold,
        "score": verdict.score,
        "cost": verdict.cost,
        "cost_left": verdict.cost_left,
        "reasons": [
            {"feature": reason.feature, "value": reason.value, "effect": reason.effect} for reason in verdict.reasons
        ],
        "held_back": verdict.held_back,
        "withdrawn": verdict.withdrawn,
        "pushes_missing": verdict.pushes_missing,
        "model": verdict.model,
        "policy": {"mode": verdict.mode, "budget": verdict.budget},
        "holdout": verdict.holdout,
        "propensity": verdict.propensity,
        "revision": verdict.revision,
        "time": time_to_text(verdict.time_ms),
        "job": verdict.job,
        "ladder": _ladder_to_dict(verdict),
    }


def outcome_to_dict(
    *, graphlet: str, trainer: str | None, pushed: bool | None, cause: str, time_ms: int
) -> dict[str, Any]:
    """The JSON form of an outcome.

    Parameters
    ----------
    graphlet
        The id of the graphlet.
    trainer
        The execution id of the trainer; None while it is not known.
    pushed
        The label; None for a pruned graphlet, which has none.
    cause
        `pushed`, `pruned`, or the cause.
    time_ms
        Event time of the outcome in ms since 1970 UTC.

    Returns
    -------
    dict
        The time as text.
    """
    return {
        "graphlet": graphlet,
        "trainer": trainer,
        "pushed": pushed,
        "cause": cause,
        "time": time_to_text(time_ms),
    }


def graphlet_to_dict(record: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON form of a graphlet.

    Parameters
    ----------
    record
        The description of the graphlet that the detector gives, cost in node-ms.

    Returns
    -------
    dict
        Cost in node-seconds by operator group.
    """
    names = ("graphlet", "pipeline", "run", "trainer", "up", "down", "side", "outcome", "cause")
    cost = {group: node_ms / 1000 for group, node_ms in record["cost"].items()}
    return {**{name: record[name] for name in names}, "cost": cost}


def outcome_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON form of the outcome of a graphlet.

    Parameters
    ----------
    record
        The description of the graphlet that the detector gives.

    Returns
    -------
    dict or None
        None while the graphlet is open.
    """
    if record["outcome"] == OPEN:
        return None
    return outcome_to_dict(
        graphlet=record["graphlet"],
        trainer=record["trainer"],
        pushed=_LABELS[record["outcome"]],
        cause=record["cause"] or record["outcome"],
        time_ms=record["time_ms"],
    )


def closed_to_dict(closed: Closed) -> dict[str, Any]:
    """The JSON form of a closed graphlet: its own, with that of its outcome.

    Parameters
    ----------
    closed
        The final record of the graphlet.

    Returns
    -------
    dict
        As described by `schemas/graphlet.schema.json`, with all members. `pushed`, `cause` and `time` are None where
        the graphlet was evicted without an outcome.
    """
    record = closed.graphlet
    outcome = outcome_of(record) or dict.fromkeys(("pushed", "cause", "time"))
    return {"version": VERSION, **graphlet_to_dict(record), **outcome, "members_omitted": 0}


def example_to_dict(example: Example) -> dict[str, Any]:
    """The JSON form of an example.

    Parameters
    ----------
    example
        The example.

    Returns
    -------
    dict
        `example_from_dict` gives the example again, bit for bit.
    """
    return {
        "version": VERSION,
        "id": example.id,
        "graphlet": example.graphlet,
        "pipeline": example.pipeline,
        "run": example.run,
        "trainer": example.trainer,
        "owner": example.owner,
        "pushed": example.pushed,
        "cause": example.cause,
        "time": time_to_text(example.time_ms),
        "announced": time_to_text(example.announced_ms),
        "label_revision": example.label_revision,
        "stages": [_stage_to_dict(stage) for stage in example.stages],
        "inherited": [_stage_to_dict(stage) for stage in example.inherited],
        "word": example.word,
    }


def example_from_dict(record: dict[str, Any]) -> Example:
    """Reads an example.

    Parameters
    ----------
    record
        The JSON form, of this version or of an earlier one. Fields that this version does not know are ignored.

    Returns
    -------
    Example
        The example.

    Raises
    ------
    StateError
        A field is missing or has a value that a learner cannot count with.
    """
    try:
        record = upgrade(record)
        _check(record, _EXAMPLE_TYPES)
        return Example(
            graphlet=record["graphlet"],
            pipeline=record["pipeline"],
            run=record["run"],
            trainer=record["trainer"],
            owner=record["owner"],
            pushed=record["pushed"],
            cause=record["cause"],
            time_ms=text_to_time(record["time"]),
            announced_ms=text_to_time(record["announced"]),
            label_revision=record["label_revision"],
            stages=[_stage_from_dict(stage) for stage in record["stages"]],
            inherited=[_stage_from_dict(stage) for stage in record["inherited"]],
            word=str(record.get("word", "")),
        )
    except KeyError as error:
        raise StateError(f"example without the field {error.args[0]!r}") from None
    except (TypeError, ValueError) as error:
        raise StateError(f"example that cannot be read: {error}") from None


def upgrade(record: dict[str, Any]) -> dict[str, Any]:
    """A verdict or an example as this version would have written it.

    Version 1 joined ids without escaping names, called `announced` `said`, wrote a policy as `observe 5 %` and the
    reasons as sentences. The sentences are kept as `notes`, since no values can be read from them.

    Parameters
    ----------
    record
        In any version; it is not changed.

    Returns
    -------
    dict
        The record itself when it has this version or a later one.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is neither a verdict nor an example.
    """
    try:
        return _upgraded(record)
    except AttributeError as error:  # a value of another type than every version writes
        raise TypeError(str(error)) from None


def _upgraded(record: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise TypeError(f"neither a verdict nor an example but {type(record).__name__}")
    if record.get("version", 1) >= VERSION:
        return record
    pipeline, run, trainer = record["pipeline"], record["run"], record["trainer"]
    graphlet = graphlet_id(pipeline, trainer) if trainer is not None else run_graphlet_id(pipeline, run)
    found = {**record, "version": VERSION, "graphlet": graphlet}
    if "label_revision" in record:
        found["announced"] = found.pop("said")
        return {**found, "id": verdict_id(graphlet, record["label_revision"])}
    mode, budget, _ = record["policy"].split()
    return {
        **found,
        "id": verdict_id(graphlet, record["revision"]),
        "policy": {"mode": mode, "budget": float(budget) / 100.0},
        "reasons": [],
        "notes": record["reasons"],
        "held_back": None,
        "withdrawn": None,
        "pushes_missing": 0,
    }


def _artifact_to_dict(artifact: ArtifactRef) -> dict[str, Any]:
    native: dict[str, Any] = {"id": artifact.id, "type": artifact.type}
    if not artifact.versioned:
        native["versioned"] = False
    if artifact.properties:
        native["properties"] = artifact.properties
    return native


def _ladder_to_dict(verdict: Verdict) -> dict[str, Any] | None:
    if not verdict.ladder:
        return None
    return {
        "last": verdict.ladder,
        "warn_again": time_to_text(verdict.warn_again_ms) if verdict.warn_again_ms is not None else None,
        "stop_from": time_to_text(verdict.stop_ms) if verdict.stop_ms is not None else None,
        "exempt_hours": verdict.exempt_hours,
    }


def _stage_to_dict(stage: StageRecord) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "validator": stage.validator,
        "time": time_to_text(stage.time_ms),
        "features": stage.features,
        "p": stage.p,
        "baseline": stage.baseline,
        "score": stage.score,
        "guard": stage.guard,
        "cost": stage.cost,
        "cost_left": stage.cost_left,
        "actual_left": stage.actual_left,
        "decision": stage.decision,
        "flagged": stage.flagged,
        "propensity": stage.propensity,
    }


def _stage_from_dict(record: dict[str, Any]) -> StageRecord:
    if record["stage"] not in STAGES:
        raise ValueError(f"no stage {record['stage']!r:.40}")
    _check(record, _STAGE_TYPES)
    return StageRecord(
        stage=record["stage"],
        validator=record["validator"],
        time_ms=text_to_time(record["time"]),
        features=record["features"],
        p=record["p"],
        baseline=record["baseline"],
        score=record["score"],
        guard=record["guard"],
        cost=record["cost"],
        cost_left=record["cost_left"],
        actual_left=record["actual_left"],
        decision=record["decision"],
        flagged=record["flagged"],
        propensity=record["propensity"],
    )


def _check(record: Mapping[str, Any], types: Mapping[str, tuple[type, ...]]) -> None:
    for name, allowed in types.items():
        if not isinstance(record[name], allowed):
            raise TypeError(f"its {name} is {record[name]!r:.40}")
