"""From a source topic to the events topic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

import orjson
import pytest
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from stream_app.kafka.clients import retry
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing import rekeying
from stream_app.kafka.processing.partitioner import TICK
from stream_app.kafka.processing.rekeying import rekeyed
from stream_app.kafka.records import FORMAT, Batch
from stream_app.kafka.state.outbox import Message
from stream_app.sources import Redaction, make_sources
from tests.support.kafka_records import record

NAMES = Names("g")
EVENT = b'{"time":"2023-11-14T00:00:00Z","pipeline":"p","execution":{"id":"e","type":"T","state":"NEW"}}'


def test_a_native_event_keeps_its_bytes() -> None:
    """It is keyed by its pipeline, whatever its key was."""
    message = rekeyed(record(0, EVENT, key=b"other"), NAMES)

    assert (message.topic, message.key, message.value) == ("g-events", b"p", EVENT)


def test_what_is_no_event_is_a_dead_letter() -> None:
    """With the reason that the source gives."""
    message = rekeyed(record(7, b'{"pipeline": 5}', topic="provenance"), NAMES)

    assert message.topic == "g-dead-letters"
    assert dict(message.headers)["offset"] == b"7"
    assert b"time" in dict(message.headers)["reason"]


@pytest.mark.parametrize("kind", ["stream_app.Keep/run:r", "stream_app.Policy", "stream_app.Prolong/trainer:t"])
def test_an_act_of_a_person_is_a_dead_letter(kind: str) -> None:
    """Whoever may report events must not be able to keep runs, or to set what flags lead to."""
    forged = EVENT.replace(b'"id":"e"', b'"id":"%s"' % kind.encode())
    message = rekeyed(record(7, forged, topic="provenance"), NAMES)

    assert message.topic == "g-dead-letters"
    assert b"is an act of a person, which only the API of flags takes" in dict(message.headers)["reason"]


def test_a_redacted_property_is_in_no_message() -> None:
    """Of an event the native form without it is written; of what is no event only where it came from, and why."""
    sources = make_sources(redaction=Redaction(["owner"]))
    person = b"grace.hopper@example.com"
    event = EVENT[:-1] + b',"properties":{"owner":"%s","auc":1},"note":"%s"}' % (person, person)
    wrong = b'{"time":"%s","properties":{"owner":"%s"}}' % (person, person)

    written = rekeyed(record(0, event, key=person), NAMES, sources)
    letter = rekeyed(record(7, wrong, topic="provenance", key=person), NAMES, sources)

    assert written is not None
    assert letter is not None
    assert person not in repr((written, letter)).encode()
    assert orjson.loads(written.value or b"")["properties"] == {"auc": 1}
    assert (letter.topic, letter.key, letter.value) == ("g-dead-letters", None, b"")
    assert dict(letter.headers)["truncated"] == b"%d" % len(wrong)
    assert dict(letter.headers)["offset"] == b"7"


def test_a_tombstone_is_a_dead_letter() -> None:
    """A record without a value says nothing."""
    assert rekeyed(record(0, None), NAMES).topic == "g-dead-letters"


#: An event of OpenLineage with a field of its own that native events have too.
FOREIGN = {
    "eventTime": "2023-11-14T00:00:00Z", "eventType": "START", "execution": {"cluster": "a"},
    "run": {"runId": "0197a8c0-0000-7000-8000-000000000001"}, "job": {"namespace": "prod", "name": "vision.train"},
}  # fmt: skip


def test_a_message_is_read_in_the_format_that_its_sender_names() -> None:
    """Its keys alone would make it a native event."""
    message = orjson.dumps(FOREIGN)
    named = replace(record(0, message), headers=((FORMAT, b"openlineage"),))

    assert rekeyed(record(0, message), NAMES).topic == "g-dead-letters"
    assert rekeyed(named, NAMES).topic == "g-events"
    assert rekeyed(replace(named, headers=((FORMAT, b"klingon"),)), NAMES).topic == "g-dead-letters"


def test_a_tick_of_another_group_is_left_out() -> None:
    """Its topic of events may be a source."""
    assert rekeyed(record(0, b"tick", headers=((TICK, b""),)), NAMES) is None


def test_a_format_that_is_no_text_is_as_good_as_none() -> None:
    """Anybody may write headers; the message itself says what it is."""
    named = replace(record(0, EVENT), headers=((FORMAT, b"\xff\xfe"),))

    assert rekeyed(named, NAMES).topic == "g-events"


def test_the_format_stays_with_a_dead_letter() -> None:
    """So that it is read in the same way when it is written back."""
    header = (FORMAT, b"openlineage")

    assert header in rekeyed(replace(record(0, b"{}"), headers=(header,)), NAMES).headers


def test_of_a_large_message_only_what_is_read_goes_on() -> None:
    """12 MiB of a native event that hold nothing else than a field which nobody knows."""
    large = EVENT[:-1] + b',"plan":"%s"}' % (b"x" * (12 << 20))
    counts = Counts()
    message = rekeyed(record(0, large), NAMES, counts=counts)

    assert (message.topic, message.key, len(message.value) < 1_000) == ("g-events", b"p", True)
    assert orjson.loads(message.value)["execution"] == {"id": "e", "type": "T", "state": "NEW"}


def test_an_event_that_no_row_can_hold_is_a_dead_letter_that_says_so() -> None:
    """What is read of it is too much; its beginning is kept, and its size."""
    artifacts = [{"id": str(n), "type": "T", "properties": {"text": "x" * 8_000}} for n in range(1_000)]
    message = rekeyed(record(0, EVENT[:-1] + b',"inputs":%s}' % orjson.dumps(artifacts)), NAMES)

    assert message.topic == "g-dead-letters"
    assert "expected at most 1,048,576 in its fields" in dict(message.headers)["reason"].decode()
    assert (len(message.value), int(dict(message.headers)["truncated"]) > 8_000_000) == (4 << 20, True)


def test_parts_that_are_dropped_are_counted_where_they_are_dropped() -> None:
    """Here, unless the message goes on as it is and is read again."""
    counts = Counts()
    bad = orjson.dumps({**FOREIGN, "producer": "x"})[:-1] + b',"facets":{"a":NaN}}'
    rekeyed(replace(record(0, bad), headers=((FORMAT, b"openlineage"),)), NAMES, counts=counts)
    rekeyed(record(0, EVENT[:-1] + b',"other":NaN}'), NAMES, counts=counts)

    assert counts.parts_dropped == 1


class Kafka:
    """Takes messages after some refusals."""

    def __init__(self, *refusals: KafkaError) -> None:
        self.refusals = list(refusals)
        self.taken: list[Message] = []

    async def send(self, messages: Iterable[Message]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.taken += messages


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pauses between attempts."""

    async def no_sleep(_: float) -> None:
        """Returns at once."""

    monkeypatch.setitem(retry.retry.__kwdefaults__, "sleep", no_sleep)


def moved(kafka: Kafka, owned: Callable[[], bool] = lambda: True) -> tuple[Batch, Counts]:
    """A batch of three records, and what was counted."""
    batch, counts = Batch([record(n, value) for n, value in enumerate((EVENT, b"{", EVENT))]), Counts()
    asyncio.run(rekeying.rekey(batch, NAMES, kafka.send, counts, owned))
    return batch, counts


def test_an_outage_is_waited_for() -> None:
    """The batch is sent again until Kafka takes it, and counts once."""
    kafka = Kafka(KafkaTimeoutError(), UnknownTopicOrPartitionError())
    batch, counts = moved(kafka)

    assert batch.done
    assert [message.topic for message in kafka.taken] == ["g-events", "g-dead-letters", "g-events"]
    assert sum(counts.sources.values()) == 3


def test_a_batch_of_a_lost_partition_is_not_sent_again() -> None:
    """Its new owner does it."""
    kafka = Kafka(KafkaTimeoutError())
    batch, counts = moved(kafka, lambda: bool(kafka.refusals))

    assert not batch.done
    assert (kafka.taken, counts.sources) == ([], {})


def test_what_does_not_pass_is_raised() -> None:
    """The worker cannot go on."""
    with pytest.raises(TopicAuthorizationFailedError):
        moved(Kafka(TopicAuthorizationFailedError()))
