"""What the detector makes of events, with the ids of a source put back into the names of the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import RUNNING, ArtifactRef, Event
from stream_app.wire import event_to_dict
from tests.sources.history import PIPELINE, Artifact, Step
from tests.support.builders import at


def native(steps: Iterable[Step]) -> list[Event]:
    """The history as native events, in the order of their times."""
    events = []
    for step in steps:
        begun = _event(step, step.start, RUNNING if step.state != "CACHED" else "NEW")
        begun.inputs = tuple(map(_reference, step.reads))
        events.append(begun)
        if step.end is not None:
            ended = _event(step, step.end, step.state)
            ended.outputs = tuple(map(_reference, step.writes))
            ended.properties = dict(step.properties)
            events.append(ended)
    return sorted(events, key=lambda event: event.time_ms)


def graphlets(events: Iterable[Event], names: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """The final graphlets by their trainers, executions called by `names` where they have one there."""
    detector = Detector(Settings())
    for event in events:
        detector.step(event)
    known = names or {}
    found = {}
    for record in detector.graphlets():
        trainer = known.get(record["trainer"], record["trainer"])
        sets = {each: sorted(known.get(one, one) for one in record[each]) for each in ("up", "down", "side")}
        kept = {each: record[each] for each in ("pipeline", "run", "outcome", "cause", "cost", "time_ms")}
        found[trainer] = {**kept, **sets}
    return found


def shape(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Graphlets without what depends on when things happened."""
    return {
        trainer: {key: value for key, value in graphlet.items() if key not in ("cost", "time_ms")}
        for trainer, graphlet in found.items()
    }


def as_dicts(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Events in their native form, to be compared."""
    return [event_to_dict(event) for event in events]


def _event(step: Step, minute: float, state: str) -> Event:
    execution_id = step.run if step.type == "PipelineRun" else step.name
    return Event(at(minute), PIPELINE, execution_id, step.type, state, step.run)


def _reference(artifact: Artifact) -> ArtifactRef:
    return ArtifactRef(artifact.name, artifact.type, dict(artifact.properties))
