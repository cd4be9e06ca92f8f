"""One process of a consumer group: it finds the topics, serves its share of the partitions, and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from stream_app.errors import OptionsError
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.flow import Flow
from stream_app.kafka.clients.losses import LostStateError, find_loss
from stream_app.kafka.clients.retry import Problem, cause, retry
from stream_app.kafka.clients.topics import Found, MissingTopicsError
from stream_app.kafka.engine.app import add_agent, make_app
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.engine.sensor import RebalanceSensor
from stream_app.kafka.metrics.counts import GroupCounts
from stream_app.kafka.process import probes
from stream_app.kafka.process.folder_lock import locked
from stream_app.kafka.process.monitor import Monitor
from stream_app.kafka.process.topic_watch import TopicWatch
from stream_app.kafka.process.watchdog import Watchdog
from stream_app.kafka.records import Batch
from stream_app.kafka.state.local_store import LocalStore
from stream_app.kafka.state.table import PartitionTable, Topics
from stream_app.runtime.files import private, tighten

log = logging.getLogger(__name__)

#: The folder of local copies within that of the process.
_STATE = "state"
#: Seconds between two attempts to reach Kafka at the start.
_RETRY_SECONDS = 2.0
#: Seconds that stopping may take; whoever takes the partitions over does what is left.
_STOP_SECONDS = 18.0


class GroupSettings(Protocol):
    """What each process of a consumer group is told."""

    @property
    def connection(self) -> Connection:
        """How to reach Kafka."""

    @property
    def folder(self) -> Path:
        """Where local copies of the state are kept; each process needs a folder of its own."""

    @property
    def instance_id(self) -> str | None:
        """For static membership: keeps the partitions over a restart shorter than the session timeout."""

    @property
    def session_seconds(self) -> float:
        """The session timeout of the consumer group, in seconds."""

    @property
    def accept_loss(self) -> bool:
        """Whether to begin anew where the changelog is empty although the group has read records or written outputs."""

    @property
    def host(self) -> str:
        """The address at which `/metrics`, `/livez` and `/readyz` are served."""

    @property
    def port(self) -> int:
        """Its port; 0 takes a free one."""


class GroupProcess(ABC):
    """One process of a consumer group.

    Parameters
    ----------
    settings
        Its settings.
    flow
        The topics.
    monitor
        Watches it.
    counts
        Where it counts.
    """

    def __init__(self, settings: GroupSettings, flow: Flow, monitor: Monitor, counts: GroupCounts) -> None:
        self._group = settings
        self._flow = flow
        self._monitor = monitor
        self._group_counts = counts
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._exit_code = self._stop_code = 0
        #: The setting that turned out to be wrong.
        self._wrong: OptionsError | None = None
        self.watchdog = Watchdog(monitor.progress, settings.connection.servers)

    async def run(self) -> int:
        """Serves until SIGTERM or SIGINT, with the folder for itself.

        Returns
        -------
        int
            The exit code: 0 after SIGTERM, 130 after SIGINT, 1 when it could not continue.

        Raises
        ------
        OptionsError
            A topic does not have the settings that it must have, another process uses the folder, or a setting turns
            out to be wrong later.
        LostStateError
            The changelog is empty although it should not be.
        OSError
            The port of metrics and probes cannot be bound.
        """
        with private(), locked(self._group.folder):
            tighten(self._group.folder / _STATE)
            return await self._run()

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.stop, 128 + signal.SIGINT)
        self.watchdog.start()
        server = probes.serve(self._monitor.probes, self._group.host, self._group.port)
        log.info("probes and metrics are at http://%s:%d", *server.server_address[:2])
        self.start(self._monitor.run(self.watchdog))
        try:
            found = await self._find_topics()
            if found is not None:
                await self.serve(found)
        finally:
            self.watchdog.stop()
            for task in self._tasks:
                task.cancel()
            server.shutdown()
            server.server_close()
        if self._wrong is not None:
            raise self._wrong
        return self._exit_code or self._stop_code

    @abstractmethod
    def check_topics(self, admin: KafkaAdminClient) -> dict[str, Found]:
        """The topics; called from a thread, again while some are missing.

        Parameters
        ----------
        admin
            A connected client.

        Raises
        ------
        OptionsError, LostStateError
            As of `run`.
        MissingTopicsError
            Some do not exist yet.
        """

    def check_state(
        self, admin: KafkaAdminClient, found: Mapping[str, Found], outputs: Mapping[str, str], consequences: str,
        remedy: str,
    ) -> None:  # fmt: skip
        """Raises LostStateError where the state of the group is lost, unless that is accepted.

        Parameters
        ----------
        admin
            A connected client.
        found
            The topics.
        outputs
            As of `find_loss`.
        consequences, remedy
            As of `Loss.explain`.
        """
        loss = find_loss(self._group.connection, admin, self._flow, found[self._flow.keyed].partitions, outputs)
        if loss is not None and not self._group.accept_loss:
            raise LostStateError(loss.explain(self._flow, consequences, remedy))
        if loss is not None:
            log.warning("beginning without the state that is lost (--accept-loss)")

    @abstractmethod
    async def serve(self, found: Mapping[str, Found]) -> None:
        """Serves with these topics, until the process is to stop."""

    def stop(self, code: int = 0) -> None:
        """Finishes the batches in progress and ends; after some seconds they are left to the next owner.

        Parameters
        ----------
        code
            The exit code, unless the process has failed.
        """
        if not self._stopping.is_set():
            log.info("stopping")
            self._monitor.stopping = True
            self._stop_code = code
            end_after(_STOP_SECONDS, code)
            self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether it is to end."""
        return self._stopping.is_set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` in the background; when it fails, the process cannot continue."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def first(self, other: Coroutine[Any, Any, object]) -> None:
        """Returns when `other` is done or the process is to stop; raises what `other` does."""
        waits = [asyncio.create_task(other), asyncio.create_task(self._stopping.wait())]
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for wait in done:
            wait.result()

    async def serve_partitions(
        self,
        found: Mapping[str, Found],
        make: Callable[[int], Any],
        pass_on: Callable[[Batch, Callable[[], bool]], Awaitable[None]],
        begun: Callable[[Assignment[Any]], None],
        ending: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Serves partitions until the process is to stop.

        Parameters
        ----------
        found
            The topics.
        make
            Makes the partition of a number, not yet open.
        pass_on
            Given each batch of a source topic, and a function that returns whether its partition is still owned.
        begun
            Called when partitions are assigned.
        ending
            Finishes what partitions do beside their batches, before others may take them over.
        """
        settings, flow = self._group, self._flow
        app = make_app(
            settings.connection,
            flow,
            settings.folder,
            lambda: assignment.positions(),
            self._monitor.lose,
            session_seconds=settings.session_seconds,
            instance_id=settings.instance_id,
        )
        assignment = self._monitor.assignment = Assignment(app, flow.keyed, make)
        app.sensors.add(RebalanceSensor(self._group_counts))
        queues = add_agent(app, flow, assignment, pass_on)
        try:
            await app.start()
        except BaseException:
            end_after(_STOP_SECONDS, 1)  # threads that Faust has started would keep the process alive
            raise
        begun(assignment)
        ids = {name: topic.topic_id for name, topic in found.items()}
        report = partial(setattr, self._monitor, "waiting_for")
        partitions = found[flow.keyed].partitions
        self.start(TopicWatch(settings.connection, flow, ids, partitions, report, assignment.begin_again).run())
        await self.first(app.wait_until_stopped())
        self._monitor.stopping = True
        if not self._stopping.is_set():
            log.error("cannot continue: %s", cause(app.crash_reason))
            self._exit_code = 1
        if self._exit_code:
            end_after(_STOP_SECONDS, self._exit_code)
            queues.stop()  # batches in progress are left to the next owner
        elif ending is not None:
            await ending()
        await app.stop()
        queues.stop()
        assignment.close()

    def table(self, number: int, found: Mapping[str, Found], producer: AIOKafkaProducer) -> PartitionTable:
        """The table of a partition, not yet restored.

        Parameters
        ----------
        number
            The partition.
        found
            The topics.
        producer
            An idempotent, started producer.
        """
        flow = self._flow
        return PartitionTable(
            number,
            Topics(flow.changelog, found[flow.changelog].topic_id, found[flow.keyed].topic_id),
            self._group.connection.client(),
            producer,
            LocalStore(self._group.folder / _STATE / str(number)),
        )

    async def _find_topics(self) -> dict[str, Found] | None:
        """The topics, once Kafka can be reached and has them; None when stopped before that."""
        problem = Problem(log)

        def report(text: str) -> None:
            if problem.text and not text:
                log.info("Kafka has been reached, and the topics exist")
            problem.report(text)
            self._monitor.waiting_for = text

        return await retry(
            lambda: asyncio.to_thread(self._check_topics),
            report,
            transient=lambda error: isinstance(error, UnreachableError | MissingTopicsError),
            wanted=lambda: not self._stopping.is_set(),
            seconds=_RETRY_SECONDS,
            sleep=self._sleep,
        )

    def _check_topics(self) -> dict[str, Found]:
        connection = self._group.connection
        admin = connection.admin()
        try:
            return self.check_topics(admin)
        except KafkaError as error:
            if not error.retriable:
                raise
            raise UnreachableError(f"Kafka at {connection.bootstrap_servers} went away: {error}") from error
        finally:
            admin.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            if isinstance(error, OptionsError):
                self._wrong = error
            else:
                log.error("cannot continue: %s", cause(error))
            self._exit_code = 1
            self._stopping.set()

    async def _sleep(self, seconds: float) -> None:
        await self.first(asyncio.sleep(seconds))


def end_after(seconds: float, code: int) -> None:
    """Ends the process after some seconds, in case stopping hangs."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
