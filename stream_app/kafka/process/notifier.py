"""A notifier: one process that tells subscribers of the flags that workers raise, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from aiokafka import AIOKafkaProducer
from kafka.admin import KafkaAdminClient

from stream_app.acting.gate import Gate
from stream_app.alerts.act_service import ActService
from stream_app.alerts.clocks import Clocks
from stream_app.alerts.flag_acts import WriteEvents
from stream_app.alerts.forgetting import Forgetting
from stream_app.alerts.guard import AddressGuard
from stream_app.alerts.kill_switch import KillSwitch
from stream_app.alerts.links import LINKS, ActLinks, LinkKey
from stream_app.alerts.matching import Matcher
from stream_app.alerts.notifier import Notifier, Save
from stream_app.alerts.opening import open_store
from stream_app.alerts.owner_subscriptions import OwnerSubscriptions
from stream_app.alerts.ownership import default_subscription
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.registered import Registered
from stream_app.alerts.saved import AlertStoreError, Changes
from stream_app.alerts.secrets import Vault
from stream_app.alerts.served import ServedAlerts
from stream_app.alerts.settings import AlertSettings
from stream_app.alerts.sinks.hooks.making import Stopping
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.kafka import Append
from stream_app.alerts.sinks.making import SinkMaker
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.slack_bots import SlackBots
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscribers import ConflictError
from stream_app.alerts.subscription_service import SubscriptionService
from stream_app.alerts.texts import Texts
from stream_app.alerts.warner import WarningSender
from stream_app.alerts.warnings import OwnerWarning
from stream_app.kafka.alerting.alert_log import AlertLog
from stream_app.kafka.alerting.group import GroupLogs, NotifierGroup
from stream_app.kafka.alerting.mailbox_partition import MailboxPartition
from stream_app.kafka.alerting.matching import pass_on
from stream_app.kafka.alerting.stop_check import GroupStopCheck
from stream_app.kafka.alerting.subscription_log import SubscriptionLog
from stream_app.kafka.alerting.switch_log import SwitchLog
from stream_app.kafka.clients import topics
from stream_app.kafka.clients.act_writer import ActWriter
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.flow import notifier_flow
from stream_app.kafka.clients.group_start import begin_at_end
from stream_app.kafka.clients.placement import Placement
from stream_app.kafka.clients.producer import READABLE, Send, make_producer, sender
from stream_app.kafka.clients.topic_catalogue import notifier_topics
from stream_app.kafka.clients.topics import Found, Names
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.process.group_process import GroupProcess
from stream_app.kafka.process.notifier_monitor import NotifierMonitor
from stream_app.kafka.processing.partitioner import TICK
from stream_app.kafka.records import Batch

log = logging.getLogger(__name__)

#: Serves the API while its context lasts.
Serve = Callable[[ServedAlerts], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class NotifierSettings:
    """Settings of a notifier."""

    connection: Connection
    names: Names
    #: The key that encrypts the secrets of subscriptions, the same for all notifiers of a group.
    key: bytes = field(repr=False)
    #: As of `WorkerSettings`.
    folder: Path
    partitions: int = 12
    replication: int = 3
    instance_id: str | None = None
    session_seconds: float = 10.0
    stale_seconds: float = 60.0
    accept_loss: bool = False
    #: Where metrics and probes are served.
    host: str = "127.0.0.1"
    port: int = 9464
    #: What subscribers are sent, and how.
    alerts: AlertSettings = field(default_factory=AlertSettings)


class NotifierProcess(GroupProcess):
    """One notifier process.

    Parameters
    ----------
    settings
        Its settings.
    """

    def __init__(self, settings: NotifierSettings) -> None:
        self.settings = settings
        self._clocks = Clocks()
        self._matcher = Matcher((), settings.alerts.price_of)
        self._link_key = LinkKey(Vault(settings.key).derived(LINKS))
        links = ActLinks(self._link_key, settings.alerts.public_url, self._clocks.now_ms)
        self._texts = Texts(settings.alerts.money_of, settings.alerts.currency, settings.alerts.link, links.of)
        flow = notifier_flow(settings.names)
        self._switch_log = SwitchLog(settings.names, settings.alerts.off_file)
        self.monitor = NotifierMonitor(flow, settings.stale_seconds, self._switch_log.switch)
        #: Serves the API; set before `run`.
        self.serve_api: Serve = lambda *_: contextlib.nullcontext()
        super().__init__(settings, flow, self.monitor, self.monitor.counts)

    def check_topics(self, admin: KafkaAdminClient) -> dict[str, Found]:
        """The topics of notifiers; see `GroupProcess.check_topics`. The first notifier begins at the end of alerts."""
        settings = self.settings
        wanted = notifier_topics(settings.names, settings.partitions, settings.replication)
        found = topics.required(admin, wanted)
        self.check_state(
            admin,
            found,
            {},
            "messages that wait are forgotten, and what was sent in the last 7 days may be sent again",
            "restore the topic",
        )
        begin_at_end(admin, self._flow.group, settings.names.alerts, found[settings.names.alerts].partitions)
        return found

    async def serve(self, found: Mapping[str, Found]) -> None:
        """Reads subscriptions, serves the API and sends messages; see `GroupProcess.serve`."""
        settings, names = self.settings, self.settings.names
        http = HttpClient(AddressGuard(settings.alerts.allowed_networks))
        store = open_store(settings.folder, settings.key, follows=True)
        with contextlib.closing(store):
            async with (
                http,
                make_producer(settings.connection) as producer,
                make_producer(settings.connection, READABLE) as outputs,
            ):
                self.monitor.producers = (producer, outputs)
                placement = Placement(names.deliveries, found[names.deliveries_changelog].partitions)
                send = sender(producer, dict.fromkeys(self._flow.outputs, outputs), placement)
                buttons = settings.alerts.slack_signing_secret is not None
                sinks = SinkMaker(http, settings.alerts.mail, _appender(outputs), buttons=buttons)
                gate = Gate(self._switch_log.switch, on_refusal=self.monitor.acting.refused)
                check = GroupStopCheck(settings.connection, names, self._switch_log, gate)
                async with contextlib.AsyncExitStack() as stack:
                    write = stack.enter_context(contextlib.closing(ActWriter(settings.connection, names)))
                    sinks.stopping = Stopping(await stack.enter_async_context(check), write, self._texts.link_of)
                    await self._serve_logs(found, producer, outputs, send, sinks, store, http, write)

    async def _serve_logs(
        self,
        found: Mapping[str, Found],
        producer: AIOKafkaProducer,
        outputs: AIOKafkaProducer,
        send: Send,
        sinks: SinkMaker,
        store: AlertStore,
        http: HttpClient,
        write: WriteEvents,
    ) -> None:
        settings, names = self.settings, self.settings.names
        subscriptions = self.monitor.subscriptions = SubscriptionLog(
            settings.connection, names.subscriptions, Vault(settings.key), outputs, self._changed, self._switch_log.take
        )
        self._switch_log.attach(subscriptions.log, send)
        alert_log = self.monitor.alert_log = AlertLog(
            settings.connection,
            names.alert_log,
            found[names.alert_log].topic_id,
            store,
            self._clocks.now_ms,
            self.monitor.counts,
        )
        for work in (subscriptions.log.run(), self._switch_log.watch(), alert_log.log.run(), alert_log.delete_old()):
            self.start(work)
        await self.first(subscriptions.log.read_to_end())
        if not self.is_stopping:
            await self.first(subscriptions.check_key())
        if self.is_stopping:
            return
        group = NotifierGroup(names, subscriptions, send, sinks)
        forgetting = Forgetting(group, GroupLogs(names.alert_log, alert_log, subscriptions, send))
        service = SubscriptionService(group, store, self._texts, settings.alerts.price_of, sinks.check, forgetting)
        owners = OwnerSubscriptions(settings.alerts, lambda: subscriptions.deleted)

        async def subscribe_owner(record: AlertRecord) -> None:
            if forgetting.has(record.owner):
                return
            made = owners.due(record, subscriptions.registered, self._clocks.now_ms())
            if made is None:
                return
            group.put(made)
            group.audit(owners.audit(made))
            try:
                await group.saved()
            except ConflictError:
                log.info("%s was subscribed by another notifier", record.owner)
            except AlertStoreError:
                owners.done.discard(made.subscription.id)
                raise

        async def matched(batch: Batch, owned: Callable[[], bool]) -> None:
            await pass_on(batch, names, self._matcher, subscribe_owner, send, self.monitor.counts, owned)

        make = self._partitions(found, producer, send, sinks, subscriptions)
        acts = ActService(
            group, store, write, self._link_key, subscriptions.links, subscriptions.quiet, self._clocks.now_ms
        )
        bots, secret = SlackBots(group, http), settings.alerts.slack_signing_secret
        kill_switch = KillSwitch(self._switch_log)
        served = ServedAlerts(service, alert_log.feed, acts, kill_switch, bots, secret, self._unavailable_reason)
        async with self.serve_api(served):
            await self.serve_partitions(found, make, matched, lambda _: None, self._drain)

    def _partitions(
        self,
        found: Mapping[str, Found],
        producer: AIOKafkaProducer,
        send: Send,
        sinks: SinkMaker,
        subscriptions: SubscriptionLog,
    ) -> Callable[[int], MailboxPartition]:
        """Makes the mailboxes of a partition."""
        names = self.settings.names

        def make(number: int) -> MailboxPartition:
            return MailboxPartition(
                number,
                found[names.deliveries].partitions,
                names,
                self.table(number, found, producer),
                subscriptions,
                lambda save: self._notifier(save, sinks, subscriptions),
                send,
                lambda partition: _wake(producer, names.deliveries, partition),
                self.monitor.counts,
                self._clocks,
                self._on_changes,
            )

        return make

    def _notifier(self, save: Save, sinks: SinkMaker, subscriptions: SubscriptionLog) -> Notifier:
        alerts = self.settings.alerts
        sender = WarningSender(
            sinks,
            lambda owner: default_subscription(owner, alerts.contacts, alerts.slack_token),
            self.monitor.alerts.warning,
        )

        async def warn(warning: OwnerWarning, failing: Registered, _: Iterable[Registered]) -> str:
            # The owner's other subscriptions may be in other partitions.
            return await sender(warning, failing, list(subscriptions.registered.values()))

        made = Notifier(save, sinks, self._texts, alerts.price_of, self._clocks, self._on_attempt, warn)
        made.quiet_of = subscriptions.quiet.of
        return made

    def _changed(self, name: str, registered: Registered | None) -> None:
        if registered is None:
            self._matcher.drop(name)
        else:
            self._matcher.put(registered.subscription)
        assignment: Assignment[MailboxPartition] | None = self.monitor.assignment
        for partition in assignment.partitions.values() if assignment is not None else ():
            if partition.has(name):
                partition.changed(name, registered)

    def _on_attempt(self, sink: str, _: Result, seconds: float) -> None:
        self.monitor.alerts.attempt(sink, seconds)

    def _on_changes(self, changes: Changes) -> None:
        self.monitor.alerts.messages(entry.fate.value for _, entry in changes.deliveries)

    def _unavailable_reason(self) -> str:
        found = self.monitor.ready()
        return "" if found.ok else f"the notifier is not ready: {orjson.dumps(found.detail).decode()}"

    async def _drain(self) -> None:
        assignment = self.monitor.assignment
        if assignment is not None:
            await asyncio.gather(*(partition.drain() for partition in assignment.partitions.values()))


async def _wake(producer: AIOKafkaProducer, topic: str, partition: int) -> None:
    await (await producer.send(topic, b"tick", partition=partition, headers=[(TICK, b"")]))


def _appender(producer: AIOKafkaProducer) -> Append:
    async def append(topic: str, key: bytes, value: bytes, message_id: str) -> None:
        headers = [("content-type", b"application/cloudevents+json"), ("webhook-id", message_id.encode())]
        await (await producer.send(topic, value, key, headers=headers))

    return append
