"""Makes the hooks of subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stream_app.alerts.flag_acts import WriteEvents
from stream_app.alerts.hook_sinks import AirflowSink, HookSink, KfpSink, MlflowSink, StopWebhookSink
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.registered import Registered
from stream_app.alerts.sinks.hooks.airflow import Airflow
from stream_app.alerts.sinks.hooks.hook import Hook
from stream_app.alerts.sinks.hooks.kfp import Kfp
from stream_app.alerts.sinks.hooks.mlflow import Mlflow
from stream_app.alerts.sinks.hooks.stop_webhook import StopWebhook
from stream_app.alerts.sinks.hooks.target import Target
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.stopping import StopCheck


@dataclass(frozen=True)
class Stopping:
    """What hooks need to stop runs.

    Parameters
    ----------
    check
        The gate.
    write
        Stores the events of runs that were pruned.
    link_of
        Returns the address of a page about a flag; "" for none.
    """

    check: StopCheck
    write: WriteEvents
    link_of: Callable[[AlertRecord], str] = lambda _: ""


class RegisteredHook:
    """The hook of a subscription, with the secrets that are valid when a message is sent.

    Parameters
    ----------
    http
        The client.
    registered
        The subscription.
    stopping
        What hooks need.
    now
        The clock, in seconds since 1970 UTC.
    """

    def __init__(self, http: HttpClient, registered: Registered, stopping: Stopping, now: Callable[[], float]) -> None:
        self._http = http
        self._registered = registered
        self._stopping = stopping
        self._now = now

    async def send(self, message: Outgoing) -> Result:
        """Stops the run of a flag; see `Sink.send`."""
        subscription, given = self._registered.subscription, self._stopping
        sink = subscription.sink
        assert isinstance(sink, HookSink)
        target = self._target(sink)
        return await Hook(subscription.id, sink, target, given.check, given.write, given.link_of, self._now).send(
            message
        )

    def _target(self, sink: HookSink) -> Target:
        headers = {name: value.get_secret_value() for name, value in sink.headers.items()}
        match sink:
            case KfpSink():
                return Kfp(self._http, sink, headers, self._now)
            case AirflowSink():
                return Airflow(self._http, sink, headers, self._now)
            case MlflowSink():
                return Mlflow(self._http, sink, headers, self._now)
            case StopWebhookSink():
                keys = self._registered.secrets_at(round(self._now() * 1000))
                return StopWebhook(self._http, sink, headers, keys, self._now)
