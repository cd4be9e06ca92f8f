"""The metrics of a sidecar."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from stream_app.metrics.registry import counter, gauge, make_registry


class Measures:
    """What a sidecar counts."""

    def __init__(self) -> None:
        self.registry: CollectorRegistry = make_registry()
        self._events = counter(self.registry, "sidecar_events_total")
        for fate in ("spooled", "delivered", "refused", "dropped"):
            self._events.labels(fate)
        self._waiting = gauge(self.registry, "sidecar_waiting_events")
        self._bytes = gauge(self.registry, "sidecar_spool_bytes")
        self._reachable = gauge(self.registry, "sidecar_target_reachable")
        self._reachable.set(1)
        self.stops = counter(self.registry, "sidecar_stops_total")

    def stored(self, kept: int, dropped: int) -> None:
        """Counts events that were kept, and those for which there was no room."""
        self._events.labels("spooled").inc(kept)
        self._events.labels("dropped").inc(dropped)

    def delivered(self, delivered: int, refused: int) -> None:
        """Counts events that were delivered, and those that the target refused or that are none."""
        self._events.labels("delivered").inc(delivered)
        self._events.labels("refused").inc(refused)

    def unreachable(self, reason: str) -> None:
        """Notes whether the target takes events: there is no reason why it would not."""
        self._reachable.set(0 if reason else 1)

    def waiting(self, count: int, size: int) -> None:
        """Notes the events that are not delivered yet, and their bytes."""
        self._waiting.set(count)
        self._bytes.set(size)
