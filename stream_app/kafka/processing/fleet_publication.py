"""What a partition publishes of its pipelines, so that figures of the whole fleet can be made elsewhere.

A record has all of a pipeline, so one that is sent twice, or lost and sent later, changes nothing for whoever reads
them. Nothing is stored of what was sent: whoever takes the partition over publishes every pipeline anew.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.following import FleetSettings
from stream_app.analysis.fleet_record import MAX_BYTES, FleetRecord, Origin, encode
from stream_app.analysis.fleet_snapshots import FleetSnapshots, KnownPipeline
from stream_app.kafka.state.outbox import Message

log = logging.getLogger(__name__)

#: Seconds between two publications of a partition.
PUBLISH_SECONDS = 30.0
#: Seconds for which a call of `collect` computes, at least until one pipeline is done.
SLICE_SECONDS = 0.005


class FleetPublication:
    """Publishes the pipelines of a partition that have changed.

    Parameters
    ----------
    topic
        The topic of the records.
    fleet
        The analysis that follows the detector of the partition.
    settings
        Prices and owners.
    seconds
        Between two publications.
    monotonic
        The clock, in seconds.
    revisions
        As of `FleetSnapshots`.
    """

    def __init__(
        self,
        topic: str,
        fleet: FleetAnalysis,
        settings: FleetSettings,
        seconds: float = PUBLISH_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        revisions: Callable[[str], Mapping[str, int]] = lambda _: {},
    ) -> None:
        self._topic = topic
        self._fleet = fleet
        self._snapshots = FleetSnapshots(settings, revisions)
        self._currency = settings.rates.currency if settings.rates.given else None
        self._seconds = seconds
        self._monotonic = monotonic
        #: Pipelines that are still to be looked at in this publication, and when and at which position it began.
        self._left: deque[str] = deque()
        self._began, self._position = -math.inf, -1
        #: Pipelines of which it was logged that they cannot be published, or not as a whole.
        self._logged: set[str] = set()

    @property
    def is_unfinished(self) -> bool:
        """Whether pipelines are still to be looked at in this publication."""
        return bool(self._left)

    def collect(self, origin: Origin) -> list[Message]:
        """The records to be sent now.

        Parameters
        ----------
        origin
            The state of the partition. It need not have been committed: figures are a function of the events before its
            position.

        Returns
        -------
        list of Message
            Of the pipelines that have changed since they were published, as far as `SLICE_SECONDS` are enough. Nothing
            where no event has come since the last publication began, or that was less than `seconds` ago.
        """
        now = self._monotonic()
        if not self._left:
            if origin.position == self._position or now < self._began + self._seconds:
                return []
            self._began, self._position = now, origin.position
            self._left.extend(self._fleet.names())
        until = now + SLICE_SECONDS
        messages: list[Message] = []
        while self._left:
            name = self._left.popleft()
            try:
                known = self._snapshots.take(self._fleet, name)
                if known is not None:
                    messages.append(self._message(known, origin))
            except Exception:  # a defect of the analysis must not stop the worker
                self._snapshots.forget(name)
                if self._is_new(name):
                    log.exception("the figures of pipeline %.80r cannot be published", name)
            if self._monotonic() >= until:
                break
        return messages

    def lose(self, messages: Iterable[Message]) -> None:
        """Has pipelines published again.

        Parameters
        ----------
        messages
            Records that may not have reached Kafka.
        """
        for message in messages:
            self._snapshots.forget((message.key or b"").decode())
        self._position = -1

    def _message(self, known: KnownPipeline, origin: Origin) -> Message:
        name = known.snapshot.name
        value, omitted = encode(FleetRecord(known, origin, self._currency))
        if omitted and self._is_new(name):
            log.warning(
                "the figures of pipeline %.80r are larger than the %d bytes of a record; left out of it: %s",
                name,
                MAX_BYTES,
                ", ".join(omitted),
            )
        return Message(self._topic, name.encode(), value)

    def _is_new(self, name: str) -> bool:
        """Whether nothing was logged of a pipeline yet."""
        if name in self._logged:
            return False
        self._logged.add(name)
        return True
