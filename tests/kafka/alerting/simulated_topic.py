"""A topic of one partition in memory, its producers and its readers, for what notifiers read whole."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from tests.support.kafka_records import record


class Topic:
    """The records, and what goes wrong."""

    def __init__(self) -> None:
        self.records: list[ConsumerRecord[Any, Any]] = []
        self.begin = self.end = 0
        #: Name of a call to Kafka -> what its next calls raise.
        self.errors: dict[str, list[Exception]] = {}
        self.calls: list[str] = []
        #: Whether what is sent is kept back, as by a broker that is away.
        self.away = False
        self._news = asyncio.Event()

    def append(self, key: bytes | None, value: bytes | None, headers: Any = ()) -> int:
        """Appends a record; its offset."""
        self.records.append(record(self.end, value, key=key, headers=tuple(headers), topic="log"))
        self.end += 1
        self.wake()
        return self.end - 1

    def wake(self) -> None:
        """Lets readers look again."""
        self._news.set()
        self._news = asyncio.Event()

    def compact(self, before: int) -> None:
        """Removes what a later record of the same key follows, as far as an offset."""
        last = {each.key: each.offset for each in self.records if each.offset < before}
        self.records = [each for each in self.records if each.offset >= before or last[each.key] == each.offset]

    def truncate(self, begin: int) -> None:
        """Deletes the beginning, as retention does."""
        self.records = [each for each in self.records if each.offset >= begin]
        self.begin = begin
        self.wake()

    def copy(self) -> Topic:
        """The same records in another topic."""
        made = Topic()
        made.records, made.begin, made.end = list(self.records), self.begin, self.end
        return made

    def failure(self, call: str) -> None:
        """Raises what is due for a call."""
        self.calls.append(call)
        if self.errors.get(call):
            raise self.errors[call].pop(0)

    async def news(self, seconds: float) -> None:
        """Returns when something was appended, or after a time."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass


class Consumer:
    """What `WholeLog` needs of a consumer; like the real one it answers nothing before it was started."""

    def __init__(self, topic: Topic, piece: Callable[[], int] = lambda: 1 << 30) -> None:
        self._topic = topic
        self._piece = piece
        self._started = False
        self._position = 0

    async def start(self) -> None:
        await asyncio.sleep(0)
        self._topic.failure("start")
        self._started = True

    async def stop(self) -> None:
        self._started = False

    def assign(self, _: list[TopicPartition]) -> None:
        assert self._started

    def seek(self, _: TopicPartition, offset: int) -> None:
        self._position = offset

    async def position(self, _: TopicPartition) -> int:
        self._topic.failure("position")
        return self._position

    async def end_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        assert self._started, "AttributeError: 'NoneType' object has no attribute 'end_offsets'"
        await asyncio.sleep(0)
        self._topic.failure("end_offsets")
        return dict.fromkeys(asked, self._topic.end)

    async def beginning_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        self._topic.failure("beginning_offsets")
        return dict.fromkeys(asked, self._topic.begin)

    async def getmany(self, at: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        topic = self._topic
        await asyncio.sleep(0)
        topic.failure("getmany")
        if self._position >= topic.end:
            await topic.news(timeout_ms / 1000)
        if not topic.begin <= self._position <= topic.end:
            raise OffsetOutOfRangeError({at: self._position})
        found = [each for each in topic.records if each.offset >= self._position]
        piece = found[: self._piece()]
        self._position = piece[-1].offset + 1 if len(piece) < len(found) else topic.end
        return {at: piece}


class Producer:
    """What `SubscriptionLog` needs of a producer: what it sends arrives in order, each after some turns of the loop."""

    def __init__(self, topic: Topic, draw: random.Random | None = None) -> None:
        self._topic = topic
        self._draw = draw or random.Random(0)
        self._sending = asyncio.Lock()
        self._deliveries: list[asyncio.Future[Any]] = []

    async def send(
        self, _: str, value: bytes | None, key: bytes, *, partition: int, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        assert partition == 0
        self._topic.failure("send")
        delivery = asyncio.ensure_future(self._deliver(key, value, headers))
        self._deliveries.append(delivery)
        return asyncio.shield(delivery)  # what was sent arrives, whether or not somebody waits for it

    async def _deliver(self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> Any:
        async with self._sending:
            for _ in range(self._draw.randrange(4)):
                await asyncio.sleep(0)
            while self._topic.away:
                await asyncio.sleep(0.001)
            offset = self._topic.append(key, value, headers)
            for _ in range(self._draw.randrange(4)):
                await asyncio.sleep(0)
            return SimpleNamespace(offset=offset)
