"""Findings of a worker's partition: the records that `serve` makes of the same log, over restarts, each once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from stream_app.analysis.findings import FleetLooks
from stream_app.core.detector import Detector, Settings
from stream_app.kafka.alerting.matching import read_alert
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts, NotifierCounts
from stream_app.kafka.processing.partition import Partition
from stream_app.kafka.processing.partitioner import TICK
from stream_app.kafka.records import Batch
from stream_app.kafka.state.outbox import Message
from tests.kafka.processing.test_partition import Memory
from tests.service.test_findings import left
from tests.support.finding_entries import finding_entries
from tests.support.kafka_records import record

NAMES = Names("g")
LOG = [
    record(offset, each.message, timestamp=each.received_ms, headers=() if each.message is not None else ((TICK, b""),))
    for offset, each in enumerate(finding_entries())
]


class Life:
    """A partition of a worker, which is taken over at times, and what it has sent."""

    def __init__(self) -> None:
        self.table: Any = Memory([])
        self.sent: list[Message] = []
        self.open()

    async def send(self, messages: Iterable[Message]) -> None:
        """Keeps what is sent."""
        self.sent += messages

    def open(self) -> None:
        """Takes the partition over."""
        self.partition = Partition(
            0, 1, NAMES, self.table, lambda rows: Detector.load(Settings(), rows), self.send, Counts(),
            lambda *_: None, _renamed, flag_age_ms=3_600_000,
        )  # fmt: skip
        asyncio.run(self.partition.open())

    def apply(self, records: list[Any]) -> None:
        """Applies records."""
        asyncio.run(self.partition.apply(Batch(records), lambda: True))

    def findings(self) -> list[Any]:
        """The records of findings that were sent, as notifiers read them."""
        alerts = [each for each in self.sent if each.topic == NAMES.alerts]
        assert all(each.key == orjson.loads(each.value or b"")["subject"].encode() for each in alerts)
        read = [read_alert(record(0, each.value), NotifierCounts()) for each in alerts]
        assert all(each is not None for each in read)
        return [data for each in alerts if "finding" in (data := orjson.loads(each.value or b"")["data"])]


async def _renamed(_: object) -> list[Message]:
    return []


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The records of `serve`."""
    return left(tmp_path_factory.mktemp("serve") / "events.sqlite", finding_entries())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_worker_announces_what_serve_announces(seed: int, expected: list[Any]) -> None:
    """Word for word, whoever owns the partition in between; what is sent again after a takeover is the same record."""
    draw, life = random.Random(seed), Life()
    first = 0
    while first < len(LOG):
        count = draw.choice([1, 20, 100])
        life.apply(LOG[first : first + count])
        first += count
        if draw.random() < 0.3:
            life.open()
    found = life.findings()

    assert list({each["id"]: each for each in found}.values()) == expected
    assert all(each in expected for each in found)
    assert len(expected) == 3


def test_revisions_are_published_with_the_figures() -> None:
    """Those that were announced, also after a takeover; one that is not announced yet has none."""
    life, revisions = Life(), []
    for first in range(0, len(LOG), 60):
        life.apply(LOG[first : first + 60])
        life.open()
        messages = life.partition.publication.collect(life.partition.origin)
        rows = [row for each in messages for row in orjson.loads(each.value or b"")["findings"]]
        revisions += [row["revision"] for row in rows if row["kind"] == "no_push"]

    assert revisions == sorted(revisions)
    assert {1, 2} <= set(revisions) <= {0, 1, 2}


def test_a_rule_that_fails_does_not_stop_the_partition(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is announced, the error is logged, and everything is applied."""
    monkeypatch.setattr(FleetLooks, "look_at", lambda *_: 1 / 0)
    life = Life()
    life.apply(LOG)

    assert life.findings() == []
    assert life.table.position == len(LOG)
    assert "cannot be looked at for findings" in caplog.text
    assert not life.partition._poison
