"""How fetched records become batches, and when they are read."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.kafka.engine.transport import BatchConsumer
from stream_app.kafka.records import split
from tests.support.kafka_records import record


def test_a_batch_is_bounded_in_bytes() -> None:
    """Records are cut where the next one would pass the bound, in order."""
    batches = split([record(n, b"x" * 40, key=b"") for n in range(5)], limit_bytes=100)

    assert [[r.offset for r in batch.records] for batch in batches] == [[0, 1], [2, 3], [4]]
    assert [batch.end for batch in batches] == [2, 4, 5]


def test_a_record_over_the_bound_stands_alone() -> None:
    """It is handed over all the same."""
    batches = split([record(0, b"x"), record(1, b"x" * 200), record(9, None)], limit_bytes=100)

    assert [[r.offset for r in batch.records] for batch in batches] == [[0], [1], [9]]
    assert batches[-1].end == 10


def test_nothing_makes_no_batch() -> None:
    """There is no empty batch."""
    assert split([]) == []


def test_faust_judges_no_partition(consumer: Any) -> None:
    """It would call those stuck that were assigned again a moment ago, in an error each."""
    asked: list[TP] = []
    consumer._thread = SimpleNamespace(verify_event_path=lambda _, tp: asked.append(tp))

    consumer.verify_event_path(600.0, TP("g-events", 3))

    assert asked == []


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A consumer of an app in the middle of its first rebalance; Faust's own parts do nothing."""

    async def nothing(*_: object) -> None:
        pass

    class Consumer(BatchConsumer):
        app: Any = SimpleNamespace(rebalancing_count=1)
        transport: Any = SimpleNamespace(positions=dict)

        def __init__(self) -> None:
            """Without a transport."""
            self._handed, self._finished, self._reached, self._stuck = {}, {}, {}, set()
            self._begun = 0
            self._renewed = set()
            self._read_offset = {}
            self._committed_offset = {}
            self.sought, self.committed = [], []

        def assignment(self) -> set[TP]:
            return {TP("g-events", 3)}

        def highwater(self, tp: TP) -> int:  # noqa: ARG002
            return 7

        async def seek_wait(self, positions: dict[TP, int]) -> None:
            self.sought.append(positions)

        async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
            return dict.fromkeys(partitions, 5)

        async def _commit(self, offsets: dict[TP, int]) -> bool:
            self.committed.append(offsets)
            return True

    monkeypatch.setattr(driver.Consumer, "perform_seek", nothing)
    monkeypatch.setattr(driver.Consumer, "on_partitions_assigned", nothing)
    return Consumer()


def test_nothing_is_read_when_the_next_rebalance_has_begun(consumer: Any) -> None:
    """Faust takes it for what it is, and waits for the next assignment; then it reads on."""

    async def body() -> None:
        await consumer.on_partitions_assigned(set(), 1)
        await consumer.perform_seek()
        consumer.app.rebalancing_count += 1
        with pytest.raises(RebalanceAgain):
            await consumer.perform_seek()
        await consumer.on_partitions_assigned(set(), 2)
        await consumer.perform_seek()

    asyncio.run(body())


def test_an_assignment_counts_before_faust_acts_on_it(consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust may restore and seek while it still tells everybody of the assignment; nothing would come after that."""

    async def seek(self: Any, *_: object) -> None:
        await self.perform_seek()

    monkeypatch.setattr(driver.Consumer, "on_partitions_assigned", seek)
    asyncio.run(consumer.on_partitions_assigned(set(), 1))

    assert consumer._begun == consumer.app.rebalancing_count == 1


def test_a_partition_knows_how_far_it_is_before_anything_is_read(consumer: Any) -> None:
    """One in which nothing comes after a rebalance is caught up, and gets its ticks, however busy others are."""
    tp = TP("g-events", 3)
    consumer.transport.positions = lambda: {tp: 7, TP("g-events", 4): 5}
    consumer._begun = 1
    asyncio.run(consumer.perform_seek())

    assert consumer.lag(tp) == 0


def test_what_nothing_is_committed_of_is_read_from_its_beginning(consumer: Any) -> None:
    """Faust seeks to committed offsets above 0 alone. What was fetched meanwhile and not delivered was lost."""
    done, new, zero, state = TP("source", 0), TP("source", 1), TP("source", 2), TP("g-events", 3)
    consumer.assignment = lambda: {done, new, zero, state}
    consumer.transport.positions = lambda: {state: 0}
    consumer._read_offset = {done: 40, new: None, zero: 0, state: None}
    consumer._begun = 1
    asyncio.run(consumer.perform_seek())

    assert consumer.sought == [{state: 0}, {new: 5, zero: 5}]


def test_a_topic_that_was_made_anew_is_read_from_its_beginning_once(consumer: Any) -> None:
    """Its committed offset is that of the topic before, so the beginning is committed in its place."""
    tp = TP("source", 0)
    consumer.assignment = lambda: {tp, TP("g-events", 3)}
    consumer._begun = 1
    consumer._renewed, consumer._committed_offset = {"source", "another"}, {tp: 300}
    consumer._read_offset = dict.fromkeys(consumer.assignment(), 300)
    for _ in range(2):
        asyncio.run(consumer.perform_seek())

    assert consumer.sought == consumer.committed == [{tp: 0}]
    assert consumer._committed_offset == {}
