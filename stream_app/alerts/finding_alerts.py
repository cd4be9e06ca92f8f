"""The findings of a detector's pipelines: looked at on ticks, with their state in its rows, announced as flags are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from stream_app.alerts.finding_tracking import FindingTracker, Look
from stream_app.alerts.findings import FiguresOfFinding, FindingRecord

log = logging.getLogger(__name__)

#: Prefix of the key of the row of a pipeline's findings; its name follows. The detector reads no key that begins so.
FINDINGS = b"\x00findings/"


class FindingAlerts:
    """Follows the findings of the pipelines of a detector.

    Parameters
    ----------
    rows
        The rows of the saved state; only those of findings are read.
    look_at
        Looks at a pipeline; returns what `Look` has.
    max_age_ms
        As of `FindingTracker`.

    Raises
    ------
    StateError
        A row cannot be read.
    """

    def __init__(
        self,
        rows: Mapping[bytes, bytes],
        look_at: Callable[[str], tuple[Sequence[FiguresOfFinding], Mapping[str, str]]],
        max_age_ms: int,
    ) -> None:
        stored = {key[len(FINDINGS) :].decode(): row for key, row in rows.items() if key.startswith(FINDINGS)}
        self._tracker = FindingTracker(stored, max_age_ms)
        self._look_at = look_at

    def revisions(self, pipeline: str) -> Mapping[str, int]:
        """See `FindingTracker.revisions`."""
        return self._tracker.revisions(pipeline)

    def tick(self, clocks: Mapping[str, int], log_ms: int) -> list[FindingRecord]:
        """Looks at the pipelines that are due; see `FindingTracker.tick`.

        Parameters
        ----------
        clocks
            Pipeline -> its clock after the tick, in ms since 1970 UTC.
        log_ms
            The log time of the tick, in ms since 1970 UTC.
        """
        return self._tracker.tick(clocks, log_ms, self._look)

    def take_rows(self) -> list[tuple[bytes, bytes | None]]:
        """The rows that have changed since the last call; None: it is dropped."""
        return [(FINDINGS + name.encode(), row) for name, row in self._tracker.take_rows()]

    def _look(self, name: str) -> Look | None:
        try:
            return Look(*self._look_at(name))
        except Exception:  # a defect of a rule must not stop time for the detector
            log.exception("pipeline %.80r cannot be looked at for findings", name)
            return None
