"""The table of a partition on a real broker: what is saved comes back, and only its owner's word counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from stream_app.kafka.state.changelog import OUTBOX, POSITION, ForeignAppendError, LogReader, Rank, append
from stream_app.kafka.state.local_store import LocalStore
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import PartitionTable, Topics
from tests.broker.broker import Broker
from tests.broker.conftest import MakeTopic

SAID = Message("verdicts", b"p/t", b'{"revision": 1}', (("id", b"p/t#1"),))


class Bench:
    """Makes tables over one changelog, each with a local folder of its own, as workers do."""

    def __init__(self, broker: Broker, changelog: str, folder: Path, producer: AIOKafkaProducer) -> None:
        self.client = {"bootstrap_servers": broker.bootstrap}
        self.changelog, self.folder, self.producer = changelog, folder, producer
        self.at = TopicPartition(changelog, 0)
        self.changelog_id, self.input_id = "changelog-1", "input-1"
        self._tables: dict[str, PartitionTable] = {}

    def table(self, worker: str) -> PartitionTable:
        """A table as `worker` would make it; its folder is its own, and a table it had there is closed."""
        if worker in self._tables:
            self._tables[worker].close()
        topics = Topics(self.changelog, self.changelog_id, self.input_id)
        store = LocalStore(self.folder / worker)
        self._tables[worker] = PartitionTable(0, topics, self.client, self.producer, store)
        return self._tables[worker]

    async def log(self) -> list[tuple[bytes, bytes | None]]:
        async with LogReader(self.client, self.at) as log:
            return [(r.key or b"", r.value) async for rs in log.read(0, await log.end()) for r in rs]

    def close(self) -> None:
        for table in self._tables.values():
            table.close()


Use = Callable[[Bench], Awaitable[None]]


@pytest.fixture
def run(broker: Broker, topic: MakeTopic, tmp_path: Path) -> Callable[[Use], None]:
    """Run an asynchronous test body with a bench over a new changelog."""
    changelog = topic("changelog", **{"cleanup.policy": "compact"})

    @asynccontextmanager
    async def bench() -> AsyncIterator[Bench]:
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap, enable_idempotence=True, max_batch_size=100_000, linger_ms=0
        )
        await producer.start()
        made = Bench(broker, changelog, tmp_path, producer)
        try:
            yield made
        finally:
            made.close()
            await producer.stop()

    async def body(use: Use) -> None:
        async with bench() as made:
            await use(made)

    return lambda use: asyncio.run(body(use))


def test_a_new_table_is_empty(run: Callable[[Use], None]) -> None:
    """Nothing was ever written: no rows, no outputs, and input is read from its beginning."""

    async def use(bench: Bench) -> None:
        table = bench.table("a")
        restored = await table.restore()

        assert (restored.rows, restored.outbox, table.position) == ({}, [], 0)

    run(use)


def test_commits_come_back(run: Callable[[Use], None]) -> None:
    """Rows as last put, deletions deleted, the outputs of the last batch alone, and the position after it."""

    async def use(bench: Bench) -> None:
        table = bench.table("a")
        await table.restore()
        await table.commit([(b"x", b"1"), (b"y", b"1")], [Message("old", None, None)], 10)
        await table.commit([(b"x", b"2"), (b"y", None)], [SAID], 20)

        for worker in ("a", "elsewhere"):
            again = bench.table(worker)
            restored = await again.restore()

            assert (restored.rows, restored.outbox, again.position) == ({b"x": b"2"}, [SAID], 20)

    run(use)


def test_a_restart_reads_only_the_tail(run: Callable[[Use], None]) -> None:
    """With a local copy, rows that lie before its position are not asked of Kafka again."""

    async def use(bench: Bench) -> None:
        table = bench.table("a")
        await table.restore()
        await table.commit([(b"x", b"1")], [], 10)
        table._store.write([(b"x", b"local")], table._store_position())

        assert (await bench.table("a").restore()).rows == {b"x": b"local"}

    run(use)


def test_a_copy_of_another_changelog_is_thrown_away(run: Callable[[Use], None]) -> None:
    """A changelog made anew is another log: rows of the one before do not come back with it."""

    async def use(bench: Bench) -> None:
        table = bench.table("a")
        await table.restore()
        table._store.write([(b"stale", b"1")], table._store_position())
        bench.changelog_id = "changelog-2"

        assert (await bench.table("a").restore()).rows == {}

    run(use)


def test_an_input_topic_made_anew_is_read_from_its_beginning(run: Callable[[Use], None]) -> None:
    """Offsets of the topic before mean nothing in the new one; the state itself is kept."""

    async def use(bench: Bench) -> None:
        table = bench.table("a")
        await table.restore()
        await table.commit([(b"x", b"1")], [], 1_000)
        bench.input_id = "input-2"
        again = bench.table("b")

        assert (await again.restore()).rows == {b"x": b"1"}
        assert again.position == 0

    run(use)


def test_a_zombie_finds_out_and_overwrites_nothing(run: Callable[[Use], None]) -> None:
    """A worker that lost the partition fails on its next commit; its rows never count, whoever reads them."""

    async def use(bench: Bench) -> None:
        zombie, owner = bench.table("zombie"), bench.table("owner")
        await zombie.restore()
        await zombie.commit([(b"x", b"1")], [], 10)
        await owner.restore()
        await owner.commit([(b"x", b"2")], [SAID], 20)
        with pytest.raises(ForeignAppendError):
            await zombie.commit([(b"x", b"woken"), (b"z", b"woken")], [Message("woken", None, None)], 99)

        for worker in ("third", "fourth"):
            restored = await bench.table(worker).restore()

            assert (restored.rows, restored.outbox) == ({b"x": b"2"}, [SAID])

    run(use)


def test_what_a_zombie_overwrote_is_written_again(run: Callable[[Use], None]) -> None:
    """Compaction keeps the last record of a key, so the rightful row must come last."""

    async def use(bench: Bench) -> None:
        zombie, owner = bench.table("zombie"), bench.table("owner")
        await zombie.restore()
        await owner.restore()
        await owner.commit([(b"x", b"right")], [SAID], 20)
        with pytest.raises(ForeignAppendError):
            await zombie.commit([(b"x", b"wrong"), (b"z", b"wrong")], [], 99)
        await bench.table("third").restore()
        last = dict(await bench.log())

        assert (last[b"x"], last[b"z"]) == (b"right", None)
        assert last[OUTBOX] == (await bench.log())[[k for k, _ in await bench.log()].index(OUTBOX)][1]

    run(use)


def test_the_owner_finds_out_that_a_zombie_wrote(run: Callable[[Use], None]) -> None:
    """The owner's next commit lands in the wrong place, so it restores, without the zombie's rows."""

    async def use(bench: Bench) -> None:
        zombie, owner = bench.table("zombie"), bench.table("owner")
        await zombie.restore()
        await owner.restore()
        with pytest.raises(ForeignAppendError):
            await zombie.commit([(b"x", b"wrong")], [], 10)
        assert not await owner.still_owned()
        with pytest.raises(ForeignAppendError):
            await owner.commit([(b"x", b"right")], [SAID], 10)
        again = await bench.table("again").restore()

        assert (again.rows, again.outbox) == ({b"x": b"right"}, [SAID])

    run(use)


def test_half_a_group_counts_for_nothing(run: Callable[[Use], None]) -> None:
    """A group too large for one record batch, whose writer died between two: as if it had never begun."""

    async def use(bench: Bench) -> None:
        table = bench.table("a")
        await table.restore()
        await table.commit([(b"x", b"1"), (b"y", b"1")], [SAID], 10)
        await append(bench.producer, bench.at, table._end, Rank(1, 20), [(b"x", b"half"), (b"y", None)])
        first, second = bench.table("b"), bench.table("c")
        restored = await first.restore()

        assert (restored.rows, restored.outbox, first.position) == ({b"x": b"1", b"y": b"1"}, [SAID], 10)
        assert (await second.restore()).rows == {b"x": b"1", b"y": b"1"}
        assert dict(await bench.log())[b"x"] == b"1"

    run(use)


def test_a_group_larger_than_a_record_batch_is_whole(run: Callable[[Use], None]) -> None:
    """Rows beyond the producer's batch size take several record batches, in order, and all come back."""

    async def use(bench: Bench) -> None:
        table = bench.table("a")
        await table.restore()
        rows = [(b"%d" % n, b"v" * 1_000) for n in range(500)]
        await table.commit(rows, [SAID], 10)
        await table.commit([(b"0", b"last")], [], 11)

        assert (await bench.table("b").restore()).rows == {**dict(rows), b"0": b"last"}

    run(use)


def test_position_is_the_last_row_of_the_log(run: Callable[[Use], None]) -> None:
    """The end of the log is always a live record, so that reading up to it ends."""

    async def use(bench: Bench) -> None:
        table = bench.table("a")
        await table.restore()
        await table.commit([(b"x", b"1")], [SAID], 10)

        assert (await bench.log())[-1][0] == POSITION

    run(use)
