"""What a notifier has of the alert log: the same as every other one, and again after each restart."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.alerts.forgetting import Erasure
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.saved import AlertStoreError, AuditEntry, LogPage
from stream_app.alerts.secrets import Vault
from stream_app.alerts.store import AlertStore
from stream_app.kafka.alerting import alert_log
from stream_app.kafka.alerting.alert_log import AlertLog
from stream_app.kafka.alerting.log_entries import audit_message, delivery_message, erasure_message, flag_message
from stream_app.kafka.clients import whole_log
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.metrics.counts import NotifierCounts
from stream_app.kafka.state.outbox import Message
from tests.alerts.records import NOW, record
from tests.kafka.alerting.simulated_topic import Consumer, Topic

VAULT = Vault(b"a key for the tests only")


def flag(number: int) -> Message:
    return flag_message("log", record(flag=f"p/run:{number}"), NOW + number)


def sent(message: str, subscription: str = "s", time_ms: int = NOW) -> Message:
    return delivery_message("log", subscription, LogEntry(message, Fate.SENT, time_ms, 1, "", (message,)))


def audited(who: str, subject: str = "s", what: str = "create") -> Message:
    return audit_message("log", AuditEntry(NOW, who, what, subject))


def erasure(owner: str = "ann") -> Message:
    return erasure_message("log", Erasure(["s"], owner, "forgotten-1"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is."""
    return tmp_path / "alerts.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[AlertStore]:
    """A new store."""
    made = AlertStore(path, VAULT)
    yield made
    made.close()


def filled(*messages: Message) -> Topic:
    topic = Topic()
    for each in messages:
        topic.append(each.key, each.value)
    return topic


async def read_to_end(made: AlertLog, topic: Topic) -> None:
    """Reads on until it ends where the topic does."""
    await made.log.read_to_end()
    while made.log.position != topic.end:
        await asyncio.sleep(0)


async def follow(
    topic: Topic,
    store: AlertStore,
    topic_id: str = "id",
    piece: int = 1 << 30,
    seed: int = 0,
    waiting: Erasure | None = None,
) -> AlertLog:
    """Reads the log to its end, in pieces of at most a size."""
    draw = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_log, "AIOKafkaConsumer", lambda **_: Consumer(topic, lambda: draw.randint(1, piece)))
        made = AlertLog(Connection("kafka:9092"), "log", topic_id, store, lambda: NOW, NotifierCounts())
    if waiting is not None:
        made.waiting[waiting.pseudonym] = waiting
    task = asyncio.create_task(made.log.run())
    async with asyncio.timeout(20):
        reading = asyncio.create_task(read_to_end(made, topic))
        await asyncio.wait([task, reading], return_when=asyncio.FIRST_COMPLETED)
        assert reading.done(), task.exception()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return made


def content(path: Path) -> dict[str, list[Any]]:
    """All that a file has of a log."""
    with sqlite3.connect(path) as db:
        tables = ("flags", "deliveries", "audit", "deleted", "meta")
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}


def test_numbers_are_those_of_the_log(store: AlertStore, path: Path) -> None:
    """From 1, with holes where other entries are."""
    asyncio.run(follow(filled(flag(0), sent("m"), audited("ann"), flag(1)), store))

    found = content(path)
    assert [[row[0] for row in found[table]] for table in ("flags", "deliveries", "audit")] == [[1, 4], [2], [3]]
    assert store.followed() == ("id", 4)


MESSAGES = st.sampled_from([0, 1, 2]).flatmap(
    lambda number: st.sampled_from(
        [flag(number), sent(f"m{number}"), sent(f"m{number}", "t"), audited("ann"), audited("eve", "t"), erasure()]
    )
)


@settings(deadline=None, max_examples=60)
@given(st.lists(MESSAGES, min_size=1, max_size=14), st.integers(1, 5), st.integers(0, 99), st.integers(0, 14))
def test_two_stores_that_read_the_same_log_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Message], piece: int, seed: int, again: int
) -> None:
    """Wherever pages end, with doubles and erasures, and where one has read a part twice."""
    folder = tmp_path_factory.mktemp("stores")
    topic = filled(*messages)

    async def body() -> None:
        for name, size in (("whole", 1 << 30), ("pieces", piece)):
            store = AlertStore(folder / name, VAULT)
            await follow(topic, store, piece=size, seed=seed)
            if name == "pieces" and not any(each.value == erasure().value for each in messages):
                store.follow(LogPage("id", min(again, topic.end)))
                await follow(topic, store, piece=size, seed=seed)
            store.close()

    asyncio.run(body())
    assert content(folder / "whole") == content(folder / "pieces")


def test_entries_that_were_written_twice_count_once(store: AlertStore) -> None:
    """The first one gives the number; another attempt of the same message is another entry."""
    topic = filled(flag(0), sent("m"), flag(0), sent("m"), sent("m", time_ms=NOW + 1), sent("m", "t"))
    asyncio.run(follow(topic, store))

    assert [number for number, _, _ in store.flags_after(0)] == [1]
    assert [each.number for each in store.deliveries("s", 9)] == [5, 2]
    assert [each.number for each in store.deliveries("t", 9)] == [6]


def test_a_topic_that_was_made_anew_replaces_everything(store: AlertStore) -> None:
    """It is read from its beginning."""
    asyncio.run(follow(filled(flag(0), sent("m"), audited("ann"), flag(1)), store))
    asyncio.run(follow(filled(flag(7)), store, "other"))

    assert [each.flag for _, _, each in store.flags_after(0)] == ["p/run:7"]
    assert (store.deliveries("s", 9), store.audit(9), store.followed()) == ([], [], ("other", 1))


def test_an_end_that_kafka_has_lost_is_not_kept(store: AlertStore) -> None:
    """What is written in its place has its numbers, and is stored; what is before it stays."""
    asyncio.run(follow(filled(flag(0), flag(1), sent("lost"), audited("lost"), flag(2)), store))
    topic = filled(flag(0))
    asyncio.run(follow(topic, store))
    assert store.followed() == ("id", 1)
    for each in (sent("new"), flag(2), audited("new")):
        topic.append(each.key, each.value)
    asyncio.run(follow(topic, store))

    assert [(number, each.flag) for number, _, each in store.flags_after(0)] == [(1, "p/run:0"), (3, "p/run:2")]
    assert [(each.number, each.entry.message) for each in store.deliveries("s", 9)] == [(2, "new")]
    assert [each.who for each in store.audit(9)] == ["new"]


def test_reading_goes_on_after_a_restart(store: AlertStore) -> None:
    """Nothing that is stored is read again."""
    topic = filled(flag(0), flag(1))
    asyncio.run(follow(topic, store))
    topic.truncate(2)
    topic.append(None, flag(2).value)
    asyncio.run(follow(topic, store))

    assert [each.flag for _, _, each in store.flags_after(0)] == ["p/run:0", "p/run:1", "p/run:2"]


def test_an_erasure_erases_what_is_before_it(store: AlertStore) -> None:
    """What others did stays, and it counts what it has erased."""
    topic = filled(sent("m"), sent("m", "t"), audited("ann"), audited("eve", "t"), erasure(), audited("ann", "t"))
    done = Erasure(["s"], "ann", "forgotten-1")
    asyncio.run(follow(topic, store, waiting=done))

    assert (store.deliveries("s", 9), len(store.deliveries("t", 9))) == ([], 1)
    assert [(each.who, each.subject) for each in store.audit(9)] == [
        ("ann", "t"),
        ("eve", "t"),
        ("forgotten-1", "forgotten-1"),
    ]
    assert (done.deliveries, done.audit_entries) == (1, 2)


def test_what_is_logged_after_an_erasure_is_not_stored(store: AlertStore) -> None:
    """A partition gives up the messages of a subscription that was erased a moment later; a new one is another."""
    topic = filled(sent("m"), erasure(), sent("late"), audited("eve"), sent("new"))
    asyncio.run(follow(topic, store, piece=1))

    assert [each.entry.message for each in store.deliveries("s", 9)] == ["new"]


def test_erased_names_are_not_in_the_file(store: AlertStore, path: Path) -> None:
    """Nor in the files beside it."""
    name = "owner.somebody-in-particular"
    message = erasure_message("log", Erasure([name], "somebody-in-particular", "forgotten-1"))
    asyncio.run(
        follow(filled(sent("m", name), audited("somebody-in-particular", name), message, sent("n", name)), store)
    )

    assert b"somebody-in-particular" not in b"".join(each.read_bytes() for each in path.parent.iterdir())


def test_entries_that_are_none_are_told_once(store: AlertStore, caplog: pytest.LogCaptureFixture) -> None:
    """What follows them is read."""
    topic = Topic()
    for value in (None, b"", b"{", b'{"kind": "flag", "logged_ms": 1, "record": {}}', b'{"kind": "later"}'):
        topic.append(None, value)
    topic.append(None, flag(0).value)
    asyncio.run(follow(topic, store))

    assert [number for number, _, _ in store.flags_after(0)] == [6]
    assert len(caplog.records) == 1


def test_a_full_disk_is_told_until_it_is_over(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is left out."""
    monkeypatch.setattr(alert_log, "_AGAIN_SECONDS", 0.0)
    follow_page, failures, reasons = store.follow, [1, 2, 3], []

    def full(page: LogPage) -> None:
        if failures:
            failures.pop()
            raise AlertStoreError("cannot write: database or disk is full")
        reasons.append(page.position)
        follow_page(page)

    monkeypatch.setattr(store, "follow", full)
    made = asyncio.run(follow(filled(flag(0), flag(1)), store))

    assert [number for number, _, _ in store.flags_after(0)] == [1, 2]
    assert [each.message for each in caplog.records] == ["cannot write: database or disk is full; trying again"]
    assert made.unavailable_reason == ""


def test_a_file_that_cannot_be_read_is_reported(store: AlertStore) -> None:
    """As what it is."""
    store.close()

    with pytest.raises(AlertStoreError, match="cannot read"):
        store.followed()


def test_a_page_that_cannot_be_stored_leaves_nothing_behind(store: AlertStore) -> None:
    """Whatever the reason; the next one is stored."""
    page = LogPage("id", 2, flags=[(1, 1 << 80, record())])
    with pytest.raises(OverflowError):
        store.follow(page)
    store.follow(LogPage("id", 3, flags=[(2, NOW, record())]))

    assert [number for number, _, _ in store.flags_after(0)] == [2]
