"""A notifier reads the whole of a log, through holes and outages, and knows how far it has come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, TopicAuthorizationFailedError

from stream_app.kafka.clients import whole_log
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.whole_log import WholeLog
from stream_app.kafka.records import Record
from tests.kafka.alerting.simulated_topic import Consumer, Topic

CONNECTION = Connection("kafka:9092")


class Reading:
    """A log that is read, and what was taken of it."""

    def __init__(self, topic: Topic, monkeypatch: pytest.MonkeyPatch, start: int = 0, piece: int = 1 << 30) -> None:
        self.topic = topic
        self.offsets: list[int] = []
        self.positions: list[int] = []
        monkeypatch.setattr(whole_log, "AIOKafkaConsumer", lambda **_: Consumer(topic, lambda: piece))
        self.log = WholeLog(CONNECTION, "log", self.take, start)

    async def take(self, records: Sequence[Record], position: int) -> None:
        """Keeps the offsets."""
        self.offsets += [each.offset for each in records]
        assert position > self.log.position or (position < self.log.position and not records)
        self.positions.append(position)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Reads while the context lasts."""
        task = asyncio.create_task(self.log.run())
        try:
            async with asyncio.timeout(20):
                yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def filled(count: int) -> Topic:
    topic = Topic()
    for number in range(count):
        topic.append(b"%d" % (number % 3), b"v%d" % number)
    return topic


def run(body: Callable[[], Awaitable[None]]) -> None:
    """Runs a test without pauses between attempts."""
    asyncio.run(body())  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt follows the one before at once."""

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("stream_app.kafka.clients.retry.retry.__kwdefaults__", {**retry_defaults(), "sleep": sleep})


def retry_defaults() -> dict[str, Any]:
    return dict(whole_log.retry.__kwdefaults__)


def test_reading_to_the_end_waits_for_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks before the reader has begun waits, and then has all of the log."""

    async def body() -> None:
        reading = Reading(filled(5), monkeypatch, piece=2)
        waits = [asyncio.create_task(reading.log.read_to_end()) for _ in range(3)]
        async with reading.running():
            await asyncio.gather(*waits)
            assert reading.offsets == [0, 1, 2, 3, 4]
            await reading.log.read_to_end()

    run(body)


def test_it_has_caught_up_when_it_has_what_was_there_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty log is read at once."""

    async def body() -> None:
        for count in (0, 4):
            reading = Reading(filled(count), monkeypatch, piece=1)
            assert not reading.log.caught_up
            async with reading.running():
                await reading.log.read_to_end()
                while not reading.log.caught_up:
                    await asyncio.sleep(0)
                assert reading.log.position == count

    run(body)


def test_waits_end_in_the_order_of_their_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each when its offset is reached and not before; one that was given up is forgotten."""

    async def body() -> None:
        topic = filled(1)
        reading = Reading(topic, monkeypatch, piece=1)
        ended: list[int] = []

        async def wait(position: int) -> None:
            await reading.log.reached(position)
            assert reading.log.position >= position
            ended.append(position)

        waits = {position: asyncio.create_task(wait(position)) for position in (4, 2, 3, 1, 9)}
        async with reading.running():
            await waits[1]
            waits[3].cancel()
            for _ in range(3):
                topic.append(b"k", b"v")
            await waits[4]
            assert ended == [1, 2, 4]
            assert not waits[9].done()
            waits[9].cancel()

    run(body)


def test_holes_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one at the end, where no record tells of it."""

    async def body() -> None:
        topic = filled(9)
        topic.compact(9)
        topic.records.pop()
        reading = Reading(topic, monkeypatch)
        async with reading.running():
            await reading.log.read_to_end()
            assert (reading.offsets, reading.log.position) == ([6, 7], 9)

    run(body)


def test_a_beginning_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Reading goes on with what is left."""

    async def body() -> None:
        topic = filled(9)
        topic.truncate(5)
        reading = Reading(topic, monkeypatch, start=2)
        async with reading.running():
            await reading.log.read_to_end()
            assert reading.offsets == [5, 6, 7, 8]

    run(body)
    assert [each.message for each in caplog.records] == ["offsets 2 to 4 of log were gone before they were read"]


def test_an_end_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What is written from there on is read: nothing waits until the log is as long as it was."""

    async def body() -> None:
        topic = filled(3)
        reading = Reading(topic, monkeypatch, start=50)
        async with reading.running():
            while reading.log.position != 3:
                await asyncio.sleep(0)
            topic.append(b"k", b"v")
            await reading.log.reached(4)
            assert (reading.offsets, reading.positions) == ([3], [3, 4])

    run(body)
    assert [each.message for each in caplog.records] == [
        "log ends at offset 3 and was read up to 50: Kafka has lost its end"
    ]


@pytest.mark.parametrize("call", ["start", "end_offsets", "getmany", "position"])
def test_an_outage_at_any_call_is_waited_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    """Nothing is left out or taken twice, and the outage is told once."""

    async def body() -> None:
        topic = filled(5)
        topic.errors[call] = [KafkaConnectionError(), KafkaConnectionError(), KafkaTimeoutError()][:2]
        reading = Reading(topic, monkeypatch, piece=2)
        async with reading.running() as task:
            await reading.log.read_to_end()
            topic.errors[call] = [KafkaConnectionError()] if call != "start" else []
            topic.append(b"k", b"v")
            await reading.log.read_to_end()
            assert not task.done()
            assert reading.offsets == [0, 1, 2, 3, 4, 5]

    run(body)
    assert {each.levelname for each in caplog.records} == {"ERROR"}
    assert len(caplog.records) == (1 if call == "start" else 2)


@pytest.mark.parametrize("call", ["start", "end_offsets", "getmany"])
def test_another_error_ends_it(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A log that may not be read is a reason to end the process."""

    async def body() -> None:
        topic = filled(1)
        topic.errors[call] = [TopicAuthorizationFailedError("log")]
        async with Reading(topic, monkeypatch).running() as task:
            with pytest.raises(TopicAuthorizationFailedError):
                await task

    run(body)
