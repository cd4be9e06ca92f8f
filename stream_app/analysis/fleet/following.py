"""Has the fleet of a detector followed, whoever runs it: a service, or a worker for each of its partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.state_owners import StateAttribution
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Follower
from stream_app.owners import Owners


class Followed(Protocol):
    """The part of `Detector` that is needed here."""

    def follow(self, follower: Follower) -> None:
        """Has a follower called from now on."""


@dataclass(frozen=True)
class FleetSettings:
    """What the analysis of a fleet is told.

    Parameters
    ----------
    nodes
        Execution type to number of nodes, for executions without a reported cost.
    rates
        Prices.
    owners
        Owners of pipelines of which events tell none.
    """

    nodes: Mapping[str, float] = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)
    owners: Owners = field(default_factory=Owners)


def follow_fleet(detector: Followed, settings: FleetSettings, rows: Mapping[bytes, bytes]) -> FleetAnalysis:
    """Has the sums of a detector's pipelines kept.

    Parameters
    ----------
    detector
        The detector, as it was loaded.
    settings
        Prices and owners.
    rows
        The rows of its state; only those of the analysis are read.

    Returns
    -------
    FleetAnalysis
        The analysis, which follows it.

    Raises
    ------
    StateError
        A row cannot be read.
    """
    rates = settings.rates
    names = StateAttribution(rates, settings.owners).label_names
    fleet = FleetAnalysis(settings.nodes, rates.micros if rates.given else None, names)
    fleet.load(rows)
    detector.follow(fleet)
    return fleet
