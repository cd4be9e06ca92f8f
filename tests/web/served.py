"""The embedded service, in this process on a thread of its own, and in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from aiohttp import web

from stream_app.alerts.access import Principal, Scope, Token, Tokens, digest_of
from stream_app.alerts.flag_acts import WriteEvents
from stream_app.alerts.opening import open_store
from stream_app.alerts.settings import AlertSettings
from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.core.ids import graphlet_id, run_graphlet_id
from stream_app.metrics.registry import make_registry
from stream_app.service.alerting import Alerts
from stream_app.service.detector_thread import Embedded
from stream_app.service.event_log import EventLog
from stream_app.service.policies import Policies
from stream_app.service.settings import EmbeddedSettings
from stream_app.service.verdict_index import VerdictIndex
from stream_app.sources import SOURCES
from stream_app.web.limits import Limits
from stream_app.web.listening import Listener, bind
from stream_app.web.relayed import relayed_app
from stream_app.web.serving import embedded_app, make_runner
from stream_app.web.webhooks import WebhookSettings
from stream_app.web.worker_keepers import WorkerDirectory, WorkerKeepers
from stream_app.wire import VERSION

JSON = {"Content-Type": "application/json"}
LINEAGE, BATCH = "/api/v1/lineage", "/api/v1/lineage/batch"


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Service:
    """A running service."""

    host: str
    port: int
    embedded: Embedded | None = None
    #: The verdicts that it knows, where a test may add to them.
    verdicts: VerdictIndex = field(default_factory=VerdictIndex)
    #: What workers have published, where a test may add to it.
    fleet: PublishedFleet = field(default_factory=PublishedFleet)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or (JSON if body is not None else {})))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def post(self, body: bytes, path: str = LINEAGE, **headers: str) -> Answer:
        """Posts JSON."""
        return self.ask("POST", path, body, JSON | {name.replace("_", "-"): value for name, value in headers.items()})

    def get(self, path: str) -> Answer:
        """Gets a page."""
        return self.ask("GET", path)


@contextmanager
def served(app: web.Application, idle: float = 60.0, connections: int | None = None) -> Iterator[Service]:
    """An application on a thread; `idle` in seconds, and the most connections."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = make_runner(app, 1.0)
    listeners: list[Listener] = []

    async def begin() -> tuple[str, int]:
        await runner.setup()
        sockets = await bind("127.0.0.1", 0)
        listeners.append(Listener(runner, sockets, idle, connections))
        host, port = sockets[0].getsockname()
        return host, port

    async def end() -> None:
        for listener in listeners:
            listener.close()
        await runner.cleanup()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:  # of connections that were never used
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    try:
        yield Service(*asyncio.run_coroutine_threadsafe(begin(), loop).result(20))
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def embedded_service(
    path: Path,
    settings: EmbeddedSettings | None = None,
    token: str | None = None,
    allow_pages: int | None = None,
    idle: float = 60.0,
    webhooks: WebhookSettings | None = None,
    limits: Limits | None = None,
    connections: int | None = None,
    alerts: AlertSettings | None = None,
    tokens: Tokens | None = None,
) -> Iterator[Service]:
    """The embedded service over a log; `token` may do everything."""
    event_log = EventLog(path, allow_pages)
    embedded = Embedded(event_log, settings)
    store = open_store(path.parent, alerts.key) if alerts is not None else None
    sending = Alerts(store, embedded.outbox, alerts) if store is not None else None
    embedded.start()
    try:
        if token is not None:
            tokens = Tokens([Token(digest_of(token), Principal("token", Scope.ADMIN))])
        app = embedded_app(embedded, make_registry(), tokens, webhooks, limits, sending)
        with served(app, idle, connections) as service:
            yield Service(service.host, service.port, embedded, embedded.verdicts)
    finally:
        embedded.stop()
        event_log.close()
        if store is not None:
            store.close()


class _NoWorkers:
    """In the place of workers; the test adds their verdicts."""

    unavailable_reason = ""
    native_only = False

    async def send(self, messages: Sequence[tuple[bytes, str | None, str]]) -> None:
        """Takes everything."""

    async def run(self) -> None:
        """There is nothing to do."""


class NoDirectory:
    """A directory in which no worker is."""

    partitions = 0

    def place(self, _: int) -> None:
        """None: nowhere."""

    async def changed(self) -> None:
        """Never."""
        await asyncio.Event().wait()

    def partition_of(self, _: str) -> int:
        """There is none."""
        raise AssertionError

    def past(self, _: object) -> None:
        """None: nothing was labelled."""

    async def run(self) -> None:
        """There is nothing to read."""
        await asyncio.Event().wait()


@contextmanager
def relayed_service(
    directory: WorkerDirectory | None = None,
    token: str | None = None,
    seconds: float = 60.0,
    write: WriteEvents | None = None,
) -> Iterator[Service]:
    """The service beside the workers of a directory, by default none; it asks again for some seconds.

    With `write`, which stores acts, it has policies.
    """
    keepers, fleet = WorkerKeepers(directory or NoDirectory(), token, seconds), PublishedFleet()
    policies = Policies(keepers, write, ()) if write is not None else None
    app = relayed_app(_NoWorkers(), keepers, fleet, SOURCES, make_registry(), None, policies=policies)
    with served(app) as service:
        yield Service(service.host, service.port, verdicts=keepers.verdicts, fleet=fleet)


def verdict_record(
    decision: str,
    run: str | None,
    trainer: str | None = None,
    pipeline: str = "p",
    mode: str = "enforce",
    revision: int = 1,
) -> dict[str, Any]:
    """A verdict in wire form, as far as it decides who stops."""
    graphlet = graphlet_id(pipeline, trainer) if trainer else run_graphlet_id(pipeline, run or "")
    return {
        "version": VERSION,
        "id": f"{graphlet}#{revision}", "graphlet": graphlet, "pipeline": pipeline, "run": run, "trainer": trainer,
        "stage": "input", "validator": None,
        "decision": decision, "p_push": 0.25, "reasons": ["no push for long"], "revision": revision,
        "policy": {"mode": mode, "budget": 0.01},
    }  # fmt: skip


class Process:
    """`stream-app serve` in a process of its own; waits until it listens."""

    def __init__(
        self,
        folder: Path,
        *flags: str,
        program: Sequence[str] = (sys.executable, "-m", "stream_app"),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        command = [*program, "serve", "--data", str(folder), "--port", "0", *flags]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STREAM_APP_")}
        environment |= variables or {}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("serving at http://"):
            raise AssertionError(f"{line}{self.process.communicate()[1].decode()}")
        host, _, port = line.removeprefix("serving at http://").strip().rpartition(":")
        self.service = Service(host, int(port))
        #: What it has logged, once it has ended.
        self.log = ""

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it with a signal; returns the exit code."""
        self.process.send_signal(number)
        self.log = self.process.communicate(timeout=30)[1].decode()
        return self.process.returncode
