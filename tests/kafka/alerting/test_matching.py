"""A batch of the topic of alerts becomes deliveries and entries of the alert log, and nothing of it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.matching import Matcher
from stream_app.alerts.records import cloud_event
from stream_app.alerts.saved import AlertStoreError
from stream_app.alerts.subscriptions import Subscription, make_subscription
from stream_app.kafka.alerting.deliveries import Matched, read_delivery
from stream_app.kafka.alerting.log_entries import LoggedFlag, read_entry
from stream_app.kafka.alerting.matching import pass_on
from stream_app.kafka.clients import retry
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import NotifierCounts
from stream_app.kafka.records import Batch
from stream_app.kafka.state.outbox import Message
from tests.alerts.records import NOW, record
from tests.support.kafka_records import record as kafka_record

NAMES = Names()


def subscription(name: str, pipeline: str) -> Subscription:
    """One that hears of a pipeline."""
    sink = {"kind": "kafka", "topic": name}
    return make_subscription({"id": name, "name": name, "owner": "ann", "sink": sink, "filter": {"pipeline": pipeline}})


class Hop:
    """What is done with batches."""

    def __init__(self) -> None:
        self.matcher = Matcher([subscription("s", "p"), subscription("t", "q")])
        self.counts = NotifierCounts(sources={NAMES.alerts: 0})
        self.sent: list[Message] = []
        self.errors: list[Exception] = []
        self.owners: list[str] = []
        self.owner_errors: list[Exception] = []
        self.is_owned = True

    async def before(self, each: FlagRecord) -> None:
        """Subscribes the owner."""
        if self.owner_errors:
            raise self.owner_errors.pop(0)
        self.owners.append(each.owner)
        self.matcher.put(subscription(f"owner.{each.owner}", "*"))

    async def send(self, messages: Iterable[Message]) -> None:
        """Takes messages, or fails."""
        if self.errors:
            raise self.errors.pop(0)
        self.sent += messages

    def take(self, *values: bytes | None) -> Batch:
        """Passes a batch on."""
        records = [
            kafka_record(offset, value, topic=NAMES.alerts, timestamp=NOW + offset)
            for offset, value in enumerate(values)
        ]
        batch = Batch(records)
        asyncio.run(pass_on(batch, NAMES, self.matcher, self.before, self.send, self.counts, lambda: self.is_owned))
        return batch

    def deliveries(self) -> list[Any]:
        """What was written for subscriptions."""
        return [read_delivery(each.key, each.value) for each in self.sent if each.topic == NAMES.deliveries]

    def logged(self) -> list[Any]:
        """What was written into the alert log."""
        return [read_entry(1, each.value or b"") for each in self.sent if each.topic == NAMES.alert_log]


@pytest.fixture
def hop(monkeypatch: pytest.MonkeyPatch) -> Hop:
    """One that pauses between attempts only for a turn of the loop."""
    monkeypatch.setattr(retry, "RETRY_SECONDS", 0.0)
    defaults = dict(retry.retry.__kwdefaults__ or {})
    monkeypatch.setattr(retry.retry, "__kwdefaults__", {**defaults, "seconds": 0.0})
    return Hop()


def event(each: FlagRecord) -> bytes:
    return orjson.dumps(cloud_event(each))


def test_a_record_goes_to_whom_it_matters_and_into_the_log(hop: Hop) -> None:
    """With the time at which it was logged; its owner is subscribed before it is matched."""
    batch = hop.take(event(record()))

    assert hop.deliveries() == [Matched("s", record(), True, NOW), Matched("owner.ann", record(), True, NOW)] or {
        each.subscription for each in hop.deliveries()
    } == {"s", "owner.ann"}
    assert hop.logged() == [LoggedFlag(1, NOW, record())]
    assert (batch.done, hop.counts.sources[NAMES.alerts], hop.owners) == (True, 1, ["ann"])


def test_records_keep_their_order(hop: Hop) -> None:
    """For each subscription, and in the log."""
    records = [record(), record(2, Change.REVISED), record(3, Change.RESOLVED)]
    hop.take(*map(event, records))

    assert [each.record for each in hop.deliveries() if each.subscription == "s"] == records
    assert [each.record for each in hop.logged()] == records


def test_a_batch_that_is_read_again_is_written_again(hop: Hop) -> None:
    """The same records, which mailboxes and the log know."""
    hop.take(event(record()))
    first = [*hop.sent]
    hop.matcher.drop("owner.ann")
    hop.sent.clear()
    hop.take(event(record()))

    assert hop.sent == first


OLDER = orjson.dumps({"kind": "flag_opened", "graphlet": "p/run:1", "score": 0.2})


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        OLDER,
        orjson.dumps({"data": None}),
        orjson.dumps({"data": []}),
        orjson.dumps({"data": {}}),
        orjson.dumps({"data": {"flag": "f"}}),
        orjson.dumps({"data": {**cloud_event(record())["data"], "flag": 7}}),
        orjson.dumps({"data": {**cloud_event(record())["data"], "labels": None}}),
        orjson.dumps({"data": {**cloud_event(record())["data"], "change": "opened"}}),
        orjson.dumps({"data": {**cloud_event(record())["data"], "time": "yesterday"}}),
        orjson.dumps({"data": {**cloud_event(record())["data"], "graphlets": [{}]}}),
        orjson.dumps({"data": {**cloud_event(record())["data"], "policy": 0.05}}),
    ],
)
def test_what_is_no_flag_record_is_counted_and_told_once(
    hop: Hop, value: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Older releases wrote another form; what follows is passed on."""
    batch = hop.take(value, value, event(record()))

    assert batch.done
    assert (hop.counts.malformed, hop.counts.sources[NAMES.alerts], len(hop.logged())) == (2, 3, 1)
    assert [each.levelname for each in caplog.records] == ["ERROR"]
    assert f"{NAMES.alerts}[0] at offset 0" in caplog.records[0].message


def test_an_outage_is_waited_out(hop: Hop) -> None:
    """Also where it is an owner that cannot be subscribed: the record is matched when that is done."""
    hop.errors = [KafkaConnectionError(), KafkaConnectionError()]
    hop.owner_errors = [AlertStoreError("not now")]
    batch = hop.take(event(record()))

    assert batch.done
    assert {each.subscription for each in hop.deliveries()} == {"s", "owner.ann"}


def test_a_batch_of_a_partition_that_was_lost_is_left(hop: Hop) -> None:
    """Its next owner passes it on."""

    class Lost(list[Exception]):
        def pop(self, _: Any = 0) -> Exception:
            hop.is_owned = False
            return KafkaConnectionError()

    hop.errors = Lost([KafkaConnectionError()])
    batch = hop.take(event(record()))

    assert (batch.done, hop.sent, hop.counts.sources[NAMES.alerts]) == (False, [], 0)


@pytest.mark.parametrize("place", ["errors", "owner_errors"])
def test_another_error_is_raised(hop: Hop, place: str) -> None:
    """The process cannot continue."""
    setattr(hop, place, [MessageSizeTooLargeError()])

    with pytest.raises(MessageSizeTooLargeError):
        hop.take(event(record()))
