"""Metrics of the gate and the kill switch."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from stream_app.acting.reasons import Why
from stream_app.acting.switch import Switch
from stream_app.metrics.registry import counter, gauge


class ActingMetrics:
    """Counts refusals, and shows the kill switch as it is when somebody looks.

    Parameters
    ----------
    registry
        Where they are registered.
    switch
        The kill switch.
    """

    def __init__(self, registry: CollectorRegistry, switch: Switch) -> None:
        self._refusals = counter(registry, "stop_refusals_total")
        for why in Why:
            self._refusals.labels(why.value)
        gauge(registry, "acting_on").set_function(lambda: float(switch.is_on))
        gauge(registry, "acting_off_patterns").set_function(lambda: float(len(switch.off)))

    def refused(self, why: Why) -> None:
        """Counts that a flagged run must not be stopped."""
        self._refusals.labels(why.value).inc()
