"""What one notifier is asked to change: subscriptions and logs of the whole group, through its topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from functools import partial

from stream_app.alerts.forgetting import Erasure, mark_of
from stream_app.alerts.notifier import SinkOf
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.registered import Registered
from stream_app.alerts.saved import AuditEntry
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.kafka.alerting.alert_log import AlertLog
from stream_app.kafka.alerting.deliveries import Again, delivery_of
from stream_app.kafka.alerting.in_time import taken
from stream_app.kafka.alerting.log_entries import audit_message, erasure_message
from stream_app.kafka.alerting.subscription_log import SubscriptionLog
from stream_app.kafka.clients.producer import Send
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.state.outbox import Message


class NotifierGroup:
    """The notifiers of a group, as one of them sees them; see `Subscribers`.

    Parameters
    ----------
    names
        The topics.
    subscriptions
        The subscriptions.
    send
        Sends messages to topics.
    sink_of
        Makes the sink of a subscription, for tests of it.
    """

    def __init__(self, names: Names, subscriptions: SubscriptionLog, send: Send, sink_of: SinkOf) -> None:
        self._names = names
        self._subscriptions = subscriptions
        self._send = send
        self._sink_of = sink_of
        self._pending: list[Callable[[], Awaitable[None]]] = []

    @property
    def registered(self) -> Mapping[str, Registered]:
        """The subscriptions, by id."""
        return self._subscriptions.registered

    def put(self, registered: Registered) -> None:
        """Adds a subscription, or replaces it."""
        self._pending.append(partial(self._subscriptions.write, registered.subscription.id, registered))

    def remove(self, name: str) -> None:
        """Removes a subscription."""
        self._pending.append(partial(self._subscriptions.write, name, None))

    def audit(self, entry: AuditEntry) -> None:
        """Adds an entry to the audit log."""
        self._add(audit_message(self._names.alert_log, entry))

    def again(self, name: str, message_id: str, records: Iterable[AlertRecord], _: int) -> None:
        """Sends a message of a subscription once more."""
        self._add(delivery_of(self._names.deliveries, Again(name, message_id, tuple(records))))

    async def saved(self) -> None:
        """Returns when the topics have the changes since the last call.

        Raises
        ------
        ConflictError
            Another change of a subscription came first; what follows it is not done.
        AlertStoreError
            Kafka does not take them now.
        """
        # Nothing else runs between a change and this line, so these are the changes of one request.
        pending, self._pending = self._pending, []
        for change in pending:
            async with taken():
                await change()

    async def test(self, registered: Registered, message: Outgoing) -> Result:
        """Sends one message outside of any mailbox."""
        return await self._sink_of(registered).send(message)

    def _add(self, message: Message) -> None:
        self._pending.append(partial(self._send, [message]))


class GroupLogs:
    """The logs of a group; see `forgetting.Logs`.

    Parameters
    ----------
    topic
        The alert log.
    alert_log
        The alert log as this process has it.
    subscriptions
        The subscriptions.
    send
        Sends messages to topics.
    """

    def __init__(self, topic: str, alert_log: AlertLog, subscriptions: SubscriptionLog, send: Send) -> None:
        self._topic = topic
        self._alert_log = alert_log
        self._subscriptions = subscriptions
        self._send = send

    def deleted(self) -> Container[str]:
        """What was deleted."""
        return self._subscriptions.deleted

    async def erase(self, erasure: Erasure) -> None:
        """Lets every notifier erase it; returns when this one has.

        Raises
        ------
        AlertStoreError
            Kafka does not take it now.
        """
        self._alert_log.waiting[erasure.pseudonym] = erasure
        try:
            async with taken():
                await self._subscriptions.forget(mark_of(erasure.owner), erasure.names)
                await self._send([erasure_message(self._topic, erasure)])
                await self._alert_log.log.read_to_end()
        finally:
            del self._alert_log.waiting[erasure.pseudonym]
