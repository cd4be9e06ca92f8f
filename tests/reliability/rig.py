"""A broker of one's own behind a proxy, workers and a service on it, and a load whose outcome is known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import orjson
from aiokafka import TopicPartition
from kafka.admin import KafkaAdminClient

from stream_app.kafka.clients.topics import Names
from stream_app.kafka.state.changelog import POSITION
from stream_app.simulator import Fleet, FleetOptions
from tests.broker.broker import JavaBroker, free_port, start_java
from tests.broker.cluster import PATIENCE, REPOSITORY, THIS_CODE, Cluster, Process
from tests.broker.scenarios import check_outputs, trickle
from tests.reliability.invariants import check_offsets, check_state, expected_state
from tests.reliability.toxiproxy import Toxiproxy

Found = TypeVar("Found")
#: Seconds after which a worker or a service without an answer of Kafka is not ready.
STALE_SECONDS = 5.0
#: Clients of the rows themselves say a line for each try while the broker is away.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
#: Seconds within which work goes on when a fault is over.
RESUME_SECONDS = 60.0


@dataclass
class Service:
    """`stream-app serve` as a process."""

    log: Path
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    #: Where it listens; once it was started.
    url: str = ""
    #: Further variables of its environment.
    variables: dict[str, str] = field(default_factory=dict)
    #: The module that is run.
    module: str = "stream_app"

    def start(self) -> None:
        begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "serve", "--port", "0", *self.arguments],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": THIS_CODE, "PYTHONUNBUFFERED": "1", **self.variables},
            )

        def serving() -> re.Match[bytes] | None:
            assert self.running, self.log.read_text()[-3000:]
            return re.search(rb"serving at (\S+)", self.log.read_bytes()[begun:])

        self.url = until(serving, "the service listens").group(1).decode()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask(self, path: str, body: bytes | None = None, seconds: float = 40) -> tuple[int, str]:
        """Status and body of a request; one with a body is a POST."""
        return ask(self.url + path, body, seconds)

    def stop(self) -> None:
        if self.process is not None and self.running:
            self.process.kill()
            self.process.wait()


def ask(url: str, body: bytes | None = None, seconds: float = 40) -> tuple[int, str]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(holds: Callable[[], Found | None], what: str, seconds: float = PATIENCE) -> Found:
    """Wait for something that comes about in other processes; returns it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)
    return found


@dataclass
class Rig:
    """A broker, the proxy through which workers reach it, and two views of one deployment."""

    broker: JavaBroker
    folder: Path
    #: Feeds and checks without the proxy.
    direct: Cluster
    #: Starts workers, which go through the proxy.
    through: Cluster
    proxy: Toxiproxy | None = None
    services: list[Service] = field(default_factory=list)

    def worker(self) -> Process:
        """A further worker, once its partitions are open."""
        made = self.through.worker()
        self.direct.workers.append(made)
        made.said("are open")
        return made

    def service(self) -> Service:
        """A service in front of the workers, once it is ready."""
        settings = self.folder / "serve.toml"
        names = self.through.names
        settings.write_text(f'[kafka]\ngroup = "{names.group}"\nsources = ["{names.sources[0]}"]\n')
        log = self.folder / f"serve{len(self.services)}.log"
        made = Service(log, ["--bootstrap-servers", self.through.bootstrap, "--config", str(settings)])
        self.services.append(made)
        made.start()
        until(lambda: made.ask("/readyz")[0] == 200, "the service is ready")
        return made

    def stop(self) -> None:
        self.direct.stop()
        self.through.stop()
        for service in self.services:
            service.stop()

    @asynccontextmanager
    async def load(self, messages: list[bytes], seconds: float) -> AsyncIterator[asyncio.Task[None]]:
        """Messages come in for about so many seconds; at the end all of them are in Kafka."""
        task = asyncio.create_task(trickle(self.direct, messages, seconds))
        try:
            yield task
            await task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def equal(self, messages: list[bytes], *, ticking: bool = False) -> float:
        """Wait until all is applied; state and outputs are what they must be. Returns the seconds until then.

        Where workers write ticks all the time, what is in the topic of events at the beginning counts.
        """
        began = time.monotonic()
        if ticking:
            await self.applied(await self.direct.ends(self.direct.names.events, self.direct.partitions))
        else:
            await self.direct.settle()
        settled = time.monotonic() - began
        await check_state(self.direct, expected_state(messages))
        await check_offsets(self.direct)
        await check_outputs(self.direct, messages)
        return settled

    async def applied(self, ends: dict[TopicPartition, int]) -> None:
        """Wait until the state holds the events before these offsets."""
        end = time.monotonic() + PATIENCE
        while True:
            stored = {number: rows.get(POSITION) for number, rows in (await self.direct.rows()).items()}
            reached = {number: orjson.loads(row)["offset"] if row else 0 for number, row in stored.items()}
            if all(reached[at.partition] >= offset for at, offset in ends.items()):
                return
            assert time.monotonic() < end, f"not applied: {reached} of {ends}"
            await asyncio.sleep(0.5)


def events(pipelines: int = 9, days: int = 4, seed: int = 3) -> list[bytes]:
    """Some days of a fleet, one message an event, in the order of arrival."""
    return [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=pipelines, days=days, seed=seed)).events()]


@contextmanager
def own_broker() -> Iterator[JavaBroker]:
    made = start_java()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def rig_on(
    broker: JavaBroker, folder: Path, name: str, bootstrap: str | None = None, **changes: object
) -> Iterator[Rig]:
    """A deployment of its own, whose workers reach the broker at `bootstrap`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = Names(name, (f"{name}-source",))
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    given = {"stale_seconds": STALE_SECONDS, **changes}
    direct = Cluster(broker.bootstrap, admin, folder, names, **given)  # type: ignore[arg-type]
    through = Cluster(bootstrap or broker.bootstrap, admin, folder, names, **given)  # type: ignore[arg-type]
    direct.make_topics()
    rig = Rig(broker, folder, direct, through)
    try:
        yield rig
    finally:
        rig.stop()
        admin.close()


@contextmanager
def proxied_broker() -> Iterator[tuple[JavaBroker, int, int]]:
    """A broker with a further listener, and two ports: of that listener, and the one that it tells clients."""
    with own_broker() as broker:
        broker.stop()
        listener, told = free_port(), free_port()
        properties = broker.folder / "server.properties"
        lines = properties.read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines)
        listeners = given["listeners"].split(",")
        given["listeners"] = ",".join([*listeners, f"PROXIED://127.0.0.1:{listener}"])
        kept = [each for each in listeners if not each.startswith("CONTROLLER")]
        given["advertised.listeners"] = ",".join([*kept, f"PROXIED://127.0.0.1:{told}"])
        given["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        properties.write_text("".join(f"{key}={value}\n" for key, value in given.items()))
        broker.start()
        yield broker, listener, told


@contextmanager
def proxied_rig(folder: Path, name: str, **changes: object) -> Iterator[Rig]:
    """A deployment whose workers and services reach their broker through a proxy, as it also tells them to."""
    with (
        proxied_broker() as (broker, listener, told),
        Toxiproxy(told, listener) as proxy,
        rig_on(broker, folder, name, f"127.0.0.1:{told}", **changes) as rig,
    ):
        rig.proxy = proxy
        yield rig


def end_softly(process: Process) -> int:
    """Tell a worker to stop; its exit code."""
    process.signal(signal.SIGTERM)
    return process.wait(60)


Fault = Callable[[Rig], AbstractContextManager[None]]
