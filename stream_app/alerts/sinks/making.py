"""Makes the sinks of subscriptions."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import replace

from stream_app.alerts.hook_sinks import HOOKS, AirflowSink, KfpSink, MlflowSink, StopWebhookSink
from stream_app.alerts.links import without_links
from stream_app.alerts.registered import Registered
from stream_app.alerts.sinks.alertmanager import Alertmanager
from stream_app.alerts.sinks.apprise import Apprise
from stream_app.alerts.sinks.email import Email, MailServer
from stream_app.alerts.sinks.hooks.making import RegisteredHook, Stopping
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.kafka import Append, KafkaTopic
from stream_app.alerts.sinks.sink import Outgoing, Result, Sink
from stream_app.alerts.sinks.slack import Bot, IncomingWebhook
from stream_app.alerts.sinks.webhook import Webhook
from stream_app.alerts.subscriptions import (
    AlertmanagerSink,
    AppriseSink,
    EmailSink,
    KafkaSink,
    SlackSink,
    Subscription,
    SubscriptionError,
    WebhookSink,
)


class SinkMaker:
    """Makes sinks of what a process has: a client of HTTP, and perhaps a mail server and a producer of Kafka.

    Parameters
    ----------
    http
        The client.
    mail
        How e-mails are sent; None: they are not.
    append
        Appends a record to a topic; None: there is no Kafka.
    now
        The clock, in seconds since 1970 UTC.
    buttons
        Whether messages of a bot of Slack have buttons.
    stopping
        What hooks need to stop runs; None: there are no hooks.
    """

    def __init__(
        self,
        http: HttpClient,
        mail: MailServer | None = None,
        append: Append | None = None,
        now: Callable[[], float] = time.time,
        *,
        buttons: bool = False,
        stopping: Stopping | None = None,
    ) -> None:
        self._http = http
        self._mail = mail
        self._append = append
        self._now = now
        self._buttons = buttons
        #: What hooks need to stop runs; None: there are no hooks.
        self.stopping = stopping

    def check(self, subscription: Subscription) -> None:
        """Checks that this process can reach the kind of a sink.

        Parameters
        ----------
        subscription
            The subscription.

        Raises
        ------
        SubscriptionError
            It cannot.
        """
        missing = self._missing(subscription)
        if missing:
            raise SubscriptionError("sink.kind", missing)

    def __call__(self, registered: Registered) -> Sink:
        """The sink of a subscription; one that cannot be reached fails with the reason."""
        return Discreet(self._made(registered), registered)

    def _made(self, registered: Registered) -> Sink:
        sink = registered.subscription.sink
        missing = self._missing(registered.subscription)
        if missing:
            return _Missing(missing)
        match sink:
            case WebhookSink():
                return _SignedWebhook(self._http, registered, self._now)
            case SlackSink(webhook_url=url) if url is not None:
                return IncomingWebhook(self._http, url.get_secret_value(), self._now)
            case SlackSink(token=token, channel=channel) if token is not None:
                return Bot(self._http, token.get_secret_value(), channel or "", self._now, buttons=self._buttons)
            case AlertmanagerSink():
                return Alertmanager(self._http, sink.url, self._now)
            case EmailSink() if self._mail is not None:
                return Email(self._mail, sink.to)
            case KafkaSink() if self._append is not None:
                return KafkaTopic(self._append, sink.topic)
            case AppriseSink():
                return Apprise(sink.url.get_secret_value())
            case KfpSink() | AirflowSink() | MlflowSink() | StopWebhookSink() if self.stopping is not None:
                return RegisteredHook(self._http, registered, self.stopping, self._now)
        raise AssertionError(f"a sink of kind {sink.kind} was not made")

    def _missing(self, subscription: Subscription) -> str:
        """What is missing for the sink of a subscription; "" for nothing."""
        sink = subscription.sink
        if isinstance(sink, EmailSink) and self._mail is None:
            return "no mail server is set; see alerts.mail_host"
        if isinstance(sink, KafkaSink) and self._append is None:
            return "this service has no Kafka; stream-app notify has, beside workers"
        if isinstance(sink, AppriseSink) and importlib.util.find_spec("apprise") is None:
            return "apprise is not installed; install stream-app[apprise]"
        if isinstance(sink, HOOKS) and self.stopping is None:
            return "this service stops no runs"
        return ""


class Discreet:
    """Hides the secrets of a subscription, and links, in what its sink answers: sinks may quote what they were sent."""

    def __init__(self, sink: Sink, registered: Registered) -> None:
        self.sink = sink
        self._registered = registered

    async def send(self, message: Outgoing) -> Result:
        """Sends a message; see `Sink.send`."""
        result = await self.sink.send(message)
        reason = without_links(self._registered.without_secrets(result.reason))
        return replace(result, reason=reason) if result.reason else result


class _Missing:
    """In the place of a sink that this process cannot reach."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def send(self, _: Outgoing) -> Result:
        """Fails."""
        return Result(self._reason)


class _SignedWebhook:
    """A webhook that is signed with the secrets that are valid when a message is sent."""

    def __init__(self, http: HttpClient, registered: Registered, now: Callable[[], float]) -> None:
        self._http = http
        self._registered = registered
        self._now = now

    async def send(self, message: Outgoing) -> Result:
        """Posts a message; see `Sink.send`."""
        sink = self._registered.subscription.sink
        assert isinstance(sink, WebhookSink)
        keys = self._registered.secrets_at(round(self._now() * 1000))
        headers = {name: value.get_secret_value() for name, value in sink.headers.items()}
        return await Webhook(self._http, sink.url, keys, headers, self._now).send(message)
