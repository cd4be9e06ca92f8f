"""A worker: one process that serves its share of the partitions until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from kafka.errors import KafkaError

from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.kafka.clients import topics
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.producer import make_producer, sender
from stream_app.kafka.clients.topics import Found, MissingTopicsError, Names
from stream_app.kafka.engine.app import add_agent, make_app
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.engine.sensor import RebalanceSensor
from stream_app.kafka.engine.ticks import Ticking
from stream_app.kafka.model.checkpoint import Checkpoint
from stream_app.kafka.model.learning import Learning, restore
from stream_app.kafka.process.monitor import Monitor
from stream_app.kafka.process.watchdog import Watchdog
from stream_app.kafka.processing.partition import Detector, Partition
from stream_app.kafka.processing.rekeying import rekey
from stream_app.kafka.records import Batch
from stream_app.kafka.state.local_store import LocalStore
from stream_app.kafka.state.table import PartitionTable, Topics
from stream_app.sources import SOURCES, Sources

log = logging.getLogger(__name__)

#: Makes a detector from its settings, the rows of a partition, and the learner that it asks.
Load = Callable[[Settings, Mapping[bytes, bytes], Learner], Detector]

#: Seconds between two attempts to reach Kafka at the start.
_AGAIN_SECONDS = 2.0
#: Seconds that stopping may take; what is not done then is done by whoever takes the partitions over.
_STOP_SECONDS = 18.0


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is told once."""

    connection: Connection
    names: Names
    #: Where local copies of the state lie; each worker needs a folder of its own.
    folder: Path
    #: Of the events topic, and copies of each topic: what `stream-app topics check` expects.
    partitions: int = 12
    replication: int = 3
    #: Keeps this worker's partitions over a restart shorter than the session.
    instance_id: str | None = None
    #: Seconds after which a worker that does not answer loses its partitions.
    session_seconds: float = 10.0
    #: Between two ticks of a partition in which all is done.
    tick_seconds: float = 60.0
    #: Whether the examples log is folded; if not, the model stays as its checkpoint has it.
    learning: bool = True
    #: Of the detectors, and of the learner that fits them.
    detector: Settings = field(default_factory=Settings)
    #: Signs checkpoints of the model; None: a key of their own is kept in the folder.
    checkpoint_key: bytes | None = field(default=None, repr=False)
    #: How messages of the source topics are read.
    sources: Sources = field(default_factory=lambda: SOURCES)
    #: Where `/metrics`, `/livez` and `/readyz` are served; port 0 takes a free one.
    host: str = "127.0.0.1"
    port: int = 9464


class Worker:
    """Runs one worker; see `run`."""

    def __init__(self, settings: WorkerSettings, load: Load) -> None:
        self.settings = settings
        self._load = load
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._exit_code = 0
        self.monitor = Monitor(settings.names.sources, settings.detector.policy.budgets)
        self.watchdog = Watchdog(self.monitor.progress, settings.connection.servers)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code: 0 when told to stop, 1 when it could not go on.

        Raises OptionsError when topics exist that are not what they must be, OSError when the port is taken.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self.watchdog.start()
        server = self.monitor.serve(self.settings.host, self.settings.port)
        log.info("probes and metrics are at http://%s:%d", *server.server_address[:2])
        self._start(self.monitor.run(self.watchdog))
        try:
            found = await self._find_topics()
            if found is not None:
                await self._serve(found)
        finally:
            self.watchdog.stop()
            for task in self._tasks:
                task.cancel()
            server.shutdown()
            server.server_close()
        return self._exit_code

    def stop(self) -> None:
        """Finish what is in hand and end; what takes too long is left to the next owner of the partitions."""
        if not self._stopping.is_set():
            log.info("stopping")
            self.monitor.stopping = True
            end_after(_STOP_SECONDS, 0)
            self._stopping.set()

    async def _find_topics(self) -> dict[str, Found] | None:
        """The topics as they are, once Kafka can be reached and has them; None when told to stop before.

        Both may be started after the worker, and both are somebody else's to start.
        """
        while not self._stopping.is_set():
            try:
                found = await asyncio.to_thread(self._check_topics)
            except (UnreachableError, MissingTopicsError) as error:
                if str(error) != self.monitor.waiting_for:
                    log.error("%s; trying again every %.0f s", error, _AGAIN_SECONDS)
                    self.monitor.waiting_for = str(error)
                await self._sleep(_AGAIN_SECONDS)
            else:
                if self.monitor.waiting_for:
                    log.info("Kafka is there, and so are the topics")
                    self.monitor.waiting_for = ""
                return found
        return None

    def _check_topics(self) -> dict[str, Found]:
        settings = self.settings
        wanted = topics.catalogue(settings.names, settings.partitions, settings.replication)
        admin = settings.connection.admin()
        try:
            return topics.required(admin, wanted)
        except KafkaError as error:
            if not error.retriable:
                raise
            raise UnreachableError(f"Kafka at {settings.connection.bootstrap_servers} went away: {error}") from error
        finally:
            admin.close()

    async def _serve(self, found: dict[str, Found]) -> None:
        settings = self.settings
        learning = self.monitor.learning = await self._restore_model(found)
        producer = make_producer(settings.connection)
        await producer.start()
        try:
            self._start(learning.run())
            await self._first(learning.wait())
            if not self._stopping.is_set():
                await self._serve_partitions(found, producer, learning.learner)
            learning.keep()
        finally:
            await producer.stop()

    async def _restore_model(self, found: dict[str, Found]) -> Learning:
        settings, topic = self.settings, self.settings.names.examples
        checkpoint = Checkpoint(
            settings.folder, settings.checkpoint_key, found[topic].topic_id, settings.detector, self.monitor.counts
        )
        return await restore(
            settings.connection, topic, checkpoint, settings.detector.learner(), follows=settings.learning
        )

    async def _serve_partitions(self, found: dict[str, Found], producer: AIOKafkaProducer, learner: Learner) -> None:
        settings, names = self.settings, self.settings.names
        send = sender(producer)
        app = make_app(
            settings.connection,
            names,
            settings.folder,
            lambda: assignment.positions(),
            session_seconds=settings.session_seconds,
            instance_id=settings.instance_id,
        )
        make = partial(self._partition, found, producer, learner)
        assignment = self.monitor.assignment = Assignment(app, names.events, make)

        async def rekeyed(batch: Batch, owned: Callable[[], bool]) -> None:
            await rekey(batch, names, send, self.monitor.counts, owned, settings.sources)

        app.sensors.add(RebalanceSensor(self.monitor.counts))
        lanes = add_agent(app, names, assignment, rekeyed)
        try:
            await app.start()
        except BaseException:
            end_after(_STOP_SECONDS, 1)  # threads that Faust has started would keep the process
            raise
        self._start(Ticking(assignment, names.events, producer, settings.tick_seconds).run())
        await self._first(app.wait_until_stopped())
        self.monitor.stopping = True
        if not self._stopping.is_set():
            log.error("cannot go on: %r", app.crash_reason)
            self._exit_code = 1
        if self._exit_code:
            end_after(_STOP_SECONDS, self._exit_code)
            lanes.stop()  # nothing more is to be done; what was begun is left to the next owner
        await app.stop()
        lanes.stop()
        assignment.close()

    def _partition(
        self, found: dict[str, Found], producer: AIOKafkaProducer, learner: Learner, number: int
    ) -> Partition:
        settings, names = self.settings, self.settings.names
        changelog, events = found[names.changelog], found[names.events]
        table = PartitionTable(
            number,
            Topics(names.changelog, changelog.topic_id, events.topic_id),
            settings.connection.client(),
            producer,
            LocalStore(settings.folder / "state" / str(number)),
        )
        return Partition(
            number,
            events.partitions,
            names,
            table,
            lambda rows: self._load(settings.detector, rows, learner),
            sender(producer),
            self.monitor.counts,
            self.monitor.observe,
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` beside everything else; when it fails, the worker cannot go on."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("cannot go on: %r", task.exception())
            self._exit_code = 1
            self._stopping.set()

    async def _first(self, other: Coroutine[Any, Any, object]) -> None:
        """Return when `other` is done or the worker is to stop."""
        waits = [asyncio.create_task(other), asyncio.create_task(self._stopping.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _sleep(self, seconds: float) -> None:
        await self._first(asyncio.sleep(seconds))


def end_after(seconds: float, code: int) -> None:
    """End the process with this exit code if it is still there then: stopping must not hang."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
