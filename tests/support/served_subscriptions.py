"""The routes of subscriptions with a real store and notifier, and sinks that only record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from stream_app.alerts.access import EVERYBODY, Principal
from stream_app.alerts.feed import FlagFeed
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.registered import Registered
from stream_app.alerts.saved import Changes
from stream_app.alerts.secrets import Vault
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscription_service import SubscriptionService
from stream_app.metrics.registry import make_registry
from stream_app.web.app import make_app
from stream_app.web.flag_routes import FlagRoutes
from stream_app.web.problems import Handler, ProblemError
from stream_app.web.subscription_routes import SubscriptionRoutes
from stream_app.web.tokens import PRINCIPAL
from tests.alerts.records import NOW
from tests.web.served import served


class Sinks:
    """Sinks that answer what `result` says, and keep what they were given."""

    def __init__(self) -> None:
        self.result = Result()
        self.sent: list[tuple[str, Outgoing]] = []

    def of(self, registered: Registered) -> Any:
        """The sink of a subscription."""
        name = registered.subscription.id

        class Recording:
            async def send(_, message: Outgoing) -> Result:  # noqa: N805
                self.sent.append((name, message))
                return self.result

        return Recording()


class ServedSubscriptions:
    """The service of subscriptions, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.store = AlertStore(folder / "alerts.sqlite", Vault(b"a key for the tests only"))
        self.sinks = Sinks()
        self.notifier = Notifier(self.save, self.sinks.of)
        self.subscriptions = SubscriptionService(self.notifier, self.store)
        self.feed = FlagFeed(self.store)
        self.who: Principal = EVERYBODY
        self.token: str | None = None
        #: Method and path of each request.
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    async def save(self, changes: Changes) -> None:
        """Saves into the store."""
        self.store.save(changes)

    def app(self) -> web.Application:
        """The routes, for whoever `who` is."""

        @web.middleware
        async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.asked.append((request.method, request.path_qs))
            if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
                raise ProblemError(401, "expected a valid bearer token")
            request[PRINCIPAL] = self.who
            return await handler(request)

        flags = FlagRoutes(self.subscriptions, self.feed)
        routes = [*SubscriptionRoutes(self.subscriptions, lambda: NOW).routes(), *flags.routes()]
        app = make_app(routes, lambda: "", make_registry())
        app.on_shutdown.append(flags.closing)
        app.middlewares.append(admit)
        return app


@contextmanager
def served_subscriptions(folder: Path) -> Iterator[ServedSubscriptions]:
    """A service that listens on a free port of this machine."""
    service = ServedSubscriptions(folder)
    try:
        with served(service.app()) as listening:
            service.url = listening.url
            yield service
    finally:
        service.store.close()
