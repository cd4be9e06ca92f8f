"""Serving an application until the process is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.errors import OptionsError
from stream_app.metrics.outputs import Metrics
from stream_app.service.detector_thread import Embedded, EmbeddedSettings, OverloadedError
from stream_app.service.event_log import EventLog, LogUnavailableError
from stream_app.sources import Sources
from stream_app.web.answers import Answers
from stream_app.web.app import make_app
from stream_app.web.event_routes import event_routes
from stream_app.web.intake import Message
from stream_app.web.relayed import Said, Workers, relayed_app
from stream_app.web.webhooks import Webhooks, WebhookSettings

log = logging.getLogger(__name__)

#: Seconds that a connection may stay without a request, its first one included, and that stopping may take.
_IDLE, _STOP = 60.0, 10.0
_MEASURE = 15.0


def serve_embedded(
    path: Path,
    settings: EmbeddedSettings,
    host: str,
    port: int,
    token: str | None,
    webhooks: WebhookSettings | None = None,
    listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Serves the embedded detector until SIGTERM or SIGINT.

    Parameters
    ----------
    path
        Of the log; see `EventLog`.
    webhooks
        Of MLflow; None: they are not taken.
    listening
        Told the address, once there is one; port 0 takes a free one.

    Raises
    ------
    OptionsError, StateError
        As `EventLog` does; or the port cannot be had.
    Exception
        What the thread of the detector failed with: the process should be started again.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry, settings.detector.policy.budgets)
    event_log = EventLog(path)
    try:
        embedded = Embedded(event_log, settings, metrics.observe)
        embedded.start()
        try:
            app = embedded_app(embedded, registry, token, webhooks)
            app.cleanup_ctx.append(_measured(embedded, metrics))
            asyncio.run(serve(app, host, port, listening, embedded.failed))
        finally:
            embedded.stop()
    finally:
        event_log.close()


def serve_relayed(
    workers: Workers,
    said: Said,
    sources: Sources,
    host: str,
    port: int,
    token: str | None,
    webhooks: WebhookSettings | None = None,
    listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Serves beside workers until SIGTERM or SIGINT; parameters as of `serve_embedded`.

    Raises OptionsError when the port cannot be had.
    """
    registry = CollectorRegistry()
    app = relayed_app(workers, said, sources, registry, token, webhooks)
    asyncio.run(serve(app, host, port, listening))


def embedded_app(
    embedded: Embedded, registry: CollectorRegistry, token: str | None, webhooks: WebhookSettings | None = None
) -> web.Application:
    """The application of an embedded detector."""

    async def intake(messages: Sequence[Message]) -> None:
        try:
            written = embedded.submit([body for body, _ in messages])
        except OverloadedError:
            raise LogUnavailableError(embedded.unavailable_reason or "more waits to be written than is held") from None
        await asyncio.wrap_future(written)

    routes = [*event_routes(intake, embedded.settings.sources), *Answers(embedded).routes()]
    if webhooks is not None:
        routes += Webhooks(intake, webhooks).routes()
    return make_app(routes, lambda: embedded.unavailable_reason, registry, token)


async def serve(
    app: web.Application,
    host: str,
    port: int,
    listening: Callable[[str], None],
    failed: Future[None] | None = None,
) -> None:
    """Serves an application until SIGTERM or SIGINT, or until `failed` is done; what is in hand is finished.

    Raises OptionsError when the port cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=_IDLE, shutdown_timeout=_STOP)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise OptionsError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        address = runner.addresses[0]
        listening(f"http://{address[0]}:{address[1]}")
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(told.wait())]
        if failed is not None:
            ends.append(asyncio.wrap_future(failed))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await runner.cleanup()


def _measured(embedded: Embedded, metrics: Metrics) -> Callable[[web.Application], AsyncIterator[None]]:
    """Keeps the gauges up to date while the application runs."""

    def measure() -> None:
        with embedded.at_work:
            metrics.measure([embedded.detector])
            metrics.measure_learner(embedded.learner)

    async def forever() -> None:
        while True:
            await asyncio.to_thread(measure)
            await asyncio.sleep(_MEASURE)

    async def context(_: web.Application) -> AsyncIterator[None]:
        measuring = asyncio.create_task(forever())
        yield
        measuring.cancel()

    return context
