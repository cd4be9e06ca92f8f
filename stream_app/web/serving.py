"""Serves an application until the process is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.acting.gate import Gate
from stream_app.acting.switch import Switch
from stream_app.alerts.access import Tokens
from stream_app.alerts.opening import open_store
from stream_app.alerts.served import ServedAlerts
from stream_app.alerts.settings import AlertSettings
from stream_app.analysis.fleet_answer import fleet_sums
from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.metrics.acting import ActingMetrics
from stream_app.metrics.fleet import FleetMetrics
from stream_app.metrics.outputs import Metrics
from stream_app.metrics.registry import make_registry
from stream_app.runtime.signals import ending
from stream_app.service.act_writer import act_writer, store_messages
from stream_app.service.alerting import Alerts
from stream_app.service.answers import Answers
from stream_app.service.detector_thread import Embedded
from stream_app.service.event_log import EventLog
from stream_app.service.fleet import FleetQueries
from stream_app.service.policies import Policies
from stream_app.service.queries import EmbeddedKeeper
from stream_app.service.settings import EmbeddedSettings
from stream_app.service.stop_check import EmbeddedStopCheck
from stream_app.sources import Sources
from stream_app.sources.mlflow import Deliveries
from stream_app.web.acting_routes import ActingRoutes
from stream_app.web.alert_metrics import MeasuredAlerts, measured_alerts
from stream_app.web.app import make_app
from stream_app.web.event_routes import event_routes
from stream_app.web.flag_routes import FlagRoutes
from stream_app.web.fleet_routes import FleetRoutes
from stream_app.web.limits import Limits
from stream_app.web.lineage_routes import LineageRoutes
from stream_app.web.listening import Listener, bind
from stream_app.web.people_routes import PeopleRoutes
from stream_app.web.policy_routes import PolicyRoutes
from stream_app.web.query_routes import QueryRoutes
from stream_app.web.relayed import MEASURE_SECONDS, SharedSwitch, Workers, relayed_app
from stream_app.web.subscription_routes import SubscriptionRoutes
from stream_app.web.webhooks import Webhooks, WebhookSettings
from stream_app.web.worker_keepers import WorkerKeepers

log = logging.getLogger(__name__)

#: Seconds that a connection may be idle, and that stopping may take.
_IDLE_SECONDS, _STOP_SECONDS = 60.0, 10.0


def serve_embedded(
    path: Path,
    settings: EmbeddedSettings,
    host: str,
    port: int,
    tokens: Tokens | None,
    webhooks: WebhookSettings | None = None,
    on_listening: Callable[[str], None] = lambda _: None,
    limits: Limits | None = None,
    alerts: AlertSettings | None = None,
) -> bool:
    """Serves the embedded detector until SIGTERM or SIGINT.

    Parameters
    ----------
    path
        The file of the event log; subscriptions are kept in its folder.
    settings
        Settings of the service.
    host, port
        Where it listens; port 0 chooses a free one.
    tokens
        The bearer tokens; None: none is needed.
    webhooks
        Settings of MLflow's webhook; None: there is no such route.
    on_listening
        Called with the address.
    limits
        What one sender may ask; None: the defaults.
    alerts
        Settings of alerts; None: the defaults.

    Returns
    -------
    bool
        Whether SIGINT ended it.

    Raises
    ------
    OptionsError
        The log cannot be opened, or the port cannot be bound.
    StateError
        The log is damaged.
    Exception
        The error with which the thread of the detector, or the sending of alerts, has failed; the process should be
        restarted.
    """
    registry = make_registry()
    metrics = Metrics(registry, settings.detector.policy.budgets)
    event_log = EventLog(path)
    try:
        with contextlib.closing(open_store(path.parent, alerts.key if alerts is not None else None)) as store:
            embedded = Embedded(event_log, settings, metrics.observe)
            sending = measured_alerts(store, embedded, alerts, registry)
            embedded.start()
            try:
                app = embedded_app(embedded, registry, tokens, webhooks, limits, sending.alerts)
                app.cleanup_ctx.append(_measured(embedded, metrics, sending))
                return asyncio.run(serve(app, host, port, on_listening, embedded.failed, sending.alerts.failed))
            finally:
                embedded.stop()
    finally:
        if event_log.busy_since is None:  # a disk that hangs would hold up the end
            event_log.close()


def serve_relayed(
    workers: Workers,
    keepers: WorkerKeepers,
    fleet: PublishedFleet,
    sources: Sources,
    host: str,
    port: int,
    tokens: Tokens | None,
    webhooks: WebhookSettings | None = None,
    on_listening: Callable[[str], None] = lambda _: None,
    registry: CollectorRegistry | None = None,
    limits: Limits | None = None,
    switch: SharedSwitch | None = None,
    policies: Policies | None = None,
) -> bool:
    """Serves in front of workers until SIGTERM or SIGINT.

    Parameters
    ----------
    workers
        Take the events.
    keepers
        The workers as those who are asked, with their verdicts.
    fleet
        What the workers publish of their pipelines.
    sources
        The decoders.
    host, port, tokens, webhooks, on_listening
        As of `serve_embedded`.
    registry
        The metrics that it exports; None: those of every process.
    limits
        As of `serve_embedded`.
    switch
        The kill switch that the processes of the group share; None: there is none.
    policies
        Shows and changes the ladders of pipelines; None: nobody can.

    Returns
    -------
    bool
        Whether SIGINT ended it.

    Raises
    ------
    OptionsError
        The port cannot be bound.
    """
    given = (registry or make_registry(), tokens, webhooks, limits, switch, policies)
    app = relayed_app(workers, keepers, fleet, sources, *given)
    return asyncio.run(serve(app, host, port, on_listening))


def embedded_app(
    embedded: Embedded,
    registry: CollectorRegistry,
    tokens: Tokens | None,
    webhooks: WebhookSettings | None = None,
    limits: Limits | None = None,
    alerts: Alerts | None = None,
) -> web.Application:
    """The application of an embedded detector, which runs `alerts` while it runs itself."""

    intake = functools.partial(store_messages, embedded)
    keeper, write = EmbeddedKeeper(embedded), act_writer(embedded)
    answers = Answers(keeper)
    audit = alerts.notifier.audit if alerts is not None else lambda _: None
    policies = Policies(keeper, write, embedded.settings.detector.policy.ladders, audit)
    switch = alerts.kill_switch.switch if alerts is not None else Switch()
    gate = Gate(switch, on_refusal=ActingMetrics(registry, switch).refused)
    routes = [*event_routes(intake, embedded.settings.sources), *QueryRoutes(answers, gate).routes()]
    fleet = FleetQueries(
        embedded.settings,
        lambda: embedded.fleet,
        embedded.detector_lock,
        lambda: embedded.as_of_ms,
        revisions=lambda name: embedded.findings.revisions(name),
    )
    FleetMetrics(registry, lambda: fleet_sums(fleet.answer(MEASURE_SECONDS)))
    routes += [*LineageRoutes(answers).routes(), *FleetRoutes(fleet).routes(), *PolicyRoutes(policies).routes()]
    if webhooks is not None:
        routes += Webhooks(intake, webhooks, Deliveries(embedded.deliveries)).routes()
    if alerts is None:
        return make_app(routes, lambda: embedded.unavailable_reason, registry, tokens, limits)
    write = act_writer(embedded)
    alerts.let_stop(EmbeddedStopCheck(embedded, gate), write)
    flags = FlagRoutes(alerts.subscriptions, alerts.feed)
    people = PeopleRoutes(alerts.acts(write), alerts.slack_bots, alerts.slack_signing_secret)
    routes += [*SubscriptionRoutes(alerts.subscriptions).routes(), *flags.routes(), *people.routes()]
    routes += ActingRoutes(alerts.kill_switch).routes()
    app = make_app(routes, lambda: embedded.unavailable_reason or alerts.unavailable_reason, registry, tokens, limits)
    app.on_shutdown.extend((flags.closing, people.closing))
    app.cleanup_ctx.append(_running(alerts))
    return app


def _running(alerts: Alerts) -> Callable[[web.Application], AsyncIterator[None]]:
    """Runs alerts while the application runs."""

    async def context(_: web.Application) -> AsyncIterator[None]:
        running = asyncio.create_task(alerts.run())
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    return context


async def serve(
    app: web.Application,
    host: str,
    port: int,
    on_listening: Callable[[str], None],
    *failed: Future[None],
) -> bool:
    """Serves an application until SIGTERM or SIGINT; requests in progress are finished.

    Parameters
    ----------
    app
        The application.
    host, port, on_listening
        As of `serve_embedded`.
    failed
        Each ends serving when it is done, with its error if it has one.

    Returns
    -------
    bool
        Whether SIGINT ended it.

    Raises
    ------
    OptionsError
        The port cannot be bound.
    Exception
        The error of what has failed.
    """
    ended = ending()
    async with listening(app, host, port, on_listening):
        ends: list[asyncio.Future[Any]] = [ended, *map(asyncio.wrap_future, failed)]
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
        return ended.result() == signal.SIGINT


@contextlib.asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, on_listening: Callable[[str], None]
) -> AsyncIterator[None]:
    """Serves an application while the context lasts; requests in progress are then finished.

    Parameters
    ----------
    app, host, port, on_listening
        As of `serve`.

    Raises
    ------
    OptionsError
        The port cannot be bound.
    """
    runner = make_runner(app, _STOP_SECONDS)
    await runner.setup()
    listener: Listener | None = None
    try:
        sockets = await bind(host, port)
        listener = Listener(runner, sockets, _IDLE_SECONDS)
        address = sockets[0].getsockname()
        on_listening(f"http://{address[0]}:{address[1]}")
        yield
    finally:
        if listener is not None:
            listener.close()
        await runner.cleanup()


def notifier_app(
    served: ServedAlerts, registry: CollectorRegistry, tokens: Tokens | None, limits: Limits | None = None
) -> web.Application:
    """The application of a notifier: subscriptions, flags, and what people decide about these.

    Parameters
    ----------
    served
        What it serves.
    registry
        The metrics that it exports.
    tokens, limits
        As of `serve_embedded`.
    """
    flags = FlagRoutes(served.subscriptions, served.feed)
    people = PeopleRoutes(served.acts, served.slack_bots, served.slack_signing_secret)
    routes = [*SubscriptionRoutes(served.subscriptions).routes(), *flags.routes(), *people.routes()]
    routes += ActingRoutes(served.kill_switch).routes()
    app = make_app(routes, served.unavailable_reason, registry, tokens, limits)
    app.on_shutdown.extend((flags.closing, people.closing))
    return app


def make_runner(app: web.Application, stop_seconds: float) -> web.AppRunner:
    """The runner of an application whose connections a `Listener` accepts.

    Parameters
    ----------
    app
        The application.
    stop_seconds
        Seconds that stopping may take.
    """
    return web.AppRunner(app, access_log=None, shutdown_timeout=stop_seconds)


def _measured(
    embedded: Embedded, metrics: Metrics, sending: MeasuredAlerts
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Updates the gauges while the application runs."""

    def measure() -> None:
        with embedded.detector_lock:
            metrics.measure([embedded.detector])
            metrics.measure_learner(embedded.learner)

    async def forever() -> None:
        while True:
            sending.measure(embedded.open_flags, embedded.flags_evicted)
            await asyncio.to_thread(measure)
            await asyncio.sleep(MEASURE_SECONDS)

    async def context(_: web.Application) -> AsyncIterator[None]:
        measuring = asyncio.create_task(forever())
        yield
        measuring.cancel()

    return context
