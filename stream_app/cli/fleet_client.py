"""The figures of a fleet from a running service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_app.analysis.fleet_document import FleetDocument
    from stream_app.cli.service_client import Service


@dataclass(frozen=True)
class ServedFleet:
    """The figures of a service: the document, up to when they are, and the pipelines that are not all in them."""

    document: FleetDocument
    as_of: str | None
    omitted: Iterable[str]

    def lines(self) -> list[str]:
        """What a person should know of the figures."""
        found = [] if self.as_of is None else [f"as of {self.as_of}"]
        return found + [f"not all figures are there of pipeline {name}: they are too large" for name in self.omitted]


def fleet_of(service: Service) -> ServedFleet:
    """Asks a service for its fleet, and for all of its pipelines.

    Parameters
    ----------
    service
        The service.

    Returns
    -------
    ServedFleet
        Made of the events that the service, or the workers behind it, have read.
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
    document = TypeAdapter(FleetDocument).validate_python({**found, "pipelines": pipelines})
    return ServedFleet(document, found.get("as_of"), found.get("omitted", ()))
