"""Settings of the embedded detector."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.alerts.tracking import MAX_AGE_MS
from stream_app.analysis.fleet.following import FleetSettings
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Settings
from stream_app.owners import Owners
from stream_app.sources import SOURCES, Sources


@dataclass(frozen=True)
class EmbeddedSettings:
    """Settings of the service."""

    detector: Settings = field(default_factory=Settings)
    sources: Sources = field(default_factory=lambda: SOURCES)
    #: Seconds between two ticks, with which time passes for pipelines that send no events.
    tick_seconds: float = 60.0
    #: How far the event time of a verdict may be in the past for a flag to be raised, and the clock of a pipeline for a
    #: finding, in ms.
    flag_age_ms: int = MAX_AGE_MS
    #: Days for which applied entries are kept.
    keep_days: float = 30.0
    #: Prices, and owners of pipelines of which events tell none, for the figures of the fleet.
    rates: Rates = field(default_factory=Rates)
    owners: Owners = field(default_factory=Owners)

    @property
    def fleet(self) -> FleetSettings:
        """What the analysis of the fleet is told."""
        return FleetSettings(self.detector.operators.nodes, self.rates, self.owners)
