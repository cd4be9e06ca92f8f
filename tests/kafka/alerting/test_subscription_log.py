"""All notifiers have the same subscriptions, in whatever order several of them change one."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.alerts.ownership import subscription_id
from stream_app.alerts.registered import Registered, register, to_row
from stream_app.alerts.saved import AlertStoreError
from stream_app.alerts.secrets import Vault
from stream_app.alerts.subscribers import ConflictError
from stream_app.alerts.subscriptions import make_subscription
from stream_app.errors import OptionsError
from stream_app.kafka.alerting import in_time
from stream_app.kafka.alerting.subscription_log import SubscriptionLog
from stream_app.kafka.clients import whole_log
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.records import Record
from tests.alerts.records import NOW
from tests.kafka.alerting.simulated_topic import Consumer, Producer, Topic

VAULT, OTHER = Vault(b"a key for the tests only"), Vault(b"another key for the tests")
OWNED = subscription_id("ann")


def subscription(name: str = "s", text: str = "first") -> Registered:
    """A subscription with a secret."""
    sink = {"kind": "webhook", "url": "https://e.org"}
    return register(make_subscription({"id": name, "name": text, "owner": "ann", "sink": sink}), NOW)


def changed(registered: Registered, text: str) -> Registered:
    """The next version."""
    return registered.changed(registered.subscription.model_copy(update={"name": text}), NOW)


class Notifier:
    """What one notifier has of the subscriptions."""

    def __init__(self, topic: Topic, vault: Vault = VAULT, draw: random.Random | None = None) -> None:
        chance = draw or random.Random(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(whole_log, "AIOKafkaConsumer", lambda **_: Consumer(topic, lambda: chance.randint(1, 3)))
            self.log = SubscriptionLog(
                Connection("kafka:9092"),
                "log",
                vault,
                Producer(topic, chance),
                self.on_change,  # type: ignore[arg-type]
            )
        self.changes: dict[str, Registered | None] = {}
        self.task = asyncio.create_task(self.log.log.run())

    def on_change(self, name: str, registered: Registered | None) -> None:
        """Keeps what is told of changes."""
        assert self.log.registered.get(name) == registered
        self.changes[name] = registered

    async def write(self, name: str, registered: Registered | None) -> bool:
        """Changes a subscription; whether it came first."""
        try:
            await self.log.write(name, registered)
        except ConflictError:
            return False
        return True

    def names(self) -> dict[str, tuple[str, int]]:
        """Name and version of each subscription."""
        return {name: (each.subscription.name, each.version) for name, each in self.log.registered.items()}


@contextlib.asynccontextmanager
async def running(*notifiers: Notifier) -> AsyncIterator[None]:
    """Ends notifiers afterwards."""
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        for each in notifiers:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in notifiers), return_exceptions=True)


async def settled(topic: Topic, *notifiers: Notifier) -> None:
    """Returns when all have read all, and nobody writes any more."""
    while True:
        end = topic.end
        for each in notifiers:
            await each.log.log.read_to_end()
            while each.log._tasks:
                await asyncio.gather(*each.log._tasks)
        if end == topic.end:
            return


async def late(topic: Topic, before: int, draw: random.Random) -> dict[str, tuple[str, int]]:
    """What a notifier finds that begins after a compaction as far as an offset."""
    log = topic.copy()
    log.compact(before)
    reader = Notifier(log, draw=draw)
    async with running(reader):
        await settled(log, reader)
        return reader.names()


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["create", "change", "change", "delete", "settle"])), max_size=12
)


@settings(deadline=None, max_examples=150)
@given(STEPS, st.integers(0, 1_000), st.sampled_from(["s", OWNED]))
def test_all_have_the_same_in_whatever_order_they_write(steps: list[tuple[int, str]], seed: int, name: str) -> None:
    """Also who begins later, after any compaction. What was answered with success is not undone by another change."""

    async def body() -> None:
        draw, topic = random.Random(seed), Topic()
        notifiers = [Notifier(topic, draw=draw) for _ in range(3)]
        async with running(*notifiers):
            writes: list[tuple[Registered | None, asyncio.Task[bool]]] = []
            for number, (who, step) in enumerate(steps):
                current = notifiers[who].log.registered.get(name)
                wanted: Registered | None = None
                if step == "create":
                    wanted = subscription(name, f"made {number}")
                elif step == "change" and current is not None:
                    wanted = changed(current, f"changed {number}")
                elif step != "delete":
                    await settled(topic, *notifiers)
                    continue
                writes.append((wanted, asyncio.create_task(notifiers[who].write(name, wanted))))
                for _ in range(draw.randrange(6)):
                    await asyncio.sleep(0)
            answers = [(wanted, await task) for wanted, task in writes]
            await settled(topic, *notifiers)

            found = [each.names() for each in notifiers]
            assert found[1:] == found[:-1]
            assert all(each.log.deleted == notifiers[0].log.deleted for each in notifiers)
            won = {(wanted.subscription.name, wanted.version) for wanted, first in answers if wanted and first}
            assert set(found[0].values()) <= won
            assert all(first for wanted, first in answers if wanted is None)
            if not any(wanted is None for wanted, _ in answers):
                versions = [version for _, version in won]
                assert len(versions) == len(set(versions))
                assert max(versions, default=0) == max((version for _, version in found[0].values()), default=0)
            # What is younger than an hour is not compacted: no change that does not count without its confirmation.
            first = max((each.offset for each in topic.records if _is_confirmation(each)), default=-1) + 1
            for before in {0, *range(first, topic.end + 1)}:
                assert await late(topic, before, draw) == found[0], before

    asyncio.run(body())


def _is_confirmation(record: Record) -> bool:
    return any(header == "confirms" for header, _ in record.headers)


def test_one_of_two_changes_of_a_version_wins() -> None:
    """The other writer is told, and the topic ends with the one that counts."""

    async def body() -> None:
        topic = Topic()
        one, other = Notifier(topic), Notifier(topic)
        async with running(one, other):
            made = subscription()
            assert await one.write("s", made)
            await settled(topic, one, other)
            both = await asyncio.gather(
                one.write("s", changed(made, "by one")), other.write("s", changed(made, "by other"))
            )
            await settled(topic, one, other)

            assert sorted(both) == [False, True]
            winner = ("by one" if both[0] else "by other", 2)
            assert one.names() == other.names() == {"s": winner}
            assert await late(topic, topic.end, random.Random(0)) == {"s": winner}
            assert one.log._pending == one.log._refused == set()

    asyncio.run(body())


def test_who_dies_after_a_change_that_does_not_count_leaves_no_trace() -> None:
    """Others confirm what counts, also those that begin afterwards."""

    async def body() -> None:
        topic = Topic()
        made = subscription()
        rows = (made, changed(made, "first"), changed(made, "second"))
        for each in rows:
            topic.append(b"s", to_row(each, VAULT))
        reader = Notifier(topic)
        async with running(reader):
            await settled(topic, reader)
            assert reader.names() == {"s": ("first", 2)}
        assert await late(topic, topic.end, random.Random(0)) == {"s": ("first", 2)}

    asyncio.run(body())


def test_a_change_that_comes_after_a_deletion_does_not_count() -> None:
    """Its writer is told; the owner stays one who is not subscribed again, also after compaction."""

    async def body() -> None:
        topic = Topic()
        one, other = Notifier(topic), Notifier(topic)
        async with running(one, other):
            made = subscription(OWNED)
            await one.write(OWNED, made)
            await settled(topic, one, other)
            deletion = asyncio.create_task(one.write(OWNED, None))
            while topic.records[-1].value is not None and topic.end < 3:
                if topic.records[-1].value == b"deleted":
                    break
                await asyncio.sleep(0)
            assert not await other.write(OWNED, changed(made, "late"))
            assert await deletion
            await settled(topic, one, other)
            assert one.names() == other.names() == {}
            assert one.log.deleted == other.log.deleted == {OWNED}
            log = topic.copy()
            log.compact(log.end)
            reader = Notifier(log)
            async with running(reader):
                await settled(log, reader)
                assert (reader.names(), reader.log.deleted) == ({}, {OWNED})

    asyncio.run(body())


def test_what_compaction_has_left_may_begin_at_any_version() -> None:
    """And is changed further."""

    async def body() -> None:
        topic = Topic()
        topic.append(b"s", to_row(replace(subscription(), version=7), VAULT))
        reader = Notifier(topic)
        async with running(reader):
            await settled(topic, reader)
            assert await reader.write("s", changed(reader.log.registered["s"], "next"))
            assert reader.names() == {"s": ("next", 8)}

    asyncio.run(body())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"{}"),
        (b"\xff\xfe", b"{}"),
        (b"s", b""),
        (b"s", b"{"),
        (b"s", b"[]"),
        (b"s", b"7"),
        (b"s", b'{"subscription": {}}'),
        (b"other", to_row(subscription(), VAULT)),
        (b"s", to_row(subscription(), VAULT).replace(b'"version":1', b'"version":"1"')),
        (b"s", to_row(subscription(), VAULT).replace(b'"version":1', b'"version":null')),
        (b"s", to_row(subscription(), VAULT).replace(b'"webhook"', b'"pigeon"')),
    ],
)
def test_malformed_rows_are_ignored_and_told(key: bytes | None, value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What was there stays."""

    async def body() -> None:
        topic = Topic()
        topic.append(b"t", to_row(subscription("t"), VAULT))
        topic.append(key, value)
        topic.append(b"u", to_row(subscription("u"), VAULT))
        reader = Notifier(topic)
        async with running(reader):
            await settled(topic, reader)
            assert sorted(reader.names()) == ["t", "u"]

    asyncio.run(body())
    assert ["log at offset 1 is ignored" in each.message for each in caplog.records] == [True]


def test_a_notifier_with_another_key_ends_before_it_writes() -> None:
    """The first one to begin decides which key it is, also where there is no subscription yet."""

    async def body() -> None:
        topic = Topic()
        one, other = Notifier(topic), Notifier(topic, OTHER)
        async with running(one, other):
            await one.log.check_key()
            with pytest.raises(OptionsError, match=r"^alerts\.key: .*; give the key"):
                await other.task
            again = Notifier(topic)
            async with running(again):
                await again.log.log.read_to_end()
                await again.log.check_key()
            assert topic.end == 1

    asyncio.run(body())


def test_of_two_keys_at_the_same_moment_the_first_stays() -> None:
    """Compaction keeps the last, which is therefore written again."""

    async def body() -> None:
        topic = Topic()
        topic.append(b"vault:", VAULT.encrypt("x").encode())
        topic.append(b"vault:", OTHER.encrypt("x").encode())
        one = Notifier(topic)
        async with running(one):
            await settled(topic, one)
        topic.compact(topic.end)
        again = Notifier(topic)
        async with running(again):
            await again.log.log.read_to_end()
            await again.log.check_key()
        assert len(topic.records) == 1

    asyncio.run(body())


def test_forgetting_leaves_a_mark_that_names_nobody() -> None:
    """The mark of a deleted subscription of the owner is gone."""

    async def body() -> None:
        topic = Topic()
        one = Notifier(topic)
        async with running(one):
            await one.write(OWNED, subscription(OWNED))
            await one.write(OWNED, None)
            assert one.log.deleted == {OWNED}
            await one.log.forget("sha256:1", [OWNED, "never there"])
            await settled(topic, one)
            assert one.log.deleted == {"sha256:1"}
            log = topic.copy()
            log.compact(log.end)
            assert {each.key for each in log.records if each.value is not None} == {b"sha256:1"}

    asyncio.run(body())


def test_a_change_that_kafka_does_not_take_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not known then what became of it; it counts when it arrives."""
    monkeypatch.setattr(in_time, "SECONDS", 0.01)

    async def body() -> None:
        topic = Topic()
        one = Notifier(topic)
        async with running(one):
            topic.away = True
            with pytest.raises(AlertStoreError, match="it may yet"):
                await one.log.write("s", subscription())
            topic.errors["send"] = [KafkaConnectionError()]
            with pytest.raises(KafkaConnectionError):
                await one.log.write("s", subscription())
            topic.away = False
            while "s" not in one.names():
                await asyncio.sleep(0.001)
            assert one.log._pending == set()

    asyncio.run(body())


def test_changes_are_told_once() -> None:
    """A deletion of what is not there is none."""

    async def body() -> None:
        topic, told = Topic(), []
        one = Notifier(topic)
        one.log._on_change = lambda name, each: told.append((name, each and each.version))
        async with running(one):
            made = subscription()
            await one.write("s", made)
            await one.write("s", changed(made, "next"))
            await one.write("s", None)
            await one.write("s", None)
        assert told == [("s", 1), ("s", 2), ("s", None)]

    asyncio.run(body())
