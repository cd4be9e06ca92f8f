"""What is written into the alert log is read again, and whatever else is in it is refused and never an exception."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.forgetting import Erasure
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.saved import AuditEntry, Delivery, LogPage
from stream_app.alerts.secrets import Vault
from stream_app.alerts.store import AlertStore
from stream_app.kafka.alerting.log_entries import (
    LoggedAudit,
    LoggedFlag,
    audit_message,
    delivery_message,
    erasure_message,
    flag_message,
    read_entry,
)
from stream_app.kafka.state.outbox import Message
from tests.alerts.records import NOW, record
from tests.kafka.alerting.strategies import ANYTHING, NAMES, TIMES, altered, flag_records, log_entries, places

MESSAGES = (
    flag_message("log", record(), NOW),
    delivery_message("log", "s", LogEntry("m", Fate.SENT, NOW, 1, "", ("m",))),
    audit_message("log", AuditEntry(NOW, "ann", "create", "s", "r")),
    erasure_message("log", Erasure(["s", "t"], "ann", "forgotten-1")),
)


def value(message: Message) -> bytes:
    assert message.value is not None
    return message.value


@given(flag_records(), TIMES)
def test_a_flag_is_read_as_it_was_written(each: FlagRecord, logged_ms: int) -> None:
    """Keyed by its flag."""
    message = flag_message("log", each, logged_ms)

    assert read_entry(7, value(message)) == LoggedFlag(7, logged_ms, each)
    assert (message.topic, message.key) == ("log", each.flag.encode())


@given(NAMES, log_entries())
def test_a_delivery_is_read_as_it_was_written(name: str, entry: LogEntry) -> None:
    """Keyed by its subscription."""
    message = delivery_message("log", name, entry)

    assert read_entry(7, value(message)) == Delivery(7, name, entry)
    assert message.key == name.encode()


@given(st.builds(AuditEntry, TIMES, NAMES, NAMES, NAMES, st.text(max_size=9)))
def test_an_audit_entry_is_read_as_it_was_written(entry: AuditEntry) -> None:
    """The request that identifies it included."""
    assert read_entry(7, value(audit_message("log", entry))) == LoggedAudit(7, entry)


@given(st.lists(NAMES, max_size=3), NAMES, NAMES)
def test_an_erasure_is_read_as_it_was_written(names: list[str], owner: str, pseudonym: str) -> None:
    """It has counted nothing yet."""
    found = read_entry(7, value(erasure_message("log", Erasure(names, owner, pseudonym))))

    assert isinstance(found, Erasure)
    assert (found.names, found.owner, found.pseudonym) == (sorted(names), owner, pseudonym)
    assert (found.deliveries, found.audit_entries) == (0, 0)


@pytest.mark.parametrize("message", MESSAGES, ids=["flag", "delivery", "audit", "erasure"])
def test_fields_of_later_releases_are_ignored(message: Message) -> None:
    """While a group is upgraded, older notifiers read what newer ones write."""
    body = {**orjson.loads(value(message)), "later": 1}

    assert type(read_entry(1, orjson.dumps(body))) is type(read_entry(1, value(message)))


@pytest.mark.parametrize("message", MESSAGES, ids=["flag", "delivery", "audit", "erasure"])
@given(data=st.data())
def test_what_is_altered_anywhere_is_stored_or_refused(
    message: Message, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A record that cannot be stored would be tried for ever."""
    body = orjson.loads(value(message))
    way = data.draw(st.sampled_from(places(body)))
    changed = orjson.dumps(altered(body, way, data.draw(ANYTHING | st.just(...))))

    try:
        entry = read_entry(3, changed)
    except ValueError:
        return
    store = stores(tmp_path_factory.getbasetemp())
    page = LogPage("log", 4)
    if isinstance(entry, LoggedFlag):
        page.flags.append((3, entry.logged_ms, entry.record))
    elif isinstance(entry, Delivery):
        page.deliveries.append(entry)
    elif isinstance(entry, LoggedAudit):
        page.audit.append((3, entry.entry))
    else:
        page.erasures.append(entry)
    try:
        store.follow(page)
    finally:
        store.close()


@given(st.binary(max_size=20))
def test_bytes_are_refused(each: bytes) -> None:
    """Whatever they are."""
    with pytest.raises(ValueError, match="no entry of the alert log"):
        read_entry(1, each)


def stores(folder: Path) -> Any:
    return AlertStore(folder / "altered.sqlite", Vault(b"a key for the tests only"))
