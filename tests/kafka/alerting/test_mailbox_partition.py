"""Every matched record reaches its sink under one id, whoever has its partition, and whatever fails in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.registered import Registered, register
from stream_app.alerts.saved import Changes
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.subscriptions import State, make_subscription
from stream_app.kafka.alerting import mailbox_partition
from stream_app.kafka.alerting.deliveries import Again, Matched, ToDeliver, delivery_of
from stream_app.kafka.alerting.mailbox_partition import MailboxPartition
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import NotifierCounts
from stream_app.kafka.processing.partitioner import TICK
from stream_app.kafka.records import Batch, Record
from stream_app.kafka.state.changelog import ForeignAppendError
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import Restored
from tests.alerts.records import NOW, record
from tests.support.kafka_records import record as kafka_record

NAMES = Names()


def subscription(name: str = "s", **more: Any) -> Registered:
    """A subscription to everything, sent at once."""
    given = {"id": name, "name": name, "owner": "ann", "sink": {"kind": "kafka", "topic": name}}
    return register(make_subscription({**given, "delivery": {"min_hold_seconds": 0}, **more}), NOW)


@dataclass
class Kafka:
    """What is there whoever has the partition: its changelog, the topic of deliveries, the alert log and the sinks."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    outbox: list[Message] = field(default_factory=list)
    position: int = 0
    epoch: int = 0
    records: list[Record] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    subscriptions: dict[str, Registered] = field(default_factory=dict)
    #: Subscriptions that are in their topic, and were not read yet.
    unread: dict[str, Registered] = field(default_factory=dict)
    written: list[tuple[str, Registered | None]] = field(default_factory=list)
    wakes: int = 0
    #: How often the topic of subscriptions was read to its end.
    reads: int = 0
    #: What becomes of the next calls: "", or an error "before" or "after" their effect.
    faults: list[str] = field(default_factory=list)
    #: Lets commits and attempts go on; what the sinks answer.
    commits: asyncio.Event = field(default_factory=asyncio.Event)
    attempts: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Callable[[], Result] = Result
    #: What was in the changelog when each attempt began.
    committed: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.commits.set()
        self.attempts.set()

    def call(self, effect: Callable[[], None]) -> None:
        """A call that may fail."""
        fault = self.faults.pop(0) if self.faults else ""
        if fault != "before":
            effect()
        if fault:
            raise KafkaConnectionError

    def add(self, *deliveries: ToDeliver) -> None:
        """Appends to the topic of deliveries."""
        for each in deliveries:
            message = delivery_of(NAMES.deliveries, each)
            self.records.append(kafka_record(len(self.records), message.value, key=message.key, timestamp=NOW))

    def entries(self, fate: str) -> Counter[str]:
        """The delivery log as it is stored: what is written twice counts once."""
        once = {(each["message"], each["fate"], each["time_ms"], each["attempt"]) for each in self.log}
        return Counter(message for message, each, _, _ in once if each == fate)


class Table:
    """The table of one owner."""

    damaged = 0

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.position = 0
        self.closed = False

    async def restore(self) -> Restored:
        self._kafka.epoch += 1
        self._epoch = self._kafka.epoch
        self.position = self._kafka.position
        return Restored(dict(self._kafka.rows), list(self._kafka.outbox))

    async def commit(self, rows: Sequence[Row], outbox: Sequence[Message], position: int) -> None:
        kafka = self._kafka
        self.position = position
        await kafka.commits.wait()
        if self._epoch != kafka.epoch:
            raise ForeignAppendError

        def effect() -> None:
            for key, value in rows:
                if value is None:
                    kafka.rows.pop(key, None)
                else:
                    kafka.rows[key] = value
            kafka.outbox, kafka.position = list(outbox), position

        kafka.call(effect)

    def close(self) -> None:
        self.closed = True


class Sink:
    """Counts what arrives."""

    def __init__(self, kafka: Kafka, name: str) -> None:
        self._kafka, self._name = kafka, name

    async def send(self, message: Outgoing) -> Result:
        own = message.id.rpartition("@")[0]
        key = f"{self._name}\0message\0{own}".encode()
        self._kafka.committed.append((own, key in self._kafka.rows))
        result = self._kafka.answer()
        if result.succeeded:
            self._kafka.arrived.append(own)
        await self._kafka.attempts.wait()
        return result


class Owner:
    """One process that has the partition."""

    def __init__(self, kafka: Kafka, partitions: int = 1) -> None:
        self.kafka = kafka
        self.table = Table(kafka)
        self.counts = NotifierCounts()
        self.changes: list[Changes] = []
        subscriptions = SimpleNamespace(
            registered=kafka.subscriptions, log=SimpleNamespace(read_to_end=self.read), write=self.write
        )
        self.partition = MailboxPartition(
            0,
            partitions,
            NAMES,
            self.table,  # type: ignore[arg-type]
            subscriptions,  # type: ignore[arg-type]
            lambda save: Notifier(save, lambda each: Sink(kafka, each.subscription.id)),
            self.send,
            self.wake,
            self.counts,
            SimpleNamespace(now_ms=lambda: NOW + kafka.epoch, now=lambda: 0.0, draw=lambda: 0.5),  # type: ignore[arg-type]
            self.changes.append,
        )

    async def read(self) -> None:
        """Reads what subscriptions were made."""
        self.kafka.reads += 1
        await asyncio.sleep(0)
        for name, each in self.kafka.unread.items():
            self.kafka.subscriptions[name] = each
            if self.partition.has(name):
                self.partition.changed(name, each)
        self.kafka.unread.clear()

    async def write(self, name: str, registered: Registered | None) -> None:
        """Writes a subscription."""
        self.kafka.written.append((name, registered))

    async def send(self, messages: Iterable[Message]) -> None:
        """Writes into the alert log."""
        listed = list(messages)
        assert {each.topic for each in listed} <= {NAMES.alert_log}
        if listed:
            self.kafka.call(lambda: self.kafka.log.extend(orjson.loads(each.value or b"") for each in listed))

    async def wake(self, number: int) -> None:
        """Writes a record that says nothing."""
        assert number == 0
        self.kafka.wakes += 1

    async def apply(self, start: int | None = None) -> Batch:
        """Takes what is in the topic from an offset on."""
        batch = Batch(self.kafka.records[self.kafka.position if start is None else start :])
        await self.partition.apply(batch, lambda: True)
        return batch


async def until(holds: Callable[[], object]) -> None:
    """Returns when something holds."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def opened(kafka: Kafka, partitions: int = 1) -> Any:
    """An owner with the partition open."""
    owner = Owner(kafka, partitions)
    try:
        await owner.partition.open()
        yield owner
    finally:
        owner.partition.close()
        await asyncio.sleep(0)


def matched(each: FlagRecord, name: str = "s") -> Matched:
    return Matched(name, each, True, NOW)


def flags(count: int) -> list[FlagRecord]:
    return [record(flag=f"p/run:{number}") for number in range(count)]


def test_what_arrives_was_committed_and_is_logged_once() -> None:
    """Records in order, under the ids of their records."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        kafka.add(*map(matched, [*flags(2), record(2, Change.REVISED, "p/run:0")]))
        async with opened(kafka) as owner:
            batch = await owner.apply()
            assert batch.done
            assert kafka.position == 3
            await until(lambda: kafka.entries("sent").total() == 3)
            assert sorted(kafka.arrived) == ["p/run:0#1", "p/run:0#2", "p/run:1#1"]
            assert [each for each in kafka.arrived if each.startswith("p/run:0")] == ["p/run:0#1", "p/run:0#2"]
            assert all(known for _, known in kafka.committed)
            assert [entry for each in owner.changes for entry in each.deliveries]
            assert owner.counts.commits > 0

    asyncio.run(body())


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(["", "", "before", "after"]), max_size=12), st.integers(1, 3))
def test_a_failure_at_any_step_loses_nothing(faults: list[str], size: int) -> None:
    """Commits and sends of the outbox fail before or after their effect; the next owner goes on."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()}, faults=list(faults))
        wanted = [each.id for each in flags(5)]
        kafka.add(*map(matched, flags(5)))
        async with asyncio.timeout(60):
            while kafka.entries("sent").total() < len(wanted):
                owner = Owner(kafka)
                with contextlib.suppress(KafkaConnectionError):
                    await owner.partition.open()
                    while not owner.partition.needs_restore and kafka.entries("sent").total() < len(wanted):
                        batch = Batch((kafka.records[kafka.position :] or kafka.records)[:size])
                        await owner.partition.apply(batch, lambda: True)
                        await asyncio.sleep(0.001)
                owner.partition.close()
                await asyncio.sleep(0)
        assert set(kafka.arrived) == set(wanted)
        assert kafka.entries("sent") == Counter(wanted)
        assert all(known for _, known in kafka.committed)
        assert kafka.position == 5

    asyncio.run(body())


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_failed_commit_ends_sending_and_asks_once_for_a_restore(fault: str) -> None:
    """The batch is not done, and nothing more is committed or sent."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()}, faults=[fault])
        kafka.add(*map(matched, flags(3)))
        async with opened(kafka) as owner:
            batch = Batch(kafka.records)
            for _ in range(2):
                with pytest.raises(KafkaConnectionError):
                    await owner.partition.apply(batch, lambda: True)
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not batch.done
            assert owner.partition.needs_restore
            assert (kafka.wakes, kafka.arrived) == (1, [])
            assert kafka.position == (0 if fault == "before" else 3)

    asyncio.run(body())


def test_who_was_overtaken_sends_nothing() -> None:
    """Another process has taken the partition over, and this one does not know."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        async with opened(kafka) as owner, opened(kafka):
            kafka.add(*map(matched, flags(2)))
            with pytest.raises(ForeignAppendError):
                await owner.apply()
            assert kafka.arrived == []

    asyncio.run(body())


def test_records_before_the_position_are_skipped() -> None:
    """They were taken, whoever reads them again."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        kafka.add(*(Again("s", each.id, (each,)) for each in flags(2)))
        async with opened(kafka) as owner:
            await owner.apply()
            await until(lambda: len(kafka.arrived) == 2)
            assert (await owner.apply(0)).done
            kafka.add(matched(record(flag="p/run:new")))
            assert (await owner.apply(0)).done
            await until(lambda: len(kafka.arrived) == 3)
            assert kafka.position == 3

    asyncio.run(body())


@pytest.mark.parametrize("delivery", [matched(record()), Again("s", "p/run:r1#1", (record(),))])
def test_what_nobody_is_subscribed_to_is_dropped(delivery: ToDeliver) -> None:
    """The entry is the same however often it is written."""

    async def body() -> None:
        kafka = Kafka()
        kafka.add(delivery)
        for _ in range(2):
            kafka.position = 0
            async with opened(kafka) as owner:
                await owner.apply()
        assert kafka.arrived == []
        assert kafka.entries("dropped") == {"p/run:r1#1": 1}
        assert {each["reason"] for each in kafka.log} == {"the subscription was deleted"}

    asyncio.run(body())


def test_the_subscriptions_are_read_once_for_a_batch() -> None:
    """However many deliveries are for subscriptions that were deleted; each of them is logged."""

    async def body() -> None:
        kafka = Kafka()
        kafka.add(*(matched(each, name) for each in flags(5) for name in ("s", "t")))
        async with opened(kafka) as owner:
            before = kafka.reads
            assert (await owner.apply()).done
            assert kafka.reads == before + 1
            assert kafka.entries("dropped").keys() == {f"p/run:{number}#1" for number in range(5)}

    asyncio.run(body())


def test_a_subscription_that_was_made_a_moment_ago_hears() -> None:
    """Whoever matched the record knew of it before this process."""

    async def body() -> None:
        kafka = Kafka(unread={"s": subscription()})
        async with opened(kafka) as owner:
            kafka.subscriptions.clear()
            owner.partition.changed("s", None)
            kafka.unread["s"] = subscription()
            kafka.add(matched(record()))
            await owner.apply()
            await until(lambda: kafka.arrived == ["p/run:r1#1"])

    asyncio.run(body())


def test_a_subscription_that_is_deleted_while_messages_wait_takes_them_along() -> None:
    """They are given up, and no row is left; one that is paused keeps them."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription("s", state="paused"), "t": subscription("t", state="paused")})
        kafka.add(matched(record()), matched(record(), "t"))
        async with opened(kafka) as owner:
            await owner.apply()
            assert {key.partition(b"\0")[0] for key in kafka.rows} == {b"s", b"t"}
            owner.partition.changed("s", None)
            await until(lambda: {key.partition(b"\0")[0] for key in kafka.rows} == {b"t"})
            owner.partition.changed("t", subscription("t"))
            await until(lambda: kafka.arrived == ["p/run:r1#1"])
            assert kafka.written == []

    asyncio.run(body())


def test_rows_of_a_subscription_that_is_gone_are_deleted() -> None:
    """It was deleted while nobody had the partition."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription("s", state="paused")})
        kafka.add(matched(record()))
        async with opened(kafka) as owner:
            await owner.apply()
        assert kafka.rows
        kafka.subscriptions.clear()
        async with opened(kafka):
            await until(lambda: not kafka.rows)

    asyncio.run(body())


def test_a_sink_that_is_gone_disables_its_subscription_in_the_topic() -> None:
    """All notifiers shall know."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()}, answer=lambda: Result("HTTP 410", gone=True))
        kafka.add(matched(record()))
        async with opened(kafka) as owner:
            await owner.apply()
            await until(lambda: kafka.written)
            ((name, written),) = kafka.written
            assert written is not None
            assert (name, written.version, written.subscription.state) == ("s", 2, State.DISABLED)

    asyncio.run(body())


def test_ticks_and_malformed_records_count_as_read() -> None:
    """A tick wakes; what is none is counted."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        kafka.records += [
            kafka_record(0, b"tick", key=None, headers=((TICK, b""),)),
            kafka_record(1, b"{}", key=b"s"),
            kafka_record(2, b"\xff", key=None),
        ]
        async with opened(kafka) as owner:
            assert (await owner.apply()).done
            assert (owner.counts.malformed, kafka.position, kafka.log) == (2, 3, [])

    asyncio.run(body())


def test_a_batch_of_a_partition_that_is_not_owned_is_not_taken() -> None:
    """Its next owner takes it."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        kafka.add(matched(record()))
        async with opened(kafka) as owner:
            batch = Batch(kafka.records)
            await owner.partition.apply(batch, lambda: False)
            assert (batch.done, kafka.position) == (False, 0)

    asyncio.run(body())


def test_a_batch_during_which_the_partition_is_closed_is_not_done() -> None:
    """Nothing of it was saved."""

    async def body() -> None:
        kafka = Kafka()
        kafka.add(matched(record()))
        async with opened(kafka) as owner:
            applying = asyncio.create_task(owner.apply())
            await asyncio.sleep(0)
            owner.partition.close()
            batch = await applying
            assert (batch.done, kafka.position, kafka.log) == (False, 0, [])

    asyncio.run(body())


def test_closing_during_an_attempt_leaves_the_message_to_the_next_owner() -> None:
    """It is sent again, under the same id."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        kafka.attempts.clear()
        kafka.add(matched(record()))
        async with opened(kafka) as owner:
            await owner.apply()
            await until(lambda: kafka.arrived)
        kafka.attempts.set()
        assert owner.table.closed
        assert kafka.log == []
        async with opened(kafka):
            await until(lambda: kafka.entries("sent"))
        assert kafka.arrived == ["p/run:r1#1"] * 2
        assert kafka.entries("sent") == {"p/run:r1#1": 1}

    asyncio.run(body())


def test_draining_during_a_commit_finishes_it() -> None:
    """What is committed after it has what that commit had: the position never passes rows that are not there."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription("s", delivery={"min_hold_seconds": 3600})})
        async with opened(kafka) as owner:
            kafka.commits.clear()
            kafka.add(matched(record()))
            owner.partition.notifier.deliver("s", record(), NOW, exact=True)
            owner.partition.notifier.reach(1)
            await until(lambda: owner.table.position == 1)  # the notifier itself commits now
            draining = asyncio.create_task(owner.partition.drain())
            for _ in range(5):
                await asyncio.sleep(0)
            kafka.commits.set()
            await draining
            assert kafka.position == 1
            assert b"s\0flag\0p/run:r1" in kafka.rows
            assert not owner.partition.needs_restore

    asyncio.run(body())


def test_draining_waits_for_attempts_and_saves_what_became_of_them() -> None:
    """No message that has arrived is sent again by the next owner."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        kafka.attempts.clear()
        kafka.add(*map(matched, flags(1)))
        async with opened(kafka) as owner:
            await owner.apply()
            await until(lambda: kafka.arrived)
            draining = asyncio.create_task(owner.partition.drain())
            await asyncio.sleep(0.001)
            assert not draining.done()
            kafka.attempts.set()
            await draining
            assert kafka.entries("sent") == {"p/run:0#1": 1}
        async with opened(kafka):
            await asyncio.sleep(0.01)
        assert kafka.arrived == ["p/run:0#1"]

    asyncio.run(body())


def test_draining_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that does not answer does not keep the partition."""
    monkeypatch.setattr(mailbox_partition, "DRAIN_SECONDS", 0.01)

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        kafka.attempts.clear()
        kafka.add(matched(record()))
        async with opened(kafka) as owner:
            await owner.apply()
            await until(lambda: kafka.arrived)
            await owner.partition.drain()
        assert kafka.log == []

    asyncio.run(body())


def test_an_outbox_that_was_not_sent_is_sent_when_the_partition_is_opened() -> None:
    """The entries are those that were committed."""

    async def body() -> None:
        kafka = Kafka(subscriptions={"s": subscription()})
        kafka.add(matched(record()))
        kafka.faults = ["", "", "", "before"]
        async with opened(kafka) as owner:
            await owner.apply()
            await until(lambda: owner.partition.needs_restore or kafka.entries("sent"))
        async with opened(kafka):
            await until(lambda: kafka.entries("sent") == {"p/run:r1#1": 1})
        assert kafka.arrived == ["p/run:r1#1"]

    asyncio.run(body())
