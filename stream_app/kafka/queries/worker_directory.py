"""What `serve` must know of workers to ask them: the directory, and the labelled graphlets for comparisons."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import closing

import orjson
from aiokafka import TopicPartition

from stream_app import wire
from stream_app.errors import StateError
from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.placement import partition_of_key
from stream_app.kafka.clients.retry import Problem, cause
from stream_app.kafka.clients.topics import Names, find
from stream_app.kafka.clients.whole_log import WholeLog
from stream_app.kafka.queries.directory import Directory, Place
from stream_app.kafka.records import Record
from stream_app.kafka.state.changelog import LogReader
from stream_app.provenance.nearest import PastStage, PastStages

log = logging.getLogger(__name__)

#: Examples that are read at the start: the latest, which fill what is kept of them.
EXAMPLES_MAX = 40_000
#: Examples learned between two turns of the event loop.
_YIELD_EVERY = 20
#: Seconds between two attempts to read a topic.
_RETRY_SECONDS = 5.0

_Take = Callable[[Sequence[Record], int], Awaitable[None]]


class WorkerDirectory:
    """Reads the directory and the examples.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._directory = Directory()
        self._past = PastStages()
        self._examples: WholeLog | None = None

    @property
    def partitions(self) -> int:
        """Partitions of all workers; 0 while none has told."""
        return self._directory.partitions

    def place(self, number: int) -> Place | None:
        """Where the worker answers that opened a partition last; None where that is not known."""
        return self._directory.place(number)

    async def changed(self) -> None:
        """Returns when further entries were read."""
        await self._directory.changed()

    def partition_of(self, pipeline: str) -> int:
        """The partition of a pipeline."""
        return partition_of_key(pipeline.encode(errors="replace"), self.partitions)

    def past(self, groups: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[PastStage]] | None:
        """The labelled stages of pipelines and stages; None while the examples have not been read."""
        if self._examples is None or not self._examples.caught_up:
            return None
        return {group: self._past.of(*group) for group in groups}

    async def run(self) -> None:
        """Reads until cancelled."""
        await asyncio.gather(
            self._follow(self._names.directory, self._read_directory),
            self._follow(self._names.examples, self._read_examples),
        )

    async def _follow(self, topic: str, read: Callable[[], Awaitable[None]]) -> None:
        """Reads a topic, from its beginning again where that fails."""
        problem = Problem(log)
        while True:
            try:
                if await asyncio.to_thread(self._exists, topic):
                    problem.report("")
                    await read()
                problem.report(f"topic {topic} does not exist: run `stream-app topics apply`")
            except UnreachableError:
                pass  # whoever reads the verdicts logs that
            except Exception as error:  # whatever it is, questions that do not need it are answered
                problem.report(f"{topic} cannot be read: {cause(error)}")
            await asyncio.sleep(_RETRY_SECONDS)

    def _exists(self, topic: str) -> bool:
        with closing(self._connection.admin()) as admin:
            return bool(find(admin, [topic]))

    async def _read_directory(self) -> None:
        async def take(records: Sequence[Record], _: int) -> None:
            self._directory.take(records)

        await WholeLog(self._connection, self._names.directory, take).run()

    async def _read_examples(self) -> None:
        topic = self._names.examples
        async with LogReader(self._connection.client(), TopicPartition(topic, 0)) as reader:
            start = max(await reader.begin(), await reader.end() - EXAMPLES_MAX)
        self._past = PastStages()
        self._examples = WholeLog(self._connection, topic, self._learn, start)
        await self._examples.run()

    async def _learn(self, records: Sequence[Record], _: int) -> None:
        for number, record in enumerate(records, 1):
            try:
                self._past.learn(wire.example_from_dict(orjson.loads(record.value or b"")))
            except (StateError, orjson.JSONDecodeError, TypeError, ArithmeticError):
                log.warning("the record at offset %d of %s is no example", record.offset, record.topic)
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
