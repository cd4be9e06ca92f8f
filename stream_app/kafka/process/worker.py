"""A worker: one process that serves its share of the partitions until it is stopped."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from stream_app.alerts.tracking import MAX_AGE_MS
from stream_app.analysis.fleet.following import FleetSettings
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.kafka.clients import topics
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.flow import worker_flow
from stream_app.kafka.clients.placement import Placement
from stream_app.kafka.clients.producer import READABLE, Send, make_producer, sender
from stream_app.kafka.clients.topic_catalogue import directory_topic, worker_topics
from stream_app.kafka.clients.topics import Found, Names
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.engine.ticks import TickWriter
from stream_app.kafka.model.checkpoint import Checkpoint
from stream_app.kafka.model.learning import Learning, restore
from stream_app.kafka.process.fleet_publisher import FleetPublisher
from stream_app.kafka.process.group_process import GroupProcess
from stream_app.kafka.process.worker_monitor import WorkerMonitor
from stream_app.kafka.processing.fleet_publication import PUBLISH_SECONDS
from stream_app.kafka.processing.partition import Detector, Partition
from stream_app.kafka.processing.rekeying import rekey
from stream_app.kafka.processing.renaming import renamed_verdicts
from stream_app.kafka.processing.tick_key import TickKey
from stream_app.kafka.queries.announcing import Announcer
from stream_app.kafka.queries.directory import Place
from stream_app.kafka.queries.open_partitions import OpenPartitions
from stream_app.kafka.records import Batch
from stream_app.sources import SOURCES, Sources

log = logging.getLogger(__name__)

#: Makes a detector from its settings, the rows of a partition, and the learner that it asks.
Load = Callable[[Settings, Mapping[bytes, bytes], Learner], Detector]
#: Answers questions about the state while its context lasts, which gives the address as `host:port`.
AnswerQuestions = Callable[[OpenPartitions], AbstractAsyncContextManager[str]]


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
    #: Prices and owners, for the figures of the fleet, and seconds between two publications of them.
    fleet: FleetSettings = field(default_factory=FleetSettings)
    fleet_seconds: float = PUBLISH_SECONDS
    #: Seconds without an answer of Kafka after which the worker is not ready.
    stale_seconds: float = 60.0
    #: Whether to begin anew where the changelog is empty although the group has read events or written outputs.
    accept_loss: bool = False
    #: Where `/metrics`, `/livez` and `/readyz` are served; port 0 takes a free one.
    host: str = "127.0.0.1"
    port: int = 9464


class Worker(GroupProcess):
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
        #: Answers questions; set before `run`. None: nobody asks.
        self.answer_questions: AnswerQuestions | None = None
        self._directory_fault = ""
        flow = worker_flow(settings.names)
        self.monitor = WorkerMonitor(flow, settings.detector.policy.budgets, settings.stale_seconds)
        super().__init__(settings, flow, self.monitor, self.monitor.counts)

    def check_topics(self, admin: KafkaAdminClient) -> dict[str, Found]:
        """The topics of workers; see `GroupProcess.check_topics`."""
        settings = self.settings
        found = topics.required(admin, worker_topics(settings.names, settings.partitions, settings.replication))
        self._directory_fault = self._fault_of_directory(admin)
        self.check_state(
            admin,
            found,
            {"verdicts": settings.names.verdicts, "examples": settings.names.examples},
            "runs in flight are forgotten, and verdicts and examples may be said again in other words",
            "restore the topic, or replay the sources into another group (kafka.group)",
        )
        return found

    def _fault_of_directory(self, admin: KafkaAdminClient) -> str:
        """What is wrong with the directory, without which a worker works; "" when nothing is."""
        try:
            return "; ".join(topics.check(admin, [directory_topic(self.settings.names, self.settings.replication)]))
        except KafkaError as error:
            return f"topic {self.settings.names.directory} cannot be looked at ({error}): allow that"

    async def serve(self, found: Mapping[str, Found]) -> None:
        """Restores the model and serves partitions; see `GroupProcess.serve`."""
        settings = self.settings
        learning = self.monitor.learning = await self._restore_model(found)
        async with (
            make_producer(settings.connection) as producer,
            make_producer(settings.connection, READABLE) as outputs,
        ):
            self.monitor.producers = (producer, outputs)
            self.start(learning.run())
            await self.first(learning.wait())
            if not self.is_stopping:
                placement = Placement(settings.names.events, found[settings.names.changelog].partitions)
                send = sender(producer, dict.fromkeys(settings.names.outputs, outputs), placement)
                await self._serve_events(found, producer, send, learning.learner)
            learning.save()

    async def _restore_model(self, found: Mapping[str, Found]) -> Learning:
        settings, topic = self.settings, self.settings.names.examples
        checkpoint = Checkpoint(
            settings.folder, settings.checkpoint_key, found[topic].topic_id, settings.detector, self.monitor.counts
        )
        return await restore(
            settings.connection, topic, checkpoint, settings.detector.learner(), follows=settings.learning
        )

    async def _serve_events(
        self, found: Mapping[str, Found], producer: AIOKafkaProducer, send: Send, learner: Learner
    ) -> None:
        settings, names = self.settings, self.settings.names
        opened = OpenPartitions(
            lambda: self.monitor.assignment, found[names.events].partitions, settings.detector.operators
        )

        async def rekeyed(batch: Batch, owned: Callable[[], bool]) -> None:
            await rekey(batch, names, send, self.monitor.counts, owned, settings.sources)

        async with self._announcing(opened) as announcer:

            def begun(assignment: Assignment[Any]) -> None:
                ticks = TickWriter(assignment, names.events, producer, settings.tick_seconds, self._tick_key)
                self.start(ticks.run())
                self.start(FleetPublisher(assignment, send).run())
                if announcer is not None:
                    self.start(announcer.run())

            make = partial(self._partition, found, producer, send, learner)
            await self.serve_partitions(
                found, make, rekeyed, begun, announcer.withdraw if announcer is not None else None
            )

    @contextlib.asynccontextmanager
    async def _announcing(self, opened: OpenPartitions) -> AsyncIterator[Announcer | None]:
        """Answers questions while the context lasts, and gives what tells others where; None where nobody can ask."""
        if self.answer_questions is None:
            yield None
            return
        if self._directory_fault:
            log.warning("%s, and restart: until then questions about graphlets are not answered", self._directory_fault)
            yield None
            return
        settings = self.settings
        async with self.answer_questions(opened) as address:
            place = Place(address, opened.instance)
            yield Announcer(settings.connection, settings.names.directory, opened.opened, place, opened.partitions)

    def _partition(
        self, found: Mapping[str, Found], producer: AIOKafkaProducer, send: Send, learner: Learner, number: int
    ) -> Partition:
        settings, names = self.settings, self.settings.names
        return Partition(
            number,
            found[names.events].partitions,
            names,
            self.table(number, found, producer),
            lambda rows: self._load(settings.detector, rows, learner),
            send,
            self.monitor.counts,
            self.monitor.observe,
            partial(renamed_verdicts, settings.connection.client(), names.verdicts, found[names.verdicts].partitions),
            self._tick_key,
            settings.flag_age_ms,
            settings.sources.redaction,
            settings.fleet,
            settings.fleet_seconds,
        )
