"""All processes of a group have the same kill switch, and whoever cannot read it stops nothing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from stream_app.acting.reasons import Why
from stream_app.acting.switch import FLEET, Off
from stream_app.alerts.saved import AlertStoreError, AuditEntry
from stream_app.kafka.alerting import in_time
from stream_app.kafka.alerting.log_entries import LoggedAudit, read_entry
from stream_app.kafka.alerting.switch_log import ACTING, LOOK_SECONDS, STALE_SECONDS, SwitchLog
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.state.outbox import Message
from tests.alerts.records import NOW
from tests.kafka.alerting.simulated_topic import Topic
from tests.kafka.alerting.test_subscription_log import VAULT, Notifier, running, settled, subscription
from tests.support.kafka_records import record

NAMES = Names("log")


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(test(*args, **named))

    return run


def off(pattern: str, reason: str = "an outage") -> Off:
    return Off(pattern, "ann", reason, NOW)


class Process(Notifier):
    """What one process has of the switch."""

    def __init__(self, topic: Topic, draw: random.Random | None = None) -> None:
        super().__init__(topic, VAULT, draw)
        self.topic = topic
        self.now = 0.0
        self.audit: list[AuditEntry] = []
        self.switch = SwitchLog(NAMES, clock=lambda: self.now)
        self.log._on_acting = self.switch.take
        self.switch.attach(self.log.log, self.send)

    async def send(self, messages: Iterable[Message]) -> None:
        """Sends what `turn` does to the two topics."""
        self.topic.failure("send")
        for each in messages:
            if each.topic == NAMES.subscriptions:
                self.topic.append(each.key, each.value)
            else:
                entry = read_entry(1, each.value or b"")
                assert isinstance(entry, LoggedAudit)
                self.audit.append(entry.entry)

    async def turn(self, pattern: str, *, is_off: bool) -> None:
        await self.switch.turn(pattern, off(pattern) if is_off else None, AuditEntry(NOW, "ann", "acting", pattern))

    def why(self, pipeline: str = "ads") -> Why | None:
        found = self.switch.switch.refusal(pipeline)
        return found.why if found is not None else None


@contextlib.asynccontextmanager
async def processes(topic: Topic, count: int) -> AsyncIterator[list[Process]]:
    """Some that have read the topic to its end."""
    made = [Process(topic, random.Random(number)) for number in range(count)]
    async with running(*made):
        for each in made:
            await each.switch.read_to_end()
        yield made


@in_a_loop
async def test_what_one_switches_off_is_off_for_all() -> None:
    """And for those that begin later, whatever compaction has left; subscriptions are as they were."""
    topic = Topic()
    async with processes(topic, 3) as made:
        await made[0].log.write("s", subscription())
        for number, (pattern, is_off) in enumerate([(FLEET, True), ("ads", True), ("a*", True), (FLEET, False)]):
            await made[number % 3].turn(pattern, is_off=is_off)
        await settled(topic, *made)
        assert [each.switch.switch.off for each in made] == [[off("a*"), off("ads")]] * 3
        assert [(each.why(), each.why("bids")) for each in made] == [(Why.SWITCHED_OFF, None)] * 3
        assert [each.names() for each in made] == [{"s": ("first", 1)}] * 3
        assert [[each.subject for each in process.audit] for process in made] == [[FLEET, FLEET], ["ads"], ["a*"]]

    for before in range(topic.end + 1):
        kept = topic.copy()
        kept.compact(before)
        async with processes(kept, 1) as (late,):
            assert late.switch.switch.off == [off("a*"), off("ads")]


@in_a_loop
async def test_of_two_turns_at_the_same_time_the_later_in_the_topic_counts() -> None:
    """For everybody."""
    topic = Topic()
    async with processes(topic, 2) as made:
        turns = [made[number % 2].turn("ads", is_off=number % 3 != 0) for number in range(20)]
        await asyncio.gather(*turns)
        await settled(topic, *made)
        last = next(each for each in reversed(topic.records) if each.key == b"acting:ads")

        assert [each.why() is not None for each in made] == [last.value is not None] * 2


@in_a_loop
async def test_a_turn_holds_here_once_it_is_answered() -> None:
    topic = Topic()
    async with processes(topic, 1) as (process,):
        for is_off in (True, False, True):
            await process.turn(FLEET, is_off=is_off)
            assert process.why() == (Why.SWITCHED_OFF if is_off else None)


@in_a_loop
async def test_a_switch_that_was_not_read_stops_nothing() -> None:
    """Before the end of the topic was reached, and where it was not reached for some seconds."""
    topic = Topic()
    fresh = SwitchLog(NAMES)
    found = fresh.switch.refusal("ads")
    assert found is not None
    assert (found.why, "topic log-subscriptions has not been read yet" in found.words) == (Why.SWITCH_UNKNOWN, True)
    with pytest.raises(AlertStoreError, match="has not been read yet"):
        await fresh.turn(FLEET, None, AuditEntry(NOW, "ann", "acting", FLEET))

    async with processes(topic, 1) as (process,):
        assert process.why() is None
        process.now = STALE_SECONDS
        assert process.why() is None
        process.now += 0.1
        assert process.why() is Why.SWITCH_UNKNOWN
        await process.switch.read_to_end()
        assert process.why() is None


@in_a_loop
async def test_reading_counts_from_when_the_end_was_asked_for() -> None:
    """What was appended while it was read is not known to be read."""
    async with processes(Topic(), 1) as (process,):
        asking = asyncio.create_task(process.switch.read_to_end())
        await asyncio.sleep(0)
        process.now = STALE_SECONDS + 1
        await asking

        assert process.why() is Why.SWITCH_UNKNOWN


def test_looks_are_often_enough() -> None:
    """A look that takes some seconds makes no switch unknown."""
    assert 3 * LOOK_SECONDS < STALE_SECONDS


@pytest.mark.parametrize("value", [b"", b"{", b"7", b"{}", b'{"pipeline": "ads"}', b"\xff"])
@in_a_loop
async def test_a_record_that_cannot_be_read_is_off(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Until somebody switches its pattern on."""
    topic = Topic()
    async with processes(topic, 1) as (process,):
        with caplog.at_level(logging.ERROR):
            topic.append(f"{ACTING}a*".encode(), value)
            await process.switch.read_to_end()
        assert (process.why(), process.why("bids")) == (Why.SWITCHED_OFF, None)
        assert "counts as off" in caplog.text
        await process.turn("a*", is_off=False)
        assert process.why() is None


def test_the_pattern_of_the_key_counts() -> None:
    """Whatever the value says."""
    log = SwitchLog(NAMES, clock=lambda: 0.0)
    log.take(record(0, orjson.dumps(off("bids").to_dict()), key=b"acting:ads"))

    assert [each.pattern for each in log.switch.off] == ["ads"]


@in_a_loop
async def test_what_kafka_does_not_take_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in time, or not at all; nobody waits for ever."""
    topic = Topic()
    async with processes(topic, 1) as (process,):
        topic.errors["send"] = [TopicAuthorizationFailedError("log")]
        with pytest.raises(AlertStoreError, match=r"Kafka does not take the change: .*TopicAuthorizationFailed"):
            await process.turn(FLEET, is_off=True)
        monkeypatch.setattr(in_time, "SECONDS", 0.05)
        topic.errors["end_offsets"] = [KafkaConnectionError()] * 1000
        with pytest.raises(AlertStoreError, match="it may yet"):
            await process.turn(FLEET, is_off=True)
