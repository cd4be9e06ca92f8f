"""The findings of a partition's pipelines: looked at on ticks, with their state in its rows, announced as flags are."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from stream_app.alerts.finding_tracking import FindingTracker, Look
from stream_app.analysis.findings import FleetLooks
from stream_app.core.state.pipeline import Pipeline
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.processing.messages import alert_message
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Message

log = logging.getLogger(__name__)

#: Prefix of the key of the row of a pipeline's findings; its name follows.
FINDINGS = b"\x00findings/"


class FindingAlerts:
    """Follows the findings of the pipelines of a partition.

    Parameters
    ----------
    names
        The topics.
    rows
        The rows of the partition; only those of findings are read.
    looks
        Looks at the pipelines.
    max_age_ms
        As of `FindingTracker`.

    Raises
    ------
    StateError
        A row cannot be read.
    """

    def __init__(self, names: Names, rows: Mapping[bytes, bytes], looks: FleetLooks, max_age_ms: int) -> None:
        stored = {key[len(FINDINGS) :].decode(): row for key, row in rows.items() if key.startswith(FINDINGS)}
        self._tracker = FindingTracker(stored, max_age_ms)
        self._names = names
        self._looks = looks

    def revisions(self, pipeline: str) -> Mapping[str, int]:
        """See `FindingTracker.revisions`."""
        return self._tracker.revisions(pipeline)

    def tick(self, pipelines: Mapping[str, Pipeline], log_ms: int) -> list[Message]:
        """Looks at the pipelines that are due; returns what is announced. See `FindingTracker.tick`.

        Parameters
        ----------
        pipelines
            Those of the detector, after the tick.
        log_ms
            The log time of the tick, in ms since 1970 UTC.
        """
        clocks = {name: pipeline.clock.now_ms for name, pipeline in pipelines.items()}
        return [alert_message(self._names, each) for each in self._tracker.tick(clocks, log_ms, self._look_at)]

    def take_rows(self) -> list[Row]:
        """The rows that have changed since the last call."""
        return [(FINDINGS + name.encode(), row) for name, row in self._tracker.take_rows()]

    def _look_at(self, name: str) -> Look | None:
        try:
            return Look(*self._looks.look_at(name))
        except Exception:  # a defect of a rule must not stop time for the detector
            log.exception("pipeline %.80r cannot be looked at for findings", name)
            return None
