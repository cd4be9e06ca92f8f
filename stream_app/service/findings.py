"""The findings of an embedded detector: looked at on ticks, with their state in its rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from stream_app.alerts.finding_tracking import FindingTracker, Look
from stream_app.alerts.findings import FindingRecord
from stream_app.analysis.findings import FleetLooks
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.state_owners import StateAttribution
from stream_app.core.detector import Detector
from stream_app.service.event_log import Changes
from stream_app.service.settings import EmbeddedSettings

log = logging.getLogger(__name__)

#: Prefix of the key of the row of a pipeline's findings; its name follows. The detector reads no key that begins so.
FINDINGS = b"\x00findings/"


class Findings:
    """Follows the findings of the pipelines of a detector.

    Parameters
    ----------
    rows
        The rows of the saved state; only those of findings are read.
    fleet
        The analysis that follows the detector.
    settings
        Prices, owners, and how old may be what is announced.

    Raises
    ------
    StateError
        A row cannot be read.
    """

    def __init__(self, rows: Mapping[bytes, bytes], fleet: FleetAnalysis, settings: EmbeddedSettings) -> None:
        stored = {key[len(FINDINGS) :].decode(): row for key, row in rows.items() if key.startswith(FINDINGS)}
        self._tracker = FindingTracker(stored, settings.flag_age_ms)
        self._looks = FleetLooks(fleet, StateAttribution(settings.rates, settings.owners))

    def revisions(self, pipeline: str) -> Mapping[str, int]:
        """See `FindingTracker.revisions`."""
        return self._tracker.revisions(pipeline)

    def tick(self, detector: Detector, log_ms: int) -> list[FindingRecord]:
        """Looks at the pipelines that are due; see `FindingTracker.tick`.

        Parameters
        ----------
        detector
            The detector, after the tick.
        log_ms
            The time of the tick, in ms since 1970 UTC.
        """
        clocks = {name: pipeline.clock.now_ms for name, pipeline in detector.pipelines.items()}
        return self._tracker.tick(clocks, log_ms, self._look_at)

    def take_rows(self, changes: Changes) -> None:
        """Adds the rows that have changed since the last call."""
        changes.rows.update((FINDINGS + name.encode(), row) for name, row in self._tracker.take_rows())

    def _look_at(self, name: str) -> Look | None:
        try:
            return Look(*self._looks.look_at(name))
        except Exception:  # a defect of a rule must not stop time for the detector
            log.exception("pipeline %.80r cannot be looked at for findings", name)
            return None
