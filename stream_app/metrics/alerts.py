"""Metrics of alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from stream_app.metrics.catalogue import CATALOGUE, EVICTED
from stream_app.metrics.registry import counter, gauge, histogram


class FlagMetrics:
    """Counts flags.

    Parameters
    ----------
    registry
        Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._opened = counter(registry, "flags_opened_total")
        self._closed = counter(registry, "flags_closed_total")
        #: Flags that are open.
        self.open = gauge(registry, "flags_open")
        for value in CATALOGUE["flags_closed_total"].labels[0].values:
            self._closed.labels(value)

    def changed(self, *, raised: bool, ended: str | None) -> None:
        """Counts a change of a flag.

        Parameters
        ----------
        raised
            Whether it was raised.
        ended
            How it has ended; None: it has not.
        """
        if raised:
            self._opened.inc()
        if ended is not None:
            self._closed.labels(ended).inc()

    def evicted(self, count: int) -> None:
        """Counts open flags that were evicted."""
        self._closed.labels(EVICTED).inc(count)


class AlertMetrics:
    """Counts attempts and messages.

    Parameters
    ----------
    registry
        Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = counter(registry, "alert_messages_total")
        self._seconds = histogram(registry, "alert_attempt_seconds")
        self._subscriptions = gauge(registry, "alert_subscriptions")
        self._waiting = gauge(registry, "alert_messages_waiting")
        self._listeners = gauge(registry, "alert_listeners")
        self._warnings = counter(registry, "alert_warnings_total")
        for name, made in (("alert_messages_total", self._messages), ("alert_warnings_total", self._warnings)):
            for value in CATALOGUE[name].labels[0].values:
                made.labels(value)
        for sink in CATALOGUE["alert_attempt_seconds"].labels[0].values:
            self._seconds.labels(sink)
        self.measure((), 0, 0)

    def attempt(self, sink: str, seconds: float) -> None:
        """Counts an attempt to send a message to a kind of sink, and its seconds."""
        self._seconds.labels(sink).observe(seconds)

    def messages(self, fates: Iterable[str]) -> None:
        """Counts what became of messages and records."""
        for fate, count in Counter(fates).items():
            self._messages.labels(fate).inc(count)

    def warning(self, way: str) -> None:
        """Counts a warning to an owner, by its way."""
        self._warnings.labels(way).inc()

    def measure(self, states: Iterable[str], waiting: int, listeners: int) -> None:
        """Sets the gauges.

        Parameters
        ----------
        states
            The state of each subscription.
        waiting
            Messages that wait to be sent.
        listeners
            Listeners of the stream of flags.
        """
        found = Counter(states)
        for state in CATALOGUE["alert_subscriptions"].labels[0].values:
            self._subscriptions.labels(state).set(found[state])
        self._waiting.set(waiting)
        self._listeners.set(listeners)
