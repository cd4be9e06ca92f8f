"""A partition with a table in memory and a toy of a detector: what is done with each record, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaTimeoutError

from stream_app.core.detector import Follower
from stream_app.core.events import Event
from stream_app.core.outputs import Closed, Output
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing import partition as module
from stream_app.kafka.processing.long_outbox import FURTHER, ROW_BYTES
from stream_app.kafka.processing.partition import Partition
from stream_app.kafka.processing.partitioner import FORWARDED, TICK, partition_of
from stream_app.kafka.processing.tick_key import NO_KEY, TOLERANCE_MS, TickKey
from stream_app.kafka.records import Batch
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Message, pack
from stream_app.kafka.state.table import Restored
from stream_app.sources import NOTHING, Redaction
from tests.kafka.processing.test_closed_graphlets import graphlet
from tests.support.kafka_records import record

PARTITIONS = 4
NAMES = Names("g")
HERE = next(f"p{n}" for n in range(99) if partition_of(f"p{n}", PARTITIONS) == 0)
#: Members of a graphlet of some 130 kB.
MANY = [f"execution-{number:020d}" for number in range(4_000)]
ELSEWHERE = next(f"p{n}" for n in range(99) if partition_of(f"p{n}", PARTITIONS) != 0)


def event(pipeline: str = HERE, execution: str = "e", time: str = "2023-11-14T00:00:00Z") -> bytes:
    text = '{"time":"%s","pipeline":"%s","execution":{"id":"%s","type":"T","state":"NEW"}}'
    return (text % (time, pipeline, execution)).encode()


class Counter:
    """A detector that counts events by execution.

    It fails on an execution called `poison`, and closes seven large graphlets on one called `closes 7`.
    """

    def __init__(self, rows: Mapping[bytes, bytes]) -> None:
        self.counts = {key: int(value) for key, value in rows.items()}
        self.changed: set[bytes] = set()

    def step(self, event: Event, log_ms: int) -> list[Output]:  # noqa: ARG002
        key = event.execution_id.encode()
        self.counts[key] = self.counts.get(key, 0) + 1
        self.changed.add(key)
        if event.execution_id == "poison":
            raise ZeroDivisionError("a defect")
        self.dropped += event.execution_id == "late"
        if event.execution_id.startswith("closes"):
            count = int(event.execution_id.partition(" ")[2])
            return [Closed(graphlet(f"{HERE}/{number}", *MANY)) for number in range(count)]
        return []

    def tick(self, log_ms: int) -> list[Output]:
        if log_ms < 0:
            raise ZeroDivisionError("a defect")
        self.counts[b"tick"] = log_ms
        self.changed.add(b"tick")
        return []

    pipelines: Mapping[str, Pipeline] = {}
    renamed: Mapping[str, str] = {}
    dropped = 0

    def ledger(self, pipeline: str) -> Ledger:  # noqa: ARG002
        return Ledger()

    def follow(self, follower: Follower) -> None:
        """It has no pipelines to follow."""

    def take_rows(self) -> list[Row]:
        rows: list[Row] = [(key, b"%d" % self.counts[key]) for key in sorted(self.changed)]
        self.changed.clear()
        return rows


class Memory:
    """A table in memory that writes down what is done, with what is sent."""

    damaged = epoch = 0

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.position = 0
        self.saved: dict[bytes, bytes] = {}
        self.outbox: list[Message] = []

    async def restore(self) -> Restored:
        return Restored(dict(self.saved), self.outbox)

    def rows(self) -> dict[bytes, bytes]:
        return dict(self.saved)

    async def commit(self, rows: Sequence[Row], outbox: Sequence[Message], position: int) -> None:
        self.diary.append(f"commit {position}")
        self.position = position
        self.outbox = list(outbox)
        for key, value in rows:
            if value is None:
                self.saved.pop(key, None)
            else:
                self.saved[key] = value


class Desk:
    """A partition with all that it works on."""

    def __init__(self, tick_key: TickKey = NO_KEY, redaction: Redaction = NOTHING) -> None:
        self.diary: list[str] = []
        self.sent: list[Message] = []
        self.observed: list[Output] = []
        self.table: Any = Memory(self.diary)
        self.partition = Partition(
            0,
            PARTITIONS,
            NAMES,
            self.table,
            Counter,
            self.send,
            Counts(),
            self.observe,
            self.renamed_verdicts,
            tick_key,
            redaction=redaction,
        )
        asyncio.run(self.partition.open())

    def observe(self, outputs: list[Output], log_ms: int) -> None:  # noqa: ARG002
        self.observed += outputs

    async def renamed_verdicts(self, renamed: Mapping[str, str]) -> list[Message]:
        self.diary.append(f"renames {len(renamed)}")
        return []

    async def send(self, messages: Iterable[Message]) -> None:
        self.sent += messages
        self.diary.append(f"sent {len(self.sent)}")

    def apply(self, *records: Any, owned: bool = True) -> Batch:
        batch = Batch(list(records))
        asyncio.run(self.partition.apply(batch, lambda: owned))
        return batch


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_state_is_saved_before_anything_is_sent(desk: Desk) -> None:
    """And the batch is done after that."""
    batch = desk.apply(record(0, event()), record(1, b"nonsense"))

    assert desk.diary == ["sent 0", "commit 2", "sent 1"]
    assert batch.done
    assert desk.table.saved == {b"e": b"1"}


def test_what_the_state_has_is_skipped(desk: Desk) -> None:
    """Input below the position has had its effect."""
    desk.apply(record(0, event()), record(1, event()))
    desk.apply(record(0, event()), record(1, event()), record(2, event()))

    assert desk.table.saved == {b"e": b"3"}
    assert desk.partition.counts.duplicates == 2


def test_a_batch_of_a_lost_partition_is_left_alone(desk: Desk) -> None:
    """It is not done, and nothing of it is saved or sent."""
    batch = desk.apply(record(0, event()), owned=False)

    assert not batch.done
    assert desk.diary == ["sent 0"]


def test_long_batches_are_saved_in_slices(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Computing for long would keep verdicts waiting."""
    monkeypatch.setattr(module, "SLICE_SECONDS", 0.0)
    desk.apply(record(0, event()), record(5, event()))

    assert [line for line in desk.diary if "commit" in line] == ["commit 1", "commit 6"]


def test_a_record_of_another_partition_is_forwarded_once(desk: Desk) -> None:
    """With its bytes, keyed by its pipeline; one that was forwarded before and is still wrong is a dead letter."""
    stray = event(ELSEWHERE)
    desk.apply(record(0, stray, key=b"whatever"), record(1, stray, headers=((FORWARDED, b""),)))
    forwarded, letter = desk.sent

    assert forwarded == Message("g-events", ELSEWHERE.encode(), stray, ((FORWARDED, b""),))
    assert letter.topic == "g-dead-letters"
    assert desk.table.saved == {}


def test_a_redacted_property_goes_no_further() -> None:
    """What was written to the topic of events directly stays there; it is not forwarded, and no dead letter."""
    desk = Desk(redaction=Redaction(["owner"]))
    person = b',"properties":{"owner":"grace.hopper"}}'
    desk.apply(record(0, event(ELSEWHERE)[:-1] + person), record(1, b'{"time":"grace.hopper"' + person))

    forwarded, letter = desk.sent
    assert b"grace" not in repr(desk.sent).encode()
    assert orjson.loads(forwarded.value or b"")["pipeline"] == ELSEWHERE
    assert dict(letter.headers)["reason"].startswith(b"time: expected")


def test_a_dead_letter_says_where_it_came_from(desk: Desk) -> None:
    """Its key and bytes, the place, and a reason."""
    desk.apply(record(3, b"{", key=b"k", topic="g-events"), record(4, None))
    letter, empty = desk.sent
    headers = dict(letter.headers)

    assert (letter.key, letter.value) == (b"k", b"{")
    assert (headers["topic"], headers["partition"], headers["offset"]) == (b"g-events", b"0", b"3")
    assert headers["reason"]
    assert empty.value is None


def test_an_event_of_the_day_after_tomorrow_is_a_dead_letter(desk: Desk) -> None:
    """A clock that is wrong by days must not move the pipeline's time."""
    desk.apply(record(0, event(time="2023-11-17T00:00:00Z")))

    assert [message.topic for message in desk.sent] == ["g-dead-letters"]


def test_what_becomes_of_records_is_counted(desk: Desk) -> None:
    """Events by their state, dead letters by the kind of reason, and what came too late to count."""
    stray = record(3, event(ELSEWHERE), headers=((FORWARDED, b""),))
    desk.apply(record(0, event()), record(1, event(execution="late")), record(2, b"{"), stray)
    desk.apply(record(4, event(execution="poison")))
    counts = desk.partition.counts

    assert (counts.events, counts.states["NEW"], counts.late) == (2, 2, 1)
    assert counts.reasons == {"malformed": 1, "misplaced": 1, "failed": 1}


def test_times_are_measured_event_by_event(desk: Desk) -> None:
    """An event that is five minutes older than its record was five minutes under way."""
    desk.apply(record(0, event(time="2023-11-14T22:08:20Z"), timestamp=1_700_000_000_000))
    samples = {s.labels.get("le", s.name): s.value for s in desk.partition.counts.delay.family("d", "").samples}

    assert (samples["60.0"], samples["600.0"], samples["d_sum"]) == (0, 1, 300)
    assert desk.partition.counts.step.family("s", "").samples[-2].value == 1


def test_a_tick_is_no_event(desk: Desk) -> None:
    """It carries its log time to the detector."""
    desk.apply(record(0, b"tick", headers=((TICK, b""),), timestamp=1_234))

    assert desk.table.saved == {b"tick": b"1234"}
    assert desk.partition.counts.tick_ms == 1_234


def test_an_event_that_breaks_the_detector_stops_nothing(desk: Desk) -> None:
    """It becomes a dead letter; what it did to the state before it failed is not there."""
    batch = desk.apply(record(0, event()), record(1, event(execution="poison")), record(2, event()))

    assert batch.done
    assert desk.table.saved == {b"e": b"2"}
    assert [dict(m.headers)["reason"] for m in desk.sent] == [b"the detector failed on it: ZeroDivisionError: a defect"]


def test_what_came_before_a_bad_record_is_saved_before_the_next_is_met(desk: Desk) -> None:
    """However many are bad in a row, the partition gets on."""
    bad = event(execution="poison")
    batch = desk.apply(*(record(n, bad if n % 2 else event()) for n in range(6)))

    assert batch.done
    assert desk.table.saved == {b"e": b"3"}
    assert [line for line in desk.diary if line.startswith("commit")] == [
        "commit 1",
        "commit 3",
        "commit 5",
        "commit 6",
    ]


def tick(offset: int, content: bytes | None, log_ms: int = 2_000_000) -> Any:
    """A record with the header of a tick."""
    return record(offset, b"tick", headers=((TICK, content),), timestamp=log_ms)


def test_ticks_that_no_worker_of_the_group_wrote_do_not_move_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    """They are passed over, counted by reason, and told once for each; a tick of the group moves it after them."""
    key = TickKey(b"the key of the group", NAMES.events)
    good = key.sign(0, 2_000_000)
    desk = Desk(key)
    batch = desk.apply(
        tick(0, b""),
        tick(1, None),
        tick(2, b"x"),
        tick(3, good[:-1]),
        tick(4, good[:-1] + bytes([good[-1] ^ 1])),
        tick(5, TickKey(b"another key", NAMES.events).sign(0, 2_000_000)),
        tick(6, key.sign(1, 2_000_000)),
        tick(7, TickKey(b"the key of the group", "other-events").sign(0, 2_000_000)),
        tick(8, good, 2_000_000 + TOLERANCE_MS + 1),
        tick(9, good, 2_000_000 - TOLERANCE_MS - 1),
        record(10, event()),
    )
    before = dict(desk.table.saved)
    desk.apply(tick(11, good, 2_000_000 + TOLERANCE_MS))

    assert batch.done
    assert before == {b"e": b"1"}
    assert desk.table.saved == {b"e": b"1", b"tick": b"%d" % (2_000_000 + TOLERANCE_MS)}
    assert desk.partition.counts.ticks_ignored == {"unsigned": 2, "forged": 6, "stale": 2}
    assert desk.partition.counts.ticks == 1
    assert len([line for line in caplog.messages if "is ignored" in line]) == 3
    assert desk.partition.counts.reasons == {"malformed": 0, "misplaced": 0, "failed": 0}


@pytest.mark.parametrize("content", [b"", None, TickKey(b"the key of the group", NAMES.events).sign(0, 7)])
def test_without_a_key_every_tick_counts(desk: Desk, content: bytes | None) -> None:
    """Also those of workers that were given one already: nothing stalls while a key is introduced."""
    desk.apply(tick(0, content))

    assert desk.table.saved == {b"tick": b"2000000"}
    assert sum(desk.partition.counts.ticks_ignored.values()) == 0


def test_a_tick_that_breaks_the_detector_is_passed(desk: Desk) -> None:
    """There is nothing to keep of it; the next tick moves time as well."""
    batch = desk.apply(record(0, event()), record(1, b"tick", headers=((TICK, b""),), timestamp=-1), record(2, event()))

    assert batch.done
    assert desk.table.saved == {b"e": b"2"}
    assert desk.sent == []


def test_opening_sends_the_last_outbox_again(desk: Desk) -> None:
    """Whoever died before sending it had saved it."""
    desk.apply(record(0, b"{"))
    desk.sent.clear()
    asyncio.run(desk.partition.open())

    assert [message.value for message in desk.sent] == [b"{"]


def test_a_closed_graphlet_is_sent_after_it_is_saved(desk: Desk) -> None:
    """Keyed by its id, and counted once it was sent."""
    desk.apply(record(0, event(execution="closes 1")))

    assert desk.diary == ["sent 0", "commit 1", "sent 1"]
    assert [(message.topic, message.key) for message in desk.sent] == [("g-graphlets", f"{HERE}/0".encode())]
    assert len(desk.observed) == 1


def rows_of_outbox(desk: Desk) -> list[int]:
    """The sizes of the rows that a commit has written beside the outbox of the table."""
    return [len(value) for key, value in desk.table.saved.items() if key.startswith(FURTHER)]


def test_any_number_of_graphlets_may_close_at_once(desk: Desk) -> None:
    """What is sent for them is kept in rows of bounded size until the next commit."""
    desk.apply(record(0, event(execution="closes 60")))
    closed, first, further = list(desk.sent), list(desk.table.outbox), rows_of_outbox(desk)
    desk.apply(record(1, event()))

    assert [message.key for message in closed] == [f"{HERE}/{number}".encode() for number in range(60)]
    assert 1 < len(further) < 60
    assert max(len(pack(first)), *further) < ROW_BYTES + 10_000
    assert rows_of_outbox(desk) == []


def test_opening_sends_all_of_a_long_outbox_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, and not once more after the next commit."""

    async def fail(messages: Iterable[Message]) -> None:  # noqa: ARG001
        raise KafkaTimeoutError

    monkeypatch.setattr(desk.partition, "_send", fail)
    with pytest.raises(KafkaTimeoutError):
        desk.apply(record(0, event(execution="closes 60")))
    monkeypatch.undo()
    asyncio.run(desk.partition.open())
    again = [message.key for message in desk.sent]
    desk.sent.clear()
    desk.apply(record(1, event()))
    asyncio.run(desk.partition.open())

    assert again == [f"{HERE}/{number}".encode() for number in range(60)]
    assert rows_of_outbox(desk) == []
    assert desk.sent == []


def test_a_failed_send_is_not_passed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was saved and could not be sent is not done; the next owner sends it."""
    batch = Batch([record(0, b"{")])

    async def fail(messages: Iterable[Message]) -> None:  # noqa: ARG001
        raise KafkaTimeoutError

    monkeypatch.setattr(desk.partition, "_send", fail)
    with pytest.raises(KafkaTimeoutError):
        asyncio.run(desk.partition.apply(batch, lambda: True))
    monkeypatch.undo()
    asyncio.run(desk.partition.open())

    assert not batch.done
    assert [message.value for message in desk.sent] == [b"{"]
