"""Records of the outbox are stored once, sent, and wait where the store cannot be written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from stream_app.alerts.access import EVERYBODY
from stream_app.alerts.clocks import Clocks
from stream_app.alerts.flags import Change
from stream_app.alerts.opening import open_store
from stream_app.alerts.ownership import subscription_id
from stream_app.alerts.records import record_to_dict
from stream_app.alerts.registered import register
from stream_app.alerts.saved import AlertStoreError
from stream_app.alerts.settings import AlertSettings
from stream_app.alerts.sinks.email import Email, MailServer
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscriptions import make_subscription
from stream_app.alerts.warnings import OwnerWarning
from stream_app.errors import OptionsError
from stream_app.owners import OwnerRule, Owners
from stream_app.service.alerting import Alerts
from stream_app.service.event_log import StoredFlag
from stream_app.service.flag_outbox import FlagOutbox
from tests.alerts.records import NOW, record

RECORDS = [record(1), record(2, Change.REVISED), record(3, Change.RESOLVED)]
STORED = [
    StoredFlag(number, NOW + number, orjson.dumps(record_to_dict(each))) for number, each in enumerate(RECORDS, 1)
]

#: Old records are deleted.
CLOCKS = Clocks(now_ms=lambda: NOW + 10_000)


@pytest.fixture
def store(tmp_path: Path) -> AlertStore:
    """A store; it is closed when the test forgets it."""
    return open_store(tmp_path / "data")


@asynccontextmanager
async def running(alerts: Alerts) -> AsyncIterator[None]:
    """Runs alerts."""
    task = asyncio.create_task(alerts.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


def stored(store: AlertStore) -> list[tuple[int, bytes]]:
    """Log time and record of all records in the store, as they are there."""
    return [(logged_ms, orjson.dumps(record_to_dict(each))) for _, logged_ms, each in store.flags_after(0)]


def test_records_are_stored_word_for_word_and_then_done(store: AlertStore) -> None:
    """Those that wait at the start, and those that come."""
    outbox = FlagOutbox(STORED[:1])

    async def body() -> None:
        async with running(Alerts(store, outbox, clocks=CLOCKS)):
            await until(lambda: outbox.take_done() == 1)
            outbox.add(STORED[1:])
            await until(lambda: outbox.take_done() == 3)

    asyncio.run(body())
    assert stored(store) == [(each.logged_ms, each.record) for each in STORED]
    assert outbox.first() == []


def test_a_record_that_is_moved_again_is_there_and_sent_once(store: AlertStore) -> None:
    """The process may die after it was stored, and before it is deleted from the outbox."""
    accepted: list[str] = []

    async def life() -> None:
        alerts = Alerts(store, FlagOutbox(STORED), clocks=CLOCKS)
        accept = alerts.notifier.accept

        def counted(each: object, logged_ms: int, number: int) -> None:
            accepted.append(each.id)  # type: ignore[attr-defined]
            accept(each, logged_ms, number)  # type: ignore[arg-type]

        alerts.notifier.accept = counted  # type: ignore[method-assign]
        async with running(alerts):
            await until(lambda: store.cursor() == 3)

    for _ in range(2):
        asyncio.run(life())

    assert len(stored(store)) == 3
    assert accepted == [each.id for each in RECORDS]


def test_records_wait_while_the_store_cannot_be_written(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The service says so, in one line, and stores them as soon as that is possible."""
    monkeypatch.setattr("stream_app.service.alerting._AGAIN_SECONDS", 0.01)
    outbox = FlagOutbox(STORED)
    full, tries, append = True, 0, store.append_logged

    def appending(records: object) -> None:
        nonlocal tries
        tries += 1
        if full:
            raise AlertStoreError("the disk is full")
        append(records)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "append_logged", appending)
    alerts = Alerts(store, outbox, clocks=CLOCKS)

    async def body() -> None:
        nonlocal full
        async with running(alerts):
            await until(lambda: tries > 2)
            assert alerts.unavailable_reason == "the disk is full"
            assert len(outbox.first()) == 3
            full = False
            await until(lambda: not alerts.unavailable_reason and not outbox.first())

    asyncio.run(body())
    assert len(stored(store)) == 3
    assert caplog.messages.count("the disk is full") == 1


def test_a_defect_is_a_reason_to_begin_anew(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Flags are kept until the next start."""
    outbox = FlagOutbox(STORED)
    alerts = Alerts(store, outbox, clocks=CLOCKS)
    monkeypatch.setattr(alerts.notifier, "accept", lambda *_: 1 / 0)

    async def body() -> None:
        async with running(alerts):
            await until(lambda: bool(alerts.unavailable_reason))

    asyncio.run(body())
    assert alerts.unavailable_reason.startswith("alerts cannot continue")
    assert "flags are kept until the next start" in caplog.text
    assert isinstance(alerts.failed.exception(0), ExceptionGroup)
    assert store.cursor() == 0


def test_store_and_key_are_their_users_alone(tmp_path: Path) -> None:
    """And secrets are not in them as they are."""
    folder = tmp_path / "data"
    store = open_store(folder)
    sink = {"kind": "slack", "token": "xoxb-seeded", "channel": "#c"}
    made = register(make_subscription({"id": "s", "name": "n", "owner": "ann", "sink": sink}), NOW)
    alerts = Alerts(store, FlagOutbox())
    alerts.notifier.put(made)
    asyncio.run(alerts.notifier.saved())
    files = {each.name: each for each in folder.iterdir()}

    assert {"alerts.sqlite", "alerts.key"} <= files.keys()
    assert {each.stat().st_mode & 0o777 for each in files.values()} == {0o600}
    assert not any(b"xoxb-seeded" in each.read_bytes() for each in files.values())
    assert open_store(folder).subscriptions() == [made]
    with pytest.raises(OptionsError, match="give the key with which they were encrypted"):
        Alerts(open_store(folder, b"another key of 16 bytes"), FlagOutbox(), AlertSettings())


def test_an_owner_is_warned_at_the_address_of_the_owners_file(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where owners are not subscribed to their flags; how it went is counted."""
    mails: list[tuple[tuple[str, ...], str]] = []
    ways: list[str] = []

    async def send(email: Email, message: Outgoing) -> Result:
        mails.append((email._to, message.text.title))
        return Result()

    monkeypatch.setattr(Email, "send", send)
    owners = Owners([OwnerRule("ads", pipeline="*", address="ads-leads@example.com")])
    settings = AlertSettings(contacts=owners, mail=MailServer("mail.example.com", 587, "a@example.com"))
    sink = {"kind": "slack", "webhook_url": "https://hooks.slack.com/services/T/B/x"}
    made = make_subscription({"id": "s", "name": "s", "owner": "ads", "sink": sink})

    async def body() -> None:
        alerts = Alerts(store, FlagOutbox(), settings, on_warning=ways.append, clocks=CLOCKS)
        alerts.notifier.put(register(made, NOW))
        alerts.notifier._warn("s", OwnerWarning(True, NOW, NOW, "HTTP 410"))
        async with running(alerts):
            await until(lambda: any(each.what.startswith("warn") for each in store.audit(10)))

    asyncio.run(body())
    assert mails == [(("ads-leads@example.com",), "The subscription s is disabled")]
    assert ways == ["owner"]


def test_an_owner_who_was_forgotten_is_not_subscribed_again(store: AlertStore) -> None:
    """Neither by the flags that come, nor after a restart, while others are."""
    mail = MailServer("mail.example.com", 587, "a@example.com")
    settings = AlertSettings(owners=Owners([OwnerRule("x", pipeline="none")]), mail=mail)
    ann, eve = "ann@example.com", "eve@example.com"
    numbered = enumerate((ann, ann, eve, ann), 1)
    flags = [
        StoredFlag(number, NOW, orjson.dumps(record_to_dict(record(flag=f"p/run:{number}", owner=owner))))
        for number, owner in numbered
    ]
    found = []

    async def life(outbox: FlagOutbox, cursor: int, *, forgets: bool) -> None:
        alerts = Alerts(store, outbox, settings, clocks=CLOCKS)
        async with running(alerts):
            if forgets:
                await until(lambda: store.cursor() == 1)
                found.append(list(alerts.notifier.registered))
                await alerts.subscriptions.forget(EVERYBODY, ann, NOW)
                outbox.add(flags[1:3])
            await until(lambda: store.cursor() == cursor)
            found.append(list(alerts.notifier.registered))

    asyncio.run(life(FlagOutbox(flags[:1]), 3, forgets=True))
    asyncio.run(life(FlagOutbox(flags[3:]), 4, forgets=False))

    assert found == [[subscription_id(ann)], [subscription_id(eve)], [subscription_id(eve)]]


def test_an_owner_who_has_deleted_their_subscription_is_not_subscribed_again(store: AlertStore) -> None:
    """Also where it was made before a restart and deleted after it."""
    mail = MailServer("mail.example.com", 587, "a@example.com")
    settings = AlertSettings(owners=Owners([OwnerRule("x", pipeline="none")]), mail=mail)
    flags = [
        StoredFlag(number, NOW, orjson.dumps(record_to_dict(record(flag=f"p/run:{number}", owner="ann@example.com"))))
        for number in (1, 2)
    ]
    name = subscription_id("ann@example.com")

    async def life(outbox: FlagOutbox, cursor: int, *, deletes: bool) -> list[str]:
        alerts = Alerts(store, outbox, settings, clocks=CLOCKS)
        async with running(alerts):
            if deletes:
                alerts.subscriptions.delete(EVERYBODY, name, NOW)
                await alerts.subscriptions.saved()
                outbox.add(flags[1:])
            await until(lambda: store.cursor() == cursor)
            return list(alerts.notifier.registered)

    assert asyncio.run(life(FlagOutbox(flags[:1]), 1, deletes=False)) == [name]
    assert asyncio.run(life(FlagOutbox(), 2, deletes=True)) == []


def test_changes_that_are_being_saved_when_it_ends_are_saved(store: AlertStore) -> None:
    """Also where no thread has begun with them yet: a message that was sent would be sent again after the start."""
    alerts, busy = Alerts(store, FlagOutbox(), clocks=CLOCKS), threading.Event()
    sink = {"kind": "kafka", "topic": "t"}
    made = register(make_subscription({"id": "s", "name": "n", "owner": "ann", "sink": sink}), NOW)

    async def body() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        blocking = loop.run_in_executor(None, busy.wait)
        alerts.notifier.put(made)
        saving = asyncio.create_task(alerts.notifier.saved())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        saving.cancel()
        loop.call_soon(busy.set)
        await asyncio.gather(saving, blocking, return_exceptions=True)
        assert saving.cancelled()

    asyncio.run(body())
    assert [each.subscription.id for each in store.subscriptions()] == ["s"]
