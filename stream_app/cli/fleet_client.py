"""The figures of a fleet from a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_app.analysis.fleet_document import FleetDocument
    from stream_app.cli.service_client import Service


def fleet_of(service: Service) -> FleetDocument:
    """Asks a service for its fleet, and for all of its pipelines.

    Parameters
    ----------
    service
        The service.

    Returns
    -------
    FleetDocument
        As of its own events.
    """
    from pydantic import TypeAdapter

    from stream_app.analysis.fleet_document import FleetDocument

    found = service.get("/v1/fleet")
    pipelines: list[object] = []
    after: str | None = None
    while True:
        page = service.get("/v1/pipelines", after=after)
        pipelines += page["pipelines"]
        after = page["next"]
        if after is None:
            break
    return TypeAdapter(FleetDocument).validate_python({**found, "pipelines": pipelines})
