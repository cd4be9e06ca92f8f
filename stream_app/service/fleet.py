"""The snapshots of the fleet of an embedded detector, which its thread keeps up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet_answer import FRESH_SECONDS, FleetAnswer, FleetAnswers, FleetState
from stream_app.analysis.fleet_snapshots import FleetSnapshots, KnownPipeline
from stream_app.service.settings import EmbeddedSettings

#: Seconds for which the detector waits at a time, at least until one pipeline is done.
SLICE_SECONDS = 0.005


class FleetQueries:
    """Answers questions about the fleet; see `FleetAnswers`.

    Parameters
    ----------
    settings
        Of the service.
    fleet
        The analysis that follows the detector now.
    detector_lock
        Held while the analysis is looked at, for `SLICE_SECONDS` at a time.
    as_of_ms
        Gives the time up to which what was received has been applied, in ms since 1970 UTC.
    monotonic
        The clock, in seconds.
    revisions
        As of `FleetSnapshots`.
    """

    def __init__(
        self,
        settings: EmbeddedSettings,
        fleet: Callable[[], FleetAnalysis],
        detector_lock: threading.Lock,
        as_of_ms: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        revisions: Callable[[str], Mapping[str, int]] = lambda _: {},
    ) -> None:
        self._fleet = fleet
        self._detector_lock = detector_lock
        self._as_of_ms = as_of_ms
        self._monotonic = monotonic
        self._snapshots = FleetSnapshots(settings.fleet, revisions)
        self._known: dict[str, KnownPipeline] = {}
        rates = settings.rates
        self._currency = rates.currency if rates.given else None
        self._answers = FleetAnswers(self._state, monotonic)

    def answer(self, max_age: float = FRESH_SECONDS) -> FleetAnswer:
        """The figures; see `FleetAnswers.answer`.

        Parameters
        ----------
        max_age
            Seconds for which figures are kept at least.
        """
        return self._answers.answer(max_age)

    def _state(self) -> FleetState:
        """Looks at the pipelines that have changed, a few at a time."""
        with self._detector_lock:
            names, as_of_ms = self._fleet().names(), self._as_of_ms()
        done = 0
        while done < len(names):
            with self._detector_lock:
                fleet, until = self._fleet(), self._monotonic() + SLICE_SECONDS
                while done < len(names):
                    if names[done] in fleet:  # after a failure the detector is loaded again, as it was last saved
                        known = self._snapshots.take(fleet, names[done])
                        if known is not None:
                            self._known[names[done]] = known
                    done += 1
                    if self._monotonic() >= until:
                        break
        return FleetState(dict(self._known), self._currency, as_of_ms if self._known else None)
