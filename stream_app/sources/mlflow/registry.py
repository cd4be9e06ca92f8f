"""Makes events of the model registry: a model version was registered, or pushed. They cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from stream_app.core.events import COMPLETE, ArtifactRef, Event, Scalar
from stream_app.sources.mlflow.runs import model_of
from stream_app.sources.native import MAX_PROPERTIES
from stream_app.sources.scalars import name, scalar

PUSHER, REGISTRATION = "Pusher", "ModelRegistration"


@dataclass(frozen=True)
class Origin:
    """Where a model version comes from.

    Parameters
    ----------
    pipeline
        The name of the pipeline.
    run_id, root
        The run that made it, and the pipeline run of that; None where they are not known.
    model_id
        The logged model that it is, if it is one.
    """

    pipeline: str
    run_id: str | None = None
    root: str | None = None
    model_id: str | None = None


def registered(model: str, version: str, origin: Origin, time_ms: int, properties: dict[str, str]) -> Event:
    """Makes the event of a registration, or of a tag set on a version; what no event can have is counted as dropped."""
    known = {name(key): value for key, text in properties.items() if key and (value := scalar(text)) is not None}
    kept = dict(islice(known.items(), MAX_PROPERTIES))
    event = _event(f"{model}/{version}", REGISTRATION, origin, time_ms)
    event.inputs = _sources(origin)
    event.outputs = (ArtifactRef(name(f"{model}/{version}"), "Model", kept),)
    event.dropped = len(properties) - len(kept)
    return event


def pushed(
    model: str, version: str, by: str, origin: Origin, time_ms: int, value: Scalar = True, again: str = ""
) -> Event:
    """Makes the event of a push of a model version.

    Parameters
    ----------
    model, version
        The model version.
    by
        What reports it: `@champion`, `#Production`, `?pushed`.
    origin
        Where the version comes from.
    time_ms
        Event time in ms since 1970 UTC.
    value
        The value reported; False means that the version was not pushed.
    again
        What tells the version from an earlier one of the same name and number, whose model was deleted; "" where there
        was none.

    Returns
    -------
    Event
        A COMPLETE event of a Pusher.
    """
    key = f"{model}/{version}{by}{again}"
    event = _event(key, PUSHER, origin, time_ms)
    event.inputs = (*_sources(origin), ArtifactRef(name(f"{model}/{version}{again}"), "Model"))
    event.outputs = (ArtifactRef(name(key), "PushedModel", {"pushed": value}),)
    return event


def _event(key: str, type_: str, origin: Origin, time_ms: int) -> Event:
    return Event(time_ms, name(origin.pipeline), name(key), type_, COMPLETE, origin.root, node_ms=0)


def _sources(origin: Origin) -> tuple[ArtifactRef, ...]:
    keys = (*([model_of(origin.run_id)] if origin.run_id else []), *([origin.model_id] if origin.model_id else []))
    return tuple(ArtifactRef(name(key), "Model") for key in keys)
