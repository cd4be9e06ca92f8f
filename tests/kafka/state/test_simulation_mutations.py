"""The simulation finds what it is for: the protocol, broken by hand in each of its parts, breaks a promise soon."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from stream_app.kafka.state import table as table_module
from stream_app.kafka.state.changelog import FENCE, Fold, rank_headers
from stream_app.kafka.state.local_store import LocalStore
from stream_app.kafka.state.table import PartitionTable, Restored
from tests.kafka.state import simulated_kafka
from tests.kafka.state.simulation import run

Break = Callable[[pytest.MonkeyPatch], None]


def fences_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """What a former owner writes after the fence of another counts."""
    add = Fold.add

    def ignoring(self: Fold, record: Any) -> None:
        rank = self.rank
        add(self, record)
        if record.key.startswith(FENCE):
            self.rank = rank

    async def fenced(self: PartitionTable, _: Any, fold: Fold) -> bool:
        self.epoch = fold.rank.epoch + 1
        return True

    patch.setattr(Fold, "add", ignoring)
    patch.setattr(PartitionTable, "_fenced", fenced)


def ranks_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """The last row of a key counts, whoever wrote it."""
    add = Fold.add

    def ignoring(self: Fold, record: Any) -> None:
        rank = self.rank
        self.rank = type(rank)(0, 0)
        add(self, record)
        self.rank = max(rank, self.rank)

    patch.setattr(Fold, "add", ignoring)


def half_a_group_counts(patch: pytest.MonkeyPatch) -> None:
    """Rows count without their POSITION."""
    add = Fold.add

    def applying(self: Fold, record: Any) -> None:
        add(self, record)
        self._apply()

    patch.setattr(Fold, "add", applying)


def invalid_rows_stay(patch: pytest.MonkeyPatch) -> None:
    """The next owner does not write again what others overwrote."""
    patch.setattr(Fold, "to_write_again", lambda _: set())


async def _send(producer: Any, at: Any, rank: Any, rows: Iterable[Any]) -> list[Any]:
    sent = []
    for key, value in rows:
        batch = producer.create_batch()
        batch.append(key=key, value=value, timestamp=None, headers=rank_headers(rank))
        sent.append(await producer.send_batch(batch, at.topic, partition=at.partition))
    return sent


def commits_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    """A commit returns before Kafka has it."""

    async def append(producer: Any, at: Any, next_offset: int, rank: Any, rows: Iterable[Any]) -> int:
        return next_offset + len(await _send(producer, at, rank, rows))

    patch.setattr(table_module, "append", append)


def appends_of_others_are_not_seen(patch: pytest.MonkeyPatch) -> None:
    """A commit counts wherever it was appended."""

    async def append(producer: Any, at: Any, _: int, rank: Any, rows: Iterable[Any]) -> int:
        return [int((await each).offset) + 1 for each in await _send(producer, at, rank, rows)][-1]

    patch.setattr(table_module, "append", append)


def damaged_copies_are_used(patch: pytest.MonkeyPatch) -> None:
    """The digests of a local copy are not compared."""
    patch.setattr(LocalStore, "_compare", lambda *_: None)


def lost_rows_are_not_missed(patch: pytest.MonkeyPatch) -> None:
    """The checksum of the rows is not compared."""
    patch.setattr(PartitionTable, "_verify", lambda *_: None)


def outboxes_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The next owner sends nothing again."""
    restore = PartitionTable.restore

    async def forgetting(self: PartitionTable) -> Restored:
        return Restored((await restore(self)).rows, [])

    patch.setattr(PartitionTable, "restore", forgetting)


def copies_are_ahead(patch: pytest.MonkeyPatch) -> None:
    """The local copy is written before Kafka has the rows."""
    append = PartitionTable._append

    async def early(self: PartitionTable, rows: Any) -> None:
        self._store.write([*rows, self._position_row()], self._store_position())
        await append(self, rows)

    patch.setattr(PartitionTable, "_append", early)


@pytest.mark.parametrize(
    "broken",
    [
        fences_are_ignored,
        ranks_are_ignored,
        half_a_group_counts,
        invalid_rows_stay,
        commits_do_not_wait,
        appends_of_others_are_not_seen,
        damaged_copies_are_used,
        outboxes_are_forgotten,
        copies_are_ahead,
    ],
)
def test_a_broken_protocol_is_found(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a few histories without outages, and also when the product itself misses no rows."""
    lost_rows_are_not_missed(monkeypatch)
    broken(monkeypatch)

    assert any(breaks(seed) for seed in range(40))


#: A history in which nobody had the partition for hours after a worker that had lost it wrote to it.
OUTAGE = 70


#: A history in which a worker's clock is hours behind.
CLOCK = 23675
#: A history in which a worker has a copy of an earlier commit than the last one, of which compaction left nothing.
OLD_COPY = 16342


def test_lost_rows_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compaction took rows that count: the log is refused, and was taken for an empty one without its checksum."""
    assert "does not have the rows that were committed last" in run(OUTAGE).refused

    lost_rows_are_not_missed(monkeypatch)

    with pytest.raises(AssertionError, match="rows of commit 0 are wrong"):
        run(OUTAGE)


def missing_records_are_not_minded(patch: pytest.MonkeyPatch) -> None:
    """Records that are missing before a POSITION that does not count are not minded."""
    patch.setattr(Fold, "_overwrite", lambda self, key: self.overwritten.add(key))


def times_of_workers(patch: pytest.MonkeyPatch) -> None:
    """Records of the changelog have the times of the workers that wrote them."""
    patch.setattr(simulated_kafka, "BROKERS_TIME", False)


def test_a_clock_that_is_behind_takes_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the times of workers, rows that count were removed at once, while somebody had the partition."""
    run(CLOCK)

    times_of_workers(monkeypatch)

    with pytest.raises(AssertionError, match="refused without an outage"):
        run(CLOCK)


def test_an_old_copy_is_not_the_last_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compaction took the POSITIONs of later commits: the log is refused, and an old copy was taken for the state."""
    times_of_workers(monkeypatch)
    assert "does not have the rows that were committed last" in run(OLD_COPY).refused

    missing_records_are_not_minded(monkeypatch)

    with pytest.raises(AssertionError, match="commit 12 was acknowledged; 6 lacks it"):
        run(OLD_COPY)


def breaks(seed: int) -> bool:
    """Whether the history of a seed without outages breaks a promise."""
    try:
        run(seed, outages=False)
    except AssertionError:
        return True
    return False
