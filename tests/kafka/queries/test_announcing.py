"""A worker tells in the directory what it has opened, whatever Kafka does, and takes it back when it ends in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.queries import announcing
from stream_app.kafka.queries.announcing import Announcer
from stream_app.kafka.queries.directory import Place, read_entry

HERE = Place("worker-1:4711", "a life")


@dataclass
class Kafka:
    """The directory in memory, and what goes wrong."""

    #: Partition -> its entries, and None for one that was taken back.
    written: list[tuple[int, Place | None]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    starts: int = 0
    away: bool = False

    async def start(self) -> None:
        self.starts += 1
        self._fail()

    async def send_and_wait(self, topic: str, value: bytes | None, key: bytes, partition: int) -> None:
        assert (topic, partition) == ("g-directory", 0)
        self._fail()
        if self.away:
            await asyncio.Event().wait()
        if value is None:
            self.written.append((int(key), None))
        else:
            found = read_entry(key, value)
            assert found is not None
            assert found[2] == 6
            self.written.append(found[:2])

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


async def until(holds: Callable[[], bool]) -> None:
    """Lets others run until something holds."""
    while not holds():
        await asyncio.sleep(0.001)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    made = Kafka()

    async def give_up(_: object) -> None:
        """There is nothing to close."""

    monkeypatch.setattr(announcing, "make_producer", lambda *_: made)
    monkeypatch.setattr(announcing, "give_up", give_up)
    monkeypatch.setattr(announcing, "_CHECK_SECONDS", 0.001)
    monkeypatch.setattr(announcing, "_RETRY_SECONDS", 0.001)
    return made


def announced(opened: dict[int, object], body: Callable[[Announcer], Awaitable[None]]) -> None:
    """Runs an announcer while something happens."""

    async def run() -> None:
        announcer = Announcer(Connection("kafka:9092"), "g-directory", lambda: opened, HERE, 6)
        running = asyncio.create_task(announcer.run())
        try:
            await body(announcer)
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def test_a_partition_is_told_when_it_was_opened(kafka: Kafka) -> None:
    """Once; one that is opened again, again; of one that others took nothing is said."""
    opened: dict[int, object] = {0: object(), 3: object()}

    async def body(_: Announcer) -> None:
        await until(lambda: len(kafka.written) == 2)
        opened[3] = object()
        opened[5] = object()
        del opened[0]
        await until(lambda: len(kafka.written) == 4)
        opened[0] = object()
        await until(lambda: len(kafka.written) == 5)

    announced(opened, body)

    assert kafka.written == [(number, HERE) for number in (0, 3, 3, 5, 0)]


def test_an_entry_is_written_again_from_time_to_time(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a former owner may come late."""
    monkeypatch.setattr(announcing, "_AGAIN_SECONDS", 0.0)
    announced({1: object()}, lambda _: until(lambda: len(kafka.written) >= 3))

    assert set(kafka.written) == {(1, HERE)}


@pytest.mark.parametrize("error", [KafkaConnectionError(), TopicAuthorizationFailedError("g-directory"), OSError("x")])
def test_it_goes_on_whatever_kafka_says(kafka: Kafka, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """With a new producer; the log has it once."""
    kafka.errors = [error] * 3
    announced({1: object()}, lambda _: until(lambda: bool(kafka.written)))

    assert (kafka.written, kafka.starts) == ([(1, HERE)], 4)
    assert caplog.text.count("g-directory cannot be written") == 1


def test_all_is_taken_back_at_the_end(kafka: Kafka) -> None:
    """And nothing is told any more."""
    opened: dict[int, object] = {0: object(), 3: object()}

    async def body(announcer: Announcer) -> None:
        await until(lambda: len(kafka.written) == 2)
        await announcer.withdraw()
        opened[5] = object()
        for _ in range(5):
            await asyncio.sleep(0.001)

    announced(opened, body)

    assert kafka.written[2:] == [(0, None), (3, None)]


def test_the_end_does_not_wait_for_kafka(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks finds out."""
    monkeypatch.setattr(announcing, "_WITHDRAW_SECONDS", 0.01)

    async def body(announcer: Announcer) -> None:
        await until(lambda: bool(kafka.written))
        kafka.away = True
        await announcer.withdraw()
        kafka.away, kafka.errors = False, [KafkaConnectionError()]
        await announcer.withdraw()

    announced({0: object()}, body)

    assert kafka.written == [(0, HERE)]


def test_what_was_never_told_is_not_taken_back(kafka: Kafka) -> None:
    """Before Kafka was reached there is nothing to do."""
    announcer = Announcer(Connection("kafka:9092"), "g-directory", lambda: {0: object()}, HERE, 6)
    asyncio.run(announcer.withdraw())

    assert not kafka.written
