"""From a source topic to the events topic."""

from __future__ import annotations

from stream_app.kafka.rekeying import rekeyed
from stream_app.kafka.topics import Names
from tests.kafka.records import record

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


def test_a_tombstone_is_a_dead_letter() -> None:
    """A record without a value says nothing."""
    assert rekeyed(record(0, None), NAMES).topic == "g-dead-letters"
