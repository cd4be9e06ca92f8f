"""Watches a notifier: what `Monitor` does, and its subscriptions and messages."""

from __future__ import annotations

from stream_app.acting.switch import Switch
from stream_app.kafka.alerting.alert_log import AlertLog
from stream_app.kafka.alerting.mailbox_partition import MailboxPartition
from stream_app.kafka.alerting.subscription_log import SubscriptionLog
from stream_app.kafka.clients.flow import Flow
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.metrics.collectors import GroupMetrics
from stream_app.kafka.metrics.counts import NotifierCounts
from stream_app.kafka.process.monitor import Monitor
from stream_app.metrics.acting import ActingMetrics
from stream_app.metrics.alerts import AlertMetrics
from stream_app.metrics.registry import make_registry


class NotifierMonitor(Monitor):
    """Watches a notifier, which sets `assignment`, `subscriptions`, `alert_log` and `producers` when it has them.

    Parameters
    ----------
    flow
        The topics.
    stale_seconds
        Seconds without an answer of Kafka after which the notifier is not ready.
    switch
        The kill switch; None: one that is on.
    """

    assignment: Assignment[MailboxPartition] | None

    def __init__(self, flow: Flow, stale_seconds: float = 60.0, switch: Switch | None = None) -> None:
        registry = make_registry()
        topics = (*flow.sources, flow.keyed)
        self.counts = NotifierCounts(sources=dict.fromkeys(flow.sources, 0), lost=dict.fromkeys(topics, 0))
        self.subscriptions: SubscriptionLog | None = None
        self.alert_log: AlertLog | None = None
        self.alerts = AlertMetrics(registry)
        self.acting = ActingMetrics(registry, switch or Switch())
        super().__init__(flow, stale_seconds, registry, self.counts, GroupMetrics(registry, self.counts))

    def refresh(self) -> None:
        """Update the gauges that are cheap to update."""
        super().refresh()
        if self.assignment is None or self.subscriptions is None or self.alert_log is None:
            return
        states = [each.subscription.state.value for each in self.subscriptions.registered.values()]
        waiting = sum(
            len(mailbox.messages)
            for partition in self.assignment.partitions.values()
            for mailbox in partition.notifier.mailboxes.values()
        )
        self.alerts.measure(states, waiting, len(self.alert_log.feed))

    def caught_up(self) -> dict[str, bool]:
        """Whether subscriptions and the alert log were read, and what was read can be stored."""
        subscriptions, alert_log = self.subscriptions, self.alert_log
        return {
            "subscriptions_caught_up": subscriptions is not None and subscriptions.log.caught_up,
            "alert_log_caught_up": alert_log is not None and alert_log.log.caught_up,
            "alert_log_stored": alert_log is not None and not alert_log.unavailable_reason,
        }
