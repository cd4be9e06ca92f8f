"""Alerts of an embedded detector together with their metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.flags import Change
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.saved import Changes
from stream_app.alerts.settings import AlertSettings
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.store import AlertStore
from stream_app.metrics.alerts import AlertMetrics, FlagMetrics
from stream_app.metrics.catalogue import WITHDRAWN
from stream_app.service.alerting import Alerts
from stream_app.service.detector_thread import Embedded


class MeasuredAlerts:
    """Alerts and their metrics.

    Parameters
    ----------
    alerts
        The alerts.
    metrics, flags
        Their metrics.
    """

    def __init__(self, alerts: Alerts, metrics: AlertMetrics, flags: FlagMetrics) -> None:
        self.alerts = alerts
        self._metrics = metrics
        self._flags = flags
        self._evicted = 0

    def measure(self, open_flags: int, evicted: int) -> None:
        """Sets the gauges, and counts flags that were evicted; to be called by the event loop.

        Parameters
        ----------
        open_flags
            Flags that are open.
        evicted
            Open flags that were evicted so far.
        """
        notifier = self.alerts.notifier
        states = [each.subscription.state.value for each in notifier.registered.values()]
        waiting = sum(len(each.messages) for each in notifier.mailboxes.values())
        self._metrics.measure(states, waiting, len(self.alerts.feed))
        self._flags.open.set(open_flags)
        self._flags.evicted(evicted - self._evicted)
        self._evicted = evicted


def measured_alerts(
    store: AlertStore, embedded: Embedded, settings: AlertSettings | None, registry: CollectorRegistry
) -> MeasuredAlerts:
    """Makes the alerts of an embedded detector, and counts what they do.

    Parameters
    ----------
    store
        Keeps subscriptions.
    embedded
        The detector.
    settings
        The settings; None: the defaults.
    registry
        Where the metrics are registered.
    """
    metrics, flags = AlertMetrics(registry), FlagMetrics(registry)

    def attempt(sink: str, _: Result, seconds: float) -> None:
        metrics.attempt(sink, seconds)

    def changed(changes: Changes) -> None:
        metrics.messages(entry.fate.value for _, entry in changes.deliveries)

    def recorded(record: AlertRecord) -> None:
        if isinstance(record, FindingRecord):
            return
        ended = None
        if record.is_end and not record.correction:
            ended = record.outcome.value if record.outcome is not None else WITHDRAWN
        flags.changed(raised=record.change is Change.RAISED, ended=ended)

    return MeasuredAlerts(
        Alerts(store, embedded.outbox, settings, attempt, changed, recorded, metrics.warning), metrics, flags
    )
