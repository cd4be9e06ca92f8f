"""A worker: one process that serves its share of the partitions until it is stopped."""

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

from stream_app.alerts.tracking import MAX_AGE_MS
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.kafka.clients import topics
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.losses import LostStateError, find_loss
from stream_app.kafka.clients.placement import Placement
from stream_app.kafka.clients.producer import READABLE, Send, make_producer, sender
from stream_app.kafka.clients.retry import Problem, cause, retry
from stream_app.kafka.clients.topics import Found, MissingTopicsError, Names
from stream_app.kafka.engine.app import add_agent, make_app
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.engine.sensor import RebalanceSensor
from stream_app.kafka.engine.ticks import TickWriter
from stream_app.kafka.model.checkpoint import Checkpoint
from stream_app.kafka.model.learning import Learning, restore
from stream_app.kafka.process import probes
from stream_app.kafka.process.folder_lock import locked
from stream_app.kafka.process.monitor import Monitor
from stream_app.kafka.process.topic_watch import TopicWatch
from stream_app.kafka.process.watchdog import Watchdog
from stream_app.kafka.processing.partition import Detector, Partition
from stream_app.kafka.processing.rekeying import rekey
from stream_app.kafka.processing.renaming import renamed_verdicts
from stream_app.kafka.processing.tick_key import TickKey
from stream_app.kafka.records import Batch
from stream_app.kafka.state.local_store import LocalStore
from stream_app.kafka.state.table import PartitionTable, Topics
from stream_app.runtime.files import private, tighten
from stream_app.sources import SOURCES, Sources

log = logging.getLogger(__name__)

#: Makes a detector from its settings, the rows of a partition, and the learner that it asks.
Load = Callable[[Settings, Mapping[bytes, bytes], Learner], Detector]

#: The folder of local copies within that of the worker.
_STATE = "state"
#: Seconds between two attempts to reach Kafka at the start.
_RETRY_SECONDS = 2.0
#: Seconds that stopping may take; whoever takes the partitions over does what is left.
_STOP_SECONDS = 18.0


@dataclass(frozen=True)
class WorkerSettings:
    """Settings of a worker."""

    connection: Connection
    names: Names
    #: Where local copies of the state are kept; each worker needs a folder of its own.
    folder: Path
    #: Partitions of the events topic, and replicas of each topic, as `stream-app topics check` expects them.
    partitions: int = 12
    replication: int = 3
    #: For static membership: keeps this worker's partitions over a restart shorter than the session timeout.
    instance_id: str | None = None
    #: The session timeout of the consumer group, in seconds.
    session_seconds: float = 10.0
    #: Seconds between two ticks of a partition that is caught up.
    tick_seconds: float = 60.0
    #: Whether the model follows the examples log; if not, it stays as its checkpoint has it.
    learning: bool = True
    #: Settings of the detectors and of the learner that they ask.
    detector: Settings = field(default_factory=Settings)
    #: Signs checkpoints of the model and ticks; None: a generated key is kept in the folder, and ticks are unsigned.
    checkpoint_key: bytes | None = field(default=None, repr=False)
    #: The decoders of the source topics.
    sources: Sources = field(default_factory=lambda: SOURCES)
    #: How far the event time of a verdict may be in the past for a flag to be raised, in ms.
    flag_age_ms: int = MAX_AGE_MS
    #: Seconds without an answer of Kafka after which the worker is not ready.
    stale_seconds: float = 60.0
    #: Whether to begin anew where the changelog is empty although the group has read events or written outputs.
    accept_loss: bool = False
    #: Where `/metrics`, `/livez` and `/readyz` are served; port 0 takes a free one.
    host: str = "127.0.0.1"
    port: int = 9464


class Worker:
    """One worker process.

    Parameters
    ----------
    settings
        Its settings.
    load
        Makes the detector of a partition.
    """

    def __init__(self, settings: WorkerSettings, load: Load) -> None:
        self.settings = settings
        self._load = load
        self._tick_key = TickKey(settings.checkpoint_key, settings.names.events)
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._exit_code = self._stop_code = 0
        self.monitor = Monitor(
            settings.names.sources, settings.names.events, settings.detector.policy.budgets, settings.stale_seconds
        )
        self.watchdog = Watchdog(self.monitor.progress, settings.connection.servers)

    async def run(self) -> int:
        """Serves until SIGTERM or SIGINT, with the folder for itself.

        Returns
        -------
        int
            The exit code: 0 after SIGTERM, 130 after SIGINT, 1 when it could not continue.

        Raises
        ------
        OptionsError
            A topic does not have the settings that it must have, or another worker uses the folder.
        LostStateError
            The changelog is empty although it should not be.
        OSError
            The port of metrics and probes cannot be bound.
        """
        with private(), locked(self.settings.folder):
            tighten(self.settings.folder / _STATE)
            return await self._run()

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.stop, 128 + signal.SIGINT)
        self.watchdog.start()
        server = probes.serve(self.monitor.probes, self.settings.host, self.settings.port)
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
        return self._exit_code or self._stop_code

    def stop(self, code: int = 0) -> None:
        """Finishes the batches in progress and ends; after some seconds they are left to the next owner.

        Parameters
        ----------
        code
            The exit code, unless the worker has failed.
        """
        if not self._stopping.is_set():
            log.info("stopping")
            self.monitor.stopping = True
            self._stop_code = code
            end_after(_STOP_SECONDS, code)
            self._stopping.set()

    async def _find_topics(self) -> dict[str, Found] | None:
        """The topics, once Kafka can be reached and has them; None when stopped before that."""
        problem = Problem(log)

        def report(text: str) -> None:
            if problem.text and not text:
                log.info("Kafka has been reached, and the topics exist")
            problem.report(text)
            self.monitor.waiting_for = text

        return await retry(
            lambda: asyncio.to_thread(self._check_topics),
            report,
            transient=lambda error: isinstance(error, UnreachableError | MissingTopicsError),
            wanted=lambda: not self._stopping.is_set(),
            seconds=_RETRY_SECONDS,
            sleep=self._sleep,
        )

    def _check_topics(self) -> dict[str, Found]:
        settings = self.settings
        wanted = topics.catalogue(settings.names, settings.partitions, settings.replication)
        admin = settings.connection.admin()
        try:
            found = topics.required(admin, wanted)
            loss = find_loss(settings.connection, admin, settings.names, found[settings.names.events].partitions)
            if loss is not None and not settings.accept_loss:
                raise LostStateError(loss.explain(settings.names))
            if loss is not None:
                log.warning("beginning without the state that is lost (--accept-loss)")
            return found
        except KafkaError as error:
            if not error.retriable:
                raise
            raise UnreachableError(f"Kafka at {settings.connection.bootstrap_servers} went away: {error}") from error
        finally:
            admin.close()

    async def _serve(self, found: dict[str, Found]) -> None:
        settings = self.settings
        learning = self.monitor.learning = await self._restore_model(found)
        async with (
            make_producer(settings.connection) as producer,
            make_producer(settings.connection, READABLE) as outputs,
        ):
            self.monitor.producers = (producer, outputs)
            self._start(learning.run())
            await self._first(learning.wait())
            if not self._stopping.is_set():
                placement = Placement(settings.names.events, found[settings.names.changelog].partitions)
                send = sender(producer, dict.fromkeys(settings.names.outputs, outputs), placement)
                await self._serve_partitions(found, producer, send, learning.learner)
            learning.save()

    async def _restore_model(self, found: dict[str, Found]) -> Learning:
        settings, topic = self.settings, self.settings.names.examples
        checkpoint = Checkpoint(
            settings.folder, settings.checkpoint_key, found[topic].topic_id, settings.detector, self.monitor.counts
        )
        return await restore(
            settings.connection, topic, checkpoint, settings.detector.learner(), follows=settings.learning
        )

    async def _serve_partitions(
        self, found: dict[str, Found], producer: AIOKafkaProducer, send: Send, learner: Learner
    ) -> None:
        settings, names = self.settings, self.settings.names
        app = make_app(
            settings.connection,
            names,
            settings.folder,
            lambda: assignment.positions(),
            self.monitor.lose,
            session_seconds=settings.session_seconds,
            instance_id=settings.instance_id,
        )
        make = partial(self._partition, found, producer, send, learner)
        assignment = self.monitor.assignment = Assignment(app, names.events, make)

        async def rekeyed(batch: Batch, owned: Callable[[], bool]) -> None:
            await rekey(batch, names, send, self.monitor.counts, owned, settings.sources)

        app.sensors.add(RebalanceSensor(self.monitor.counts))
        queues = add_agent(app, names, assignment, rekeyed)
        try:
            await app.start()
        except BaseException:
            end_after(_STOP_SECONDS, 1)  # threads that Faust has started would keep the process alive
            raise
        self._start(TickWriter(assignment, names.events, producer, settings.tick_seconds, self._tick_key).run())
        ids = {name: topic.topic_id for name, topic in found.items()}
        report = partial(setattr, self.monitor, "waiting_for")
        self._start(
            TopicWatch(
                settings.connection, names, ids, found[names.events].partitions, report, assignment.begin_again
            ).run()
        )
        await self._first(app.wait_until_stopped())
        self.monitor.stopping = True
        if not self._stopping.is_set():
            log.error("cannot continue: %s", cause(app.crash_reason))
            self._exit_code = 1
        if self._exit_code:
            end_after(_STOP_SECONDS, self._exit_code)
            queues.stop()  # batches in progress are left to the next owner
        await app.stop()
        queues.stop()
        assignment.close()

    def _partition(
        self, found: dict[str, Found], producer: AIOKafkaProducer, send: Send, learner: Learner, number: int
    ) -> Partition:
        settings, names = self.settings, self.settings.names
        changelog, events = found[names.changelog], found[names.events]
        table = PartitionTable(
            number,
            Topics(names.changelog, changelog.topic_id, events.topic_id),
            settings.connection.client(),
            producer,
            LocalStore(settings.folder / _STATE / str(number)),
        )
        return Partition(
            number,
            events.partitions,
            names,
            table,
            lambda rows: self._load(settings.detector, rows, learner),
            send,
            self.monitor.counts,
            self.monitor.observe,
            partial(renamed_verdicts, settings.connection.client(), names.verdicts, found[names.verdicts].partitions),
            self._tick_key,
            settings.flag_age_ms,
            settings.sources.redaction,
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` in the background; when it fails, the worker cannot continue."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("cannot continue: %s", cause(task.exception()))
            self._exit_code = 1
            self._stopping.set()

    async def _first(self, other: Coroutine[Any, Any, object]) -> None:
        """Returns when `other` is done or the worker is to stop."""
        waits = [asyncio.create_task(other), asyncio.create_task(self._stopping.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _sleep(self, seconds: float) -> None:
        await self._first(asyncio.sleep(seconds))


def end_after(seconds: float, code: int) -> None:
    """Ends the process after some seconds, in case stopping hangs."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
