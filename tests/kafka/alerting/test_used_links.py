"""Whichever notifier is asked: a link is used once, and a flag is quiet for all."""

from __future__ import annotations

import asyncio
import random

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.alerts.quiet import Quiet
from stream_app.alerts.saved import AlertStoreError
from stream_app.kafka.alerting import in_time
from tests.alerts.records import NOW
from tests.kafka.alerting.simulated_topic import Topic
from tests.kafka.alerting.test_subscription_log import Notifier, running, settled, subscription

LATER = 1 << 52


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=8), st.integers(0, 1_000))
def test_of_several_uses_one_counts(who: list[int], seed: int) -> None:
    """Whoever asks, all at once; and nobody may use it later, after whatever compaction."""

    async def body() -> None:
        draw, topic = random.Random(seed), Topic()
        notifiers = [Notifier(topic, draw=draw) for _ in range(3)]
        async with running(*notifiers):
            won = await asyncio.gather(*(notifiers[each].log.links.claim("n", LATER) for each in who))
            await settled(topic, *notifiers)
            assert sum(won) == 1
            assert [await each.log.links.used("n") for each in notifiers] == [True] * 3
        log = topic.copy()
        log.compact(draw.randint(0, topic.end))
        reader = Notifier(log, draw=draw)
        async with running(reader):
            await settled(log, reader)
            assert not await reader.log.links.claim("n", LATER)

    asyncio.run(body())


def test_a_use_that_came_to_nothing_may_be_repeated() -> None:
    """By anybody, once."""

    async def body() -> None:
        topic = Topic()
        first, second = Notifier(topic), Notifier(topic)
        async with running(first, second):
            assert await first.log.links.claim("n", LATER)
            assert not await second.log.links.claim("n", LATER)
            await first.log.links.release("n")
            assert await second.log.links.claim("n", LATER)
            assert not await first.log.links.claim("n", LATER)

    asyncio.run(body())


def test_expired_links_are_deleted_by_and_by() -> None:
    """Nobody can use them; subscriptions in the topic are left alone."""

    async def body() -> None:
        topic = Topic()
        notifier = Notifier(topic)
        async with running(notifier):
            await notifier.log.write("s", subscription())
            for number in range(25):
                await notifier.log.links.claim(f"old{number}", 1)
            await notifier.log.links.claim("new", LATER)
            await settled(topic, notifier)
            topic.compact(topic.end)
            held = {each.key for each in topic.records if each.value is not None}
            assert held == {b"s", b"link:new"}
            assert list(notifier.names()) == ["s"]

    asyncio.run(body())


def test_a_link_is_not_followed_while_kafka_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may have used it."""
    monkeypatch.setattr(in_time, "SECONDS", 0.05)

    async def body() -> None:
        topic = Topic()
        notifier = Notifier(topic)
        async with running(notifier):
            await settled(topic, notifier)
            topic.away = True
            with pytest.raises(AlertStoreError):
                await notifier.log.links.claim("n", LATER)
            topic.away = False
            topic.errors["send"] = [KafkaConnectionError()]
            with pytest.raises(AlertStoreError):
                await notifier.log.links.claim("m", LATER)

    asyncio.run(body())


def test_a_quiet_flag_is_quiet_for_all_notifiers() -> None:
    """The last word on it counts, also for who begins later; it is no subscription."""
    snoozed, muted = Quiet(NOW, "ann: tomorrow", LATER), Quiet(None, "bob: known", LATER)

    async def body() -> None:
        topic = Topic()
        first, second = Notifier(topic), Notifier(topic)
        async with running(first, second):
            await first.log.quiet.put("s", "p/run:r1", snoozed)
            await second.log.quiet.put("s", "p/run:r1", muted)
            await second.log.quiet.put("t", "p/run:r1", Quiet(None, "old", 1))
            await settled(topic, first, second)
            topic.append(b"quiet:s/p/run:r2", b"{}")
            topic.append(b"quiet:s/p/run:r3", b'["soon",1,2]')
            topic.append(b"quiet:s/p/run:r4", b"\xff")
            topic.compact(topic.end)
            reader = Notifier(topic)
            async with running(reader):
                await settled(topic, first, second, reader)
                for each in (first, second, reader):
                    assert each.log.quiet.of("s", "p/run:r1") == muted
                    assert each.log.quiet.of("s", "p/run:r2") is None
                    assert each.log.quiet.of("s", "p/run:r3") is None
                    assert not each.names()
                await reader.log.quiet.put("s", "p/run:r5", snoozed)
                await settled(topic, first, second, reader)
                assert first.log.quiet.of("t", "p/run:r1") is None

    asyncio.run(body())
