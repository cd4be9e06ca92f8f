"""What is written into the topic of deliveries is read again, and whatever else is in it is refused."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.filters import Facts
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.records import record_to_dict
from stream_app.alerts.texts import Texts
from stream_app.kafka.alerting.deliveries import Again, Matched, delivery_of, read_delivery
from tests.alerts.records import NOW, record
from tests.kafka.alerting.strategies import ANYTHING, NAMES, TIMES, altered, flag_records, places


@given(NAMES, flag_records(), st.booleans(), TIMES)
def test_a_matched_record_is_read_as_it_was_written(name: str, each: FlagRecord, exact: bool, logged_ms: int) -> None:
    """Its subscription is the key, by which it is placed."""
    wanted = Matched(name, each, exact, logged_ms)
    message = delivery_of("deliveries", wanted)

    assert read_delivery(message.key, message.value) == wanted
    assert (message.topic, message.key) == ("deliveries", name.encode())


@given(NAMES, NAMES, st.lists(flag_records(), min_size=1, max_size=3).map(tuple))
def test_a_message_to_send_again_is_read_as_it_was_written(
    name: str, message_id: str, records: tuple[FlagRecord, ...]
) -> None:
    """With all its records, in order."""
    wanted = Again(name, message_id, records)
    message = delivery_of("deliveries", wanted)

    assert read_delivery(message.key, message.value) == wanted


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, None),
        (b"s", None),
        (b"s", b""),
        (b"s", b"{"),
        (b"s", b"[]"),
        (b"s", b"{}"),
        (b"s", b'"kind"'),
        (b"s", b'{"kind": "other"}'),
        (b"s", b'{"kind": ["matched"]}'),
        (b"s", b'{"kind": "matched", "record": {}, "exact": true, "logged_ms": 1}'),
        (b"s", b'{"kind": "again", "message": "m", "records": []}'),
        (b"s", b'{"kind": "again", "message": 7, "records": [{}]}'),
        (b"\xff", delivery_of("d", Matched("s", record(), True, NOW)).value),
        (b"", delivery_of("d", Matched("s", record(), True, NOW)).value),
        (None, delivery_of("d", Matched("s", record(), True, NOW)).value),
    ],
)
def test_what_is_no_delivery_is_refused(key: bytes | None, value: bytes | None) -> None:
    """With one kind of error that those who read expect."""
    with pytest.raises(ValueError, match="no delivery"):
        read_delivery(key, value)


@given(st.data())
def test_what_is_altered_anywhere_can_be_worked_with_or_is_refused(data: st.DataObject) -> None:
    """It is written into rows and logs, matched, and put into words; none of that fails."""
    body = orjson.loads(delivery_of("d", Matched("s", record(), True, NOW)).value or b"")
    way = data.draw(st.sampled_from(places(body)))
    changed = orjson.dumps(altered(body, way, data.draw(ANYTHING | st.just(...))))

    try:
        found = read_delivery(b"s", changed)
    except ValueError:
        return
    assert isinstance(found, Matched)
    assert read_delivery(b"s", delivery_of("d", found).value) == found
    orjson.dumps(record_to_dict(found.record))
    Facts.of(found.record)
    Texts().of([found.record], None)
    assert found.record.id
