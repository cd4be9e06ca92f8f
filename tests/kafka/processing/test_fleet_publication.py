"""What partitions publish of their pipelines gives the figures of one detector that has read everything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pytest

from stream_app.analysis.fleet.fleet_rows import FLEET
from stream_app.analysis.fleet.following import FleetSettings, follow_fleet
from stream_app.analysis.fleet_answer import FiguresMaker, FleetAnswer, FleetState
from stream_app.analysis.fleet_record import Origin
from stream_app.analysis.fleet_snapshots import FleetSnapshots
from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Detector, Settings
from stream_app.core.units import DAY_MS
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing import fleet_publication
from stream_app.kafka.processing.fleet_publication import FleetPublication
from stream_app.kafka.processing.partition import Partition
from stream_app.kafka.processing.partitioner import TICK, partition_of
from stream_app.kafka.records import Batch
from stream_app.kafka.state.outbox import Message
from stream_app.owners import OwnerRule, Owners
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources import native
from tests.kafka.processing.test_partition import Memory
from tests.support.kafka_records import record

#: So that most of what has happened is evicted.
OPTIONS = Settings(horizon_ms=2 * DAY_MS, lateness_ms=DAY_MS, retention_ms=4 * DAY_MS)
FLEET_SETTINGS = FleetSettings(
    rates=Rates(2.5, "EUR", {"type": {"Trainer": 8.0}}), owners=Owners([OwnerRule("ann", pipeline="*1")])
)
PIPELINES = 5


def _events() -> list[bytes]:
    """Two weeks of a fleet in which one pipeline names no owner."""
    found = []
    for event in Fleet(FleetOptions(pipelines=PIPELINES, days=14, seed=5)).events():
        if event["pipeline"].endswith("1"):
            event = {**event, "properties": {**event.get("properties", {})}}
            event["properties"].pop("owner", None)
        found.append(orjson.dumps(event))
    return found


EVENTS = _events()
NOW_MS = max(native.decode(message).time_ms for message in EVENTS)


class Workers:
    """The partitions of a group, and what they have published, in order."""

    def __init__(self, partitions: int) -> None:
        self.tables: list[Any] = [Memory([]) for _ in range(partitions)]
        self.published: list[Message] = []
        self.partitions: list[Partition] = []
        for number in range(partitions):
            self.partitions.append(self.open(number))

    def open(self, number: int) -> Partition:
        """Takes a partition over."""
        table = self.tables[number]
        table.epoch += 1
        partition = Partition(
            number,
            len(self.tables),
            Names("g"),
            table,
            lambda rows: Detector.load(OPTIONS, rows),
            _send,
            Counts(),
            lambda *_: None,
            _renamed,
            flag_age_ms=0,
            fleet=FLEET_SETTINGS,
            fleet_seconds=0.0,
        )
        asyncio.run(partition.open())
        return partition

    def apply(self, messages: Sequence[bytes]) -> None:
        """Has the events applied by the partitions of their pipelines."""
        batches: dict[int, list[Any]] = {}
        for message in messages:
            number = partition_of(orjson.loads(message)["pipeline"], len(self.tables))
            batch = batches.setdefault(number, [])
            batch.append(record(self.tables[number].position + len(batch), message, timestamp=NOW_MS))
        for number, records in batches.items():
            asyncio.run(self.partitions[number].apply(Batch(records), lambda: True))

    def publish(self) -> list[Message]:
        """Lets every partition publish what is due."""
        found = []
        for partition in self.partitions:
            found += partition.publication.collect(partition.origin)
            while partition.publication.is_unfinished:
                found += partition.publication.collect(partition.origin)
        self.published += found
        return found


async def _send(_: Iterable[Message]) -> None:
    """Outputs are not what is tested."""


async def _renamed(_: object) -> list[Message]:
    return []


def lived(partitions: int, seed: int) -> Workers:
    """Workers that have read everything, publish at times, and hand partitions over at times."""
    draw, workers = random.Random(seed), Workers(partitions)
    for first in range(0, len(EVENTS), 500):
        workers.apply(EVENTS[first : first + 500])
        if draw.random() < 0.2:
            workers.publish()
        if draw.random() < 0.2:
            number = draw.randrange(partitions)
            workers.partitions[number] = workers.open(number)
    workers.publish()
    return workers


def answer_of(published: Iterable[Message]) -> FleetAnswer:
    """The answer of a reader of these records."""
    fleet = PublishedFleet()
    for message in published:
        assert message.value is not None
        fleet.add(message.value)
    return FiguresMaker().answer(fleet.state())


def document_of(answer: FleetAnswer) -> Any:
    """All figures; how often findings were looked at is no figure."""
    document = orjson.loads(orjson.dumps([answer.document, answer.wasted, answer.push_ms, answer.since_push_ms]))
    for finding in document[0]["findings"]["findings"]:
        del finding["revision"]
    return document


@pytest.fixture(scope="module")
def expected() -> Any:
    """What one detector with all events answers."""
    detector = Detector(OPTIONS)
    fleet, snapshots = follow_fleet(detector, FLEET_SETTINGS, {}), FleetSnapshots(FLEET_SETTINGS)
    for message in EVENTS:
        detector.step(native.decode(message), NOW_MS)
    taken = {name: snapshots.take(fleet, name) for name in fleet.names()}
    known = {name: each for name, each in taken.items() if each is not None}
    return document_of(FiguresMaker().answer(FleetState(known, "EUR", NOW_MS)))


@pytest.mark.parametrize("partitions", [1, 2, 5])
def test_any_number_of_partitions_gives_the_figures_of_one_detector(partitions: int, expected: Any) -> None:
    """With evicted work, takeovers and publications in between; the records may come in any order, and again."""
    workers = lived(partitions, seed=partitions)
    shuffled = [*workers.published, *workers.published[::3]]
    random.Random(1).shuffle(shuffled)

    answer = answer_of(shuffled)

    assert document_of(answer) == expected
    assert answer.as_of_ms == NOW_MS
    assert answer.omitted == {}
    assert expected[0]["findings"]["findings"]
    assert {each["owner"] for each in expected[0]["pipelines"]} > {"ann"}
    assert any(key.startswith(FLEET) for key in workers.tables[0].saved)


def test_whoever_takes_over_publishes_everything_anew() -> None:
    """The same figures, at the same position of a later epoch."""
    workers = lived(2, seed=1)
    before = answer_of(workers.published)
    workers.partitions = [workers.open(number) for number in range(2)]

    again = workers.publish()

    assert {message.key for message in again} == {each.encode() for each in before.wasted}
    assert document_of(answer_of(again)) == document_of(before)
    assert all(orjson.loads(message.value or b"")["as_of_ms"] == NOW_MS for message in again)


def test_nothing_is_published_while_nothing_changes() -> None:
    """No event, or events of one pipeline alone; an hour makes all of them old."""
    workers = Workers(1)
    workers.apply(EVENTS)
    new = orjson.loads(EVENTS[-1])
    new["execution"]["id"] = "new"

    assert len(workers.publish()) == PIPELINES
    assert workers.publish() == []
    workers.apply([EVENTS[-1]])
    assert workers.publish() == []
    workers.apply([orjson.dumps(new)])
    assert [message.key for message in workers.publish()] == [new["pipeline"].encode()]
    settled_ms = NOW_MS + 30 * DAY_MS
    for minutes, changed in ((0, PIPELINES), (50, 0), (70, PIPELINES)):
        time_ms = settled_ms + minutes * 60_000
        tick = record(workers.tables[0].position, b"tick", timestamp=time_ms, headers=((TICK, b""),))
        asyncio.run(workers.partitions[0].apply(Batch([tick]), lambda: True))
        assert len(workers.publish()) == changed


def test_a_partition_publishes_once_in_some_seconds() -> None:
    """However often it is asked; what changed meanwhile is published the next time."""
    detector, now = Detector(), [0.0]
    fleet = follow_fleet(detector, FLEET_SETTINGS, {})
    publication = FleetPublication("t", fleet, FLEET_SETTINGS, 30.0, lambda: now[0])
    own = [message for message in EVENTS if b'"eta-0002"' in message]
    counts = []
    for position, seconds in enumerate((100.0, 101.0, 129.9, 130.0, 130.1, 160.0)):
        now[0] = seconds
        detector.step(native.decode(own[position]))
        counts.append(len(publication.collect(Origin(0, 1, position, 0))))

    assert counts == [1, 0, 0, 1, 0, 1]


def test_it_takes_bounded_time_and_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pipeline at least in each call; each pipeline once in a publication."""
    monkeypatch.setattr(fleet_publication, "SLICE_SECONDS", 0.0)
    workers = Workers(1)
    workers.apply(EVENTS[:2000])
    partition = workers.partitions[0]

    found = [partition.publication.collect(partition.origin) for _ in range(PIPELINES + 1)]

    assert [len(messages) for messages in found] == [1] * PIPELINES + [0]
    assert len({message.key for messages in found for message in messages}) == PIPELINES


def test_what_kafka_refused_is_published_again() -> None:
    """Although nothing has changed since."""
    workers = Workers(1)
    workers.apply(EVENTS[:2000])
    sent = workers.publish()

    workers.partitions[0].publication.lose(sent[:2])

    assert [message.key for message in workers.publish()] == [message.key for message in sent[:2]]


def test_a_defect_of_the_analysis_costs_the_figures_of_one_pipeline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, and events go on."""
    take = FleetSnapshots.take

    def failing(self: FleetSnapshots, fleet: Any, name: str) -> Any:
        if name == orjson.loads(EVENTS[0])["pipeline"]:
            raise ZeroDivisionError("a defect")
        return take(self, fleet, name)

    monkeypatch.setattr(FleetSnapshots, "take", failing)
    workers = Workers(1)
    for first in (0, 1000):
        workers.apply(EVENTS[first : first + 1000])
        assert len(workers.publish()) == PIPELINES - 1

    assert [line.getMessage() for line in caplog.records] == [
        f"the figures of pipeline {orjson.loads(EVENTS[0])['pipeline']!r} cannot be published"
    ]


def test_state_of_a_release_without_analysis_begins_with_what_is_kept() -> None:
    """It loads, and has figures of what was not evicted."""
    workers = Workers(1)
    workers.apply(EVENTS)
    saved = workers.tables[0].saved
    for key in [key for key in saved if key.startswith(FLEET)]:
        del saved[key]
    workers.partitions = [workers.open(0)]

    totals = answer_of(workers.publish()).document.figures.fleet.totals

    kept = sum(len(each.graphlets) for each in workers.partitions[0].detector.pipelines.values())
    assert kept <= totals.graphlets
    assert totals.graphlets < 2 * kept


def test_a_record_of_a_former_owner_that_comes_late_changes_nothing() -> None:
    """It is of an earlier epoch, however far it had read."""
    workers = Workers(1)
    workers.apply(EVENTS[:2000])
    zombie = workers.partitions[0].publication
    late = zombie.collect(Origin(0, 1, 1 << 40, 1))
    while zombie.is_unfinished:
        late += zombie.collect(Origin(0, 1, 1 << 40, 1))
    workers.partitions = [workers.open(0)]
    workers.apply(EVENTS[2000:3000])
    fresh = workers.publish()

    assert len(late) == PIPELINES
    assert document_of(answer_of([*fresh, *late])) == document_of(answer_of(fresh))
    assert answer_of([*fresh, *late]).as_of_ms == NOW_MS
