"""The JSON forms of what is sent and stored, as `schemas/` describes them.

Times are RFC 3339 strings in UTC: `time` is when something happened, `said` when it was said. An example
read back equals the one written, bit for bit: the examples log is what models are folded from.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal

from stream_app.core.events import ArtifactRef, Event
from stream_app.core.outputs import OPEN, STAGES, Example, StageRecord, Verdict
from stream_app.errors import StateError
from stream_app.times import text_to_time, time_to_text

__all__ = [
    "alert",
    "event_to_dict",
    "example_from_dict",
    "example_to_dict",
    "outcome_to_dict",
    "text_to_time",
    "time_to_text",
    "verdict_to_dict",
]

#: Types of alerts, below `stream_app.graphlet.`: a flag was raised, it was withdrawn, the outcome is known.
AlertKind = Literal["flagged", "withdrawn", "resolved"]

#: Fields of an example and of its stages that a learner counts with, and the types that it can.
_EXAMPLE_TYPES = {"graphlet": (str,), "pipeline": (str,), "pushed": (bool, NoneType), "label_revision": (int,)}
_STAGE_TYPES = {
    **dict.fromkeys(("p", "baseline", "score", "cost", "cost_left", "actual_left", "propensity"), (int, float)),
    "features": (dict,),
    "flagged": (list,),
}


_LABELS: Mapping[str, bool | None] = {"pushed": True, "not_pushed": False, "pruned": None}


def event_to_dict(event: Event) -> dict[str, Any]:
    """The native form of an event, without the fields that say nothing; decoding it gives the event again."""
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
    """The JSON form of a verdict; its `id` is that of the graphlet with the revision."""
    return {
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
        "reasons": verdict.reasons,
        "model": verdict.model,
        "policy": verdict.policy,
        "holdout": verdict.holdout,
        "propensity": verdict.propensity,
        "revision": verdict.revision,
        "time": time_to_text(verdict.time_ms),
    }


def outcome_to_dict(
    *, graphlet: str, trainer: str | None, pushed: bool | None, cause: str, time_ms: int
) -> dict[str, Any]:
    """The JSON form of an outcome; `pushed` is None for a pruned graphlet, which has no label."""
    return {
        "graphlet": graphlet,
        "trainer": trainer,
        "pushed": pushed,
        "cause": cause,
        "time": time_to_text(time_ms),
    }


def graphlet_to_dict(record: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON form of a graphlet that the detector described; cost in node-seconds by operator group."""
    names = ("graphlet", "pipeline", "run", "trainer", "up", "down", "side", "outcome", "cause")
    cost = {group: node_ms / 1000 for group, node_ms in record["cost"].items()}
    return {**{name: record[name] for name in names}, "cost": cost}


def outcome_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON form of the outcome of a graphlet that the detector described; None while it is open."""
    if record["outcome"] == OPEN:
        return None
    return outcome_to_dict(
        graphlet=record["graphlet"],
        trainer=record["trainer"],
        pushed=_LABELS[record["outcome"]],
        cause=record["cause"] or record["outcome"],
        time_ms=record["time_ms"],
    )


def example_to_dict(example: Example) -> dict[str, Any]:
    """The JSON form of an example."""
    return {
        "id": example.id,
        "graphlet": example.graphlet,
        "pipeline": example.pipeline,
        "run": example.run,
        "trainer": example.trainer,
        "owner": example.owner,
        "pushed": example.pushed,
        "cause": example.cause,
        "time": time_to_text(example.time_ms),
        "said": time_to_text(example.said_ms),
        "label_revision": example.label_revision,
        "stages": [_stage_to_dict(stage) for stage in example.stages],
        "inherited": [_stage_to_dict(stage) for stage in example.inherited],
    }


def example_from_dict(record: dict[str, Any]) -> Example:
    """The example of a JSON form; fields of a later version are ignored.

    Raises StateError when a field is missing or is not what this version writes.
    """
    try:
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
            said_ms=text_to_time(record["said"]),
            label_revision=record["label_revision"],
            stages=[_stage_from_dict(stage) for stage in record["stages"]],
            inherited=[_stage_from_dict(stage) for stage in record["inherited"]],
        )
    except KeyError as error:
        raise StateError(f"example without the field {error.args[0]!r}") from None
    except (TypeError, ValueError) as error:
        raise StateError(f"example that cannot be read: {error}") from None


def alert(kind: AlertKind, data: dict[str, Any], revision: int) -> dict[str, Any]:
    """A CloudEvents 1.0 event in structured JSON about a graphlet.

    Parameters: `data` is the verdict (or, for `resolved`, the outcome) in its JSON form; `revision` is that
    of the verdict or of the label. The `id` depends on nothing else, so that a receiver can drop an alert
    sent twice.
    """
    graphlet = data["graphlet"]
    return {
        "specversion": "1.0",
        "id": f"{kind}:{graphlet}#{revision}",
        "source": "stream-app",
        "type": f"stream_app.graphlet.{kind}",
        "subject": graphlet,
        "time": data["time"],
        "datacontenttype": "application/json",
        "data": data,
    }


def _artifact_to_dict(artifact: ArtifactRef) -> dict[str, Any]:
    native: dict[str, Any] = {"id": artifact.id, "type": artifact.type}
    if not artifact.versioned:
        native["versioned"] = False
    if artifact.properties:
        native["properties"] = artifact.properties
    return native


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
