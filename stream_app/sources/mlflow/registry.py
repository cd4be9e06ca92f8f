"""What the model registry says of a model version, as events: it was registered, it was pushed."""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.core.events import COMPLETE, ArtifactRef, Event, Scalar
from stream_app.sources.mlflow.runs import model_of
from stream_app.sources.scalars import name, scalar

PUSHER, REGISTRATION = "Pusher", "ModelRegistration"


@dataclass(frozen=True)
class Origin:
    """Where a model version comes from."""

    pipeline: str
    #: The run that made it, and the pipeline run that was part of; None where they are not known.
    run_id: str | None = None
    root: str | None = None
    #: The logged model that it is, if it is one.
    model_id: str | None = None


def registered(model: str, version: str, origin: Origin, time_ms: int, properties: dict[str, str]) -> Event:
    """A version of a model was registered, or a tag of it was set."""
    held = {name(key): value for key, text in properties.items() if key and (value := scalar(text)) is not None}
    event = _event(f"{model}/{version}", REGISTRATION, origin, time_ms)
    event.inputs = _sources(origin)
    event.outputs = (ArtifactRef(_version(model, version), "Model", held),)
    return event


def pushed(model: str, version: str, by: str, origin: Origin, time_ms: int, said: Scalar = True) -> Event:
    """A version of a model was pushed.

    Parameters
    ----------
    by
        What says so: `@champion`, `#Production`, `?pushed`.
    said
        False: it says that it was not.
    """
    key = f"{model}/{version}{by}"
    event = _event(key, PUSHER, origin, time_ms)
    event.inputs = (*_sources(origin), ArtifactRef(_version(model, version), "Model"))
    event.outputs = (ArtifactRef(name(key), "PushedModel", {"pushed": said}),)
    return event


def _event(key: str, type_: str, origin: Origin, time_ms: int) -> Event:
    return Event(time_ms, name(origin.pipeline), name(key), type_, COMPLETE, origin.root)


def _version(model: str, version: str) -> str:
    return name(f"{model}/{version}")


def _sources(origin: Origin) -> tuple[ArtifactRef, ...]:
    keys = (*([model_of(origin.run_id)] if origin.run_id else []), *([origin.model_id] if origin.model_id else []))
    return tuple(ArtifactRef(name(key), "Model") for key in keys)
