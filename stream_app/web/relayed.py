"""The application in front of workers: it sends them events, and answers with their verdicts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.acting.gate import Gate
from stream_app.acting.switch import Switch
from stream_app.alerts.access import Tokens
from stream_app.alerts.kill_switch import KillSwitch, SwitchStore
from stream_app.analysis.fleet_answer import FleetUnavailableError, fleet_sums
from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.metrics.acting import ActingMetrics
from stream_app.metrics.fleet import FleetMetrics, FleetSums
from stream_app.service.answers import Answers
from stream_app.service.event_log import Accepted
from stream_app.service.policies import Policies
from stream_app.sources import NATIVE, Sources
from stream_app.web.acting_routes import ActingRoutes
from stream_app.web.app import make_app
from stream_app.web.event_routes import event_routes
from stream_app.web.fleet_routes import FleetRoutes
from stream_app.web.limits import Limits
from stream_app.web.lineage_routes import LineageRoutes
from stream_app.web.policy_routes import PolicyRoutes
from stream_app.web.problems import ProblemError
from stream_app.web.query_routes import QueryRoutes
from stream_app.web.tokens import ALERT_PATHS
from stream_app.web.webhooks import Webhooks, WebhookSettings
from stream_app.web.worker_keepers import WorkerKeepers
from stream_app.wire import event_to_dict

#: Seconds for which the figures of metrics are kept.
MEASURE_SECONDS = 15.0
#: Larger messages are sent in the native form, without what a detector does not read: topics take 1 MiB by default.
LARGE_MESSAGE = 512 << 10


class Workers(Protocol):
    """Takes the events, and adds the verdicts to `WorkerKeepers.verdicts` with the times of their records."""

    @property
    def unavailable_reason(self) -> str:
        """Why requests cannot be served now; "" when they can."""

    @property
    def native_only(self) -> bool:
        """Whether only native events are read where messages are sent to."""

    async def send(self, messages: Sequence[tuple[bytes, str | None, str]]) -> None:
        """Sends messages, each with its pipeline and format, and returns when they are safe.

        Raises MalformedEvent for one that is too large, and another StreamAppError where they cannot be sent now.
        """

    async def run(self) -> None:
        """Runs until cancelled."""


class SharedSwitch(SwitchStore, Protocol):
    """The kill switch that the processes of a group share."""

    async def run(self) -> None:
        """Reads it until cancelled."""


def _sent(accepted: Accepted, native_only: bool) -> tuple[bytes, str | None, str] | None:
    """What is sent of a message; None where nothing is left, since it describes no execution."""
    event, message = accepted.event, accepted.message
    if len(message) <= LARGE_MESSAGE and (accepted.format == NATIVE or not native_only):
        return message, event.pipeline if event is not None else None, accepted.format
    return (orjson.dumps(event_to_dict(event)), event.pipeline, NATIVE) if event is not None else None


def relayed_app(
    workers: Workers,
    keepers: WorkerKeepers,
    fleet: PublishedFleet,
    sources: Sources,
    registry: CollectorRegistry,
    tokens: Tokens | None,
    webhooks: WebhookSettings | None = None,
    limits: Limits | None = None,
    shared_switch: SharedSwitch | None = None,
    policies: Policies | None = None,
) -> web.Application:
    """The application; it runs `workers`, `keepers`, who are asked, and the switch, while it runs itself.

    `fleet` is what the workers publish of their pipelines; without `policies` nobody can change these.
    """
    runs = [workers, keepers, *([shared_switch] if shared_switch is not None else ())]

    async def running(_: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(each.run()) for each in runs]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def intake(messages: Sequence[Accepted]) -> None:
        sent = [_sent(each, workers.native_only) for each in messages]
        await workers.send([each for each in sent if each is not None])

    def sums() -> FleetSums | None:
        try:
            return fleet_sums(fleet.answer(MEASURE_SECONDS))
        except FleetUnavailableError:
            return None

    async def elsewhere(_: web.Request) -> web.Response:
        raise ProblemError(
            404, "beside workers stream-app notify keeps subscriptions and flags: ask one at its own address"
        )

    alerts = [web.route("*", f"{path}{{rest:(/.*)?}}", elsewhere) for path in ALERT_PATHS]
    answers = Answers(keepers)
    switch = shared_switch.switch if shared_switch is not None else Switch()
    gate = Gate(switch, on_refusal=ActingMetrics(registry, switch).refused)
    routes = [*event_routes(intake, sources), *QueryRoutes(answers, gate).routes(), *alerts]
    if shared_switch is not None:
        routes += ActingRoutes(KillSwitch(shared_switch)).routes()
    routes += [*LineageRoutes(answers).routes(), *FleetRoutes(fleet).routes()]
    if policies is not None:
        routes += PolicyRoutes(policies).routes()
    if webhooks is not None:
        routes += Webhooks(intake, webhooks).routes()
    FleetMetrics(registry, sums)
    app = make_app(routes, lambda: workers.unavailable_reason, registry, tokens, limits)
    app.cleanup_ctx.append(running)
    return app
