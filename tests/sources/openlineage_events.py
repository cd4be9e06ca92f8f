"""OpenLineage events with defaults, so that a test says only what it is about."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import orjson

PRODUCER = "https://example.com/producer"
FACET = {"_producer": PRODUCER, "_schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"}


def run_id(name: str) -> str:
    """The run id that a name always has."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def dataset(name: str, version: str | None = None, namespace: str = "s3://bucket", **facets: Any) -> dict[str, Any]:
    """A dataset; `facets` are its own, the version's apart."""
    if version is not None:
        facets["version"] = {"datasetVersion": version}
    return {"namespace": namespace, "name": name, "facets": {key: FACET | facet for key, facet in facets.items()}}


def run_event(
    event_type: str | None = "START",
    name: str = "vision.train",
    run: str = "t1",
    *,
    namespace: str = "prod",
    time: str = "2026-03-01T06:00:00Z",
    parent: tuple[str, str] | None = None,
    root: tuple[str, str] | None = None,
    inputs: Sequence[dict[str, Any]] = (),
    outputs: Sequence[dict[str, Any]] = (),
    run_facets: dict[str, Any] | None = None,
    job_facets: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A RunEvent. `parent` and `root` are (name of the run, name of the job); runs are named and get a UUID."""
    facets = dict(run_facets or {})
    if parent is not None:
        facets["parent"] = _above(parent, namespace)
        if root is not None:
            facets["parent"]["root"] = _above(root, namespace)
    event = {
        "eventType": event_type,
        "eventTime": time,
        "run": {"runId": run_id(run), "facets": {key: FACET | facet for key, facet in facets.items()}},
        "job": {
            "namespace": namespace,
            "name": name,
            "facets": {key: FACET | facet for key, facet in (job_facets or {}).items()},
        },
        "inputs": list(inputs),
        "outputs": list(outputs),
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }
    if event_type is None:
        del event["eventType"]
    return event


def job_type(value: str) -> dict[str, Any]:
    """The facets that tell a job's type."""
    return {"jobType": {"jobType": value, "integration": "TEST", "processingType": "BATCH"}}


def message(event: dict[str, Any]) -> bytes:
    """An event as it is sent."""
    return orjson.dumps(event)


def _above(run: tuple[str, str], namespace: str) -> dict[str, Any]:
    return {"run": {"runId": run_id(run[0])}, "job": {"namespace": namespace, "name": run[1]}}
