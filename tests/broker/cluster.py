"""Workers on a broker, what is fed to them, and what became of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Output
from stream_app.kafka.clients import topics
from stream_app.kafka.clients.topic_catalogue import catalogue
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.state.changelog import POSITION, Fold, LogReader, Rank
from stream_app.sources import native

REPOSITORY = Path(__file__).resolve().parents[2]
#: The value of `PYTHONPATH` under which a process runs the code of this one.
THIS_CODE = os.pathsep.join(path for path in sys.path if path)
#: Seconds after which what has not come counts as never coming: under a load of 18 on two cores, workers took 265 s for
#: what takes them 14.
PATIENCE = 400


@dataclass
class Process:
    """A worker as a process; a killed one may be started again with the same folder."""

    settings: Path
    log: Path
    #: What Python runs, before the path of the settings.
    program: Sequence[str] = ("-m", "tests.broker.worker_process")
    cwd: Path = REPOSITORY
    #: The value of `PYTHONPATH`: which code is run.
    python_path: str = THIS_CODE
    process: subprocess.Popen[bytes] | None = None
    #: Where in the log the running process begins.
    _begun: int = 0

    def start(self) -> None:
        self._begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, str(self.settings)],
                cwd=self.cwd,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": self.python_path},
            )

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, seconds: float = 30) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def said(self, words: str, seconds: float = PATIENCE) -> None:
        """Wait until the log of the process that runs has these words."""
        end = time.monotonic() + seconds
        running = True
        while words.encode() not in self.log.read_bytes()[self._begun :]:
            assert running, f"ended before it said {words!r}\n{self.log.read_text()[-4000:]}"
            assert time.monotonic() < end, f"never said {words!r}\n{self.log.read_text()[-4000:]}"
            time.sleep(0.1)
            running = self.running  # what it said before it ended is in the log by now

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body of the probe or metrics at a path of the process that runs."""
        told = re.findall(rb"probes and metrics are at (\S+)", self.log.read_bytes()[self._begun :])
        try:
            with urllib.request.urlopen(told[-1].decode() + path) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Cluster:
    """The topics of one test and the workers on them."""

    bootstrap: str
    admin: KafkaAdminClient
    folder: Path
    names: Names
    partitions: int = 6
    #: Copies of each topic.
    replication: int = 1
    learning: bool = False
    session_seconds: float = 3.0
    tick_seconds: float = 3600.0
    #: Between two publications of the figures of a partition.
    fleet_seconds: float = 3600.0
    horizon_ms: int = Settings().horizon_ms
    retention_ms: int = Settings().retention_ms
    lateness_ms: int = Settings().lateness_ms
    #: After which workers' producers give up on what they could not send.
    send_ms: int = 40_000
    #: The key of the group; "" for none.
    checkpoint_key: str = ""
    #: Seconds without an answer of Kafka after which a worker is not ready.
    stale_seconds: float = 60.0
    #: Whether workers begin anew where the state is lost.
    accept_loss: bool = False
    workers: list[Process] = field(default_factory=list)

    def make_topics(self) -> None:
        wanted = catalogue(self.names, self.partitions, self.replication)
        topics.apply(self.admin, wanted, partitions=4, replication=self.replication)

    def worker(self) -> Process:
        """A further worker, started."""
        number = len(self.workers)
        settings = self.folder / f"worker{number}.json"
        given = {
            "bootstrap": self.bootstrap,
            "group": self.names.group,
            "sources": self.names.sources,
            "folder": str(self.folder / f"worker{number}"),
            "partitions": self.partitions,
            "replication": self.replication,
            "session_seconds": self.session_seconds,
            "tick_seconds": self.tick_seconds,
            "fleet_seconds": self.fleet_seconds,
            "learning": self.learning,
            "horizon_ms": self.horizon_ms,
            "retention_ms": self.retention_ms,
            "lateness_ms": self.lateness_ms,
            "send_ms": self.send_ms,
            "accept_loss": self.accept_loss,
            "stale_seconds": self.stale_seconds,
            "checkpoint_key": self.checkpoint_key,
        }
        settings.write_text(json.dumps(given))
        made = Process(settings, self.folder / f"worker{number}.log")
        self.workers.append(made)
        made.start()
        return made

    def stop(self) -> None:
        for worker in self.workers:
            if worker.running:
                worker.kill()

    def logs(self) -> str:
        return "\n".join(f"--- {worker.log}\n{worker.log.read_text()[-6000:]}" for worker in self.workers)

    async def produce(
        self, topic: str, records: Sequence[tuple[int | None, bytes | None, bytes]], seconds: float = 0
    ) -> None:
        """Write (partition or None, key, value) to a topic, in order, for about `seconds`; outages are waited for."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            linger_ms=20,
            compression_type="zstd",
            enable_idempotence=True,
            request_timeout_ms=900_000,
        )
        await producer.start()
        pause_every = len(records) // 20 + 1
        for number, (partition, key, value) in enumerate(records, 1):
            await producer.send(topic, value, key=key, partition=partition)
            if seconds and number % pause_every == 0:
                await asyncio.sleep(seconds / 20)
        await producer.stop()

    async def ends(self, topic: str, partitions: int) -> dict[TopicPartition, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            await asyncio.sleep(0)
            tps = [TopicPartition(topic, partition) for partition in range(partitions)]
            found: dict[TopicPartition, int] = await consumer.end_offsets(tps)
            return found
        finally:
            await consumer.stop()

    async def read(self, topic: str, partitions: int) -> list[Any]:
        """All records of a topic, partition by partition."""
        records: list[Any] = []
        for partition in range(partitions):
            at = TopicPartition(topic, partition)
            async with LogReader({"bootstrap_servers": self.bootstrap}, at) as log:
                async for fetched in log.read(0, await log.end()):
                    records += fetched
        return records

    async def rows(self) -> dict[int, dict[bytes, bytes]]:
        """What the changelog of each partition amounts to."""
        rows = {}
        for partition in range(self.partitions):
            at = TopicPartition(self.names.changelog, partition)
            fold = Fold({}, Rank(0, 0))
            async with LogReader({"bootstrap_servers": self.bootstrap}, at) as log:
                async for records in log.read(0, await log.end()):
                    for record in records:
                        fold.add(record)
            rows[partition] = fold.rows
        return rows

    async def settled(self) -> bool:
        """Whether all input is applied: sources committed to their ends, positions at the events' ends."""
        for source in self.names.sources:
            if not await self.committed(source, 4):
                return False
        # The ends first: to read long changelogs takes longer than the time between two ticks.
        ends = await self.ends(self.names.events, self.partitions)
        rows = await self.rows()
        for at, end in ends.items():
            stored = rows[at.partition].get(POSITION)
            if (orjson.loads(stored)["offset"] if stored else 0) < end:
                return False
        return True

    async def committed(self, topic: str, partitions: int) -> bool:
        """Whether the workers have committed all that a topic holds."""
        try:
            committed = self.admin.list_group_offsets(self.names.group)[self.names.group]
        except KafkaError:  # the coordinator is not there yet
            return False
        ends = await self.ends(topic, partitions)
        return all(at in committed and committed[at].offset >= end for at, end in ends.items() if end)

    async def settle(self, seconds: float = PATIENCE) -> None:
        """Wait until all input is applied."""
        end = time.monotonic() + seconds
        while not await self.settled():
            assert time.monotonic() < end, f"not settled after {seconds} s\n{self.logs()}"
            await asyncio.sleep(0.5)

    async def rows_of_core(self) -> list[dict[bytes, bytes]]:
        """Rows that a detector is made of, for each partition."""
        found = (await self.rows()).values()
        return [{key: rows[key] for key in rows if not key.startswith(b"\x00")} for rows in found]

    async def state(self) -> dict[str, Any]:
        """Graphlets and ledgers as the changelogs have them."""
        return state(Detector.load(Settings(), rows) for rows in await self.rows_of_core())


def state(detectors: Iterable[Detector]) -> dict[str, Any]:
    """Graphlets (with outcomes) and ledgers of several detectors, by id and by pipeline.

    A pipeline held by two of them, that is a torn one, is an error.
    """
    graphlets: dict[str, Any] = {}
    ledgers: dict[str, Any] = {}
    for detector in detectors:
        for graphlet in detector.graphlets():
            assert graphlet["graphlet"] not in graphlets
            graphlets[graphlet["graphlet"]] = graphlet
        for name in detector.pipelines:
            assert name not in ledgers
            sums = detector.ledger(name)
            ledgers[name] = (sums.useful, sums.wasted, sums.pending, sums.unattributed, sums.wasted_by)
    return {"graphlets": graphlets, "ledgers": ledgers}


def replay(messages: Iterable[bytes], learner: Learner | None = None) -> tuple[Detector, list[Output]]:
    """One detector over all messages in order, without Kafka, and its outputs: what a cluster must equal."""
    detector = Detector(Settings(), learner)
    return detector, [output for message in messages for output in detector.step(native.decode(message))]
