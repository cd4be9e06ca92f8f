"""Owners hear, by another way and once, that a subscription fails and that it is disabled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.alerts.clocks import Clocks
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.registered import Registered, register
from stream_app.alerts.saved import Changes
from stream_app.alerts.secrets import Vault
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscriptions import State, Subscription, make_subscription
from stream_app.alerts.warner import SendWarning, WarningSender
from stream_app.alerts.warnings import OwnerWarning
from stream_app.core.units import HOUR_MS
from tests.alerts.records import NOW, record

MAIL = {"kind": "email", "to": ["ann@example.com"]}
FAILS, DISABLED = "The subscription hook fails, and will be disabled", "The subscription hook is disabled"


def subscription(name: str, sink: dict[str, Any], **more: Any) -> Subscription:
    """A subscription of ann; those by e-mail hear of no flag of these tests."""
    other = {"filter": {"pipeline": "other"}} if sink["kind"] != "kafka" else {}
    given = {"id": name, "name": name, "owner": "ann", "sink": sink, "delivery": {"min_hold_seconds": 0}}
    return make_subscription({**given, **other, **more})


class Sinks:
    """Sinks by the names of subscriptions; those without an answer take everything."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[], Result]] = {}
        self.taken: list[tuple[str, Outgoing]] = []

    def of(self, registered: Registered) -> Any:
        """The sink of a subscription."""
        name = registered.subscription.id

        class Answering:
            async def send(_, message: Outgoing) -> Result:  # noqa: N805
                result = self.answers.get(name, Result)()
                if result.succeeded:
                    self.taken.append((name, message))
                return result

        return Answering()

    def titles(self, name: str) -> list[str]:
        """The titles of what a sink has taken."""
        return [message.text.title for taker, message in self.taken if taker == name]


class Bench:
    """A notifier over a real store with a clock that is set; the subscription `hook` fails."""

    def __init__(self, folder: Path) -> None:
        self.store = AlertStore(folder / "alerts.db", Vault(b"a key for the tests only"))
        #: One loop for all, since what a notifier waits for belongs to the loop in which it ran first.
        self.loop = asyncio.Runner()
        self.run = self.loop.run
        self.now_ms = NOW
        self.sinks = Sinks()
        self.sinks.answers["hook"] = lambda: Result("HTTP 503")
        self.ways: list[str] = []
        self.contact: Subscription | None = None
        self.send_warning: SendWarning = WarningSender(self.sinks.of, lambda _: self.contact, self.ways.append)
        self.start()
        self.notifier.put(register(subscription("hook", {"kind": "kafka", "topic": "t"}), NOW))

    def start(self) -> None:
        """Starts anew with what is stored."""
        clocks = Clocks(lambda: self.now_ms, lambda: self.now_ms / 1000.0, lambda: 0.5)
        self.notifier = Notifier(
            self.save, self.sinks.of, clocks=clocks, send_warning=lambda *given: self.send_warning(*given)
        )
        self.notifier.load(self.store.subscriptions(), self.store.rows())

    async def save(self, changes: Changes) -> None:
        """Saves into the store."""
        self.store.save(changes)

    def at(self, hours: float, *records: Any) -> None:
        """Does what there is to do at a time, after some records have come."""
        self.now_ms = NOW + round(hours * HOUR_MS)
        for each in records:
            self.notifier.accept(each, self.now_ms, 1)
        self.run(self.settle())

    def idle(self) -> bool:
        """Whether nothing is left to do at this time."""
        notifier = self.notifier
        first_ms = notifier._schedule.first_ms()
        due = first_ms is not None and first_ms <= self.now_ms
        sending = notifier._tasks or notifier._warner._tasks or notifier._warner._waiting
        return not (due or sending or notifier._dirty or notifier._changes)

    async def settle(self) -> None:
        """Runs until nothing is left to do at this time."""
        running = asyncio.ensure_future(self.notifier.run())
        async with asyncio.timeout(20):
            while not self.idle():
                await asyncio.sleep(0.001)
                assert not running.done()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    def audit(self) -> list[str]:
        """What the audit log says of the subscription that fails, oldest first."""
        return [f"{each.who}: {each.what}" for each in reversed(self.store.audit(10)) if each.subject == "hook"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench, closed at the end."""
    made = Bench(tmp_path)
    yield made
    made.loop.close()
    made.store.close()


def failing_for_days(bench: Bench, until: int) -> None:
    """A new flag each twelve hours, none of which arrives."""
    for number, hours in enumerate(range(0, until, 12)):
        bench.at(hours, record(flag=f"p/run:{number}"))


def test_the_owner_hears_a_day_before_and_when_it_is_disabled(bench: Bench) -> None:
    """Once each, by another subscription, and the audit log has it."""
    bench.notifier.put(register(subscription("mail", MAIL), NOW))
    failing_for_days(bench, 96)
    bench.at(95.999)
    assert bench.sinks.titles("mail") == []

    bench.at(96)
    bench.at(110, record(flag="p/run:x"))
    assert bench.sinks.titles("mail") == [FAILS]

    bench.at(121, record(flag="p/run:y"))
    bench.at(140, record(flag="p/run:z"))
    assert bench.sinks.titles("mail") == [FAILS, DISABLED]
    assert bench.ways == ["subscription"] * 2
    assert bench.audit() == [
        "stream-app: warn failing: by 1 other subscription",
        "stream-app: warn disabled: by 1 other subscription",
    ]
    assert bench.notifier.registered["hook"].subscription.disabled_reason == "no message arrived for 120 hours"


def test_the_owner_hears_although_nothing_is_attempted(bench: Bench) -> None:
    """The only message was given up long ago; the time alone makes the warning due, also over a restart."""
    bench.notifier.put(register(subscription("mail", MAIL), NOW))
    for hours in (0, 0.01, 1, 2, 5, 11, 22, 33):
        bench.at(hours, *([record()] if hours == 0 else []))
    assert not bench.notifier.mailboxes["hook"].messages
    bench.start()
    bench.at(100)

    (message,) = [message for name, message in bench.sinks.taken if name == "mail"]
    assert "The last attempt: HTTP 503" in message.text.body


def test_nothing_is_repeated_after_a_restart(bench: Bench) -> None:
    """Neither the warning nor the word that it is disabled."""
    bench.notifier.put(register(subscription("mail", MAIL), NOW))
    failing_for_days(bench, 96)
    for hours in (96, 97, 98):
        bench.at(hours)
        bench.start()
    assert bench.sinks.titles("mail") == [FAILS]

    for hours in (120, 121, 122):
        bench.at(hours, record(flag=f"p/run:{hours}"))
        bench.start()
    assert bench.sinks.titles("mail") == [FAILS, DISABLED]


def test_a_warning_that_was_not_sent_before_a_restart_is_sent_after_it(bench: Bench) -> None:
    """It is saved before it is sent."""
    bench.notifier.put(register(subscription("mail", MAIL), NOW))
    failing_for_days(bench, 96)
    bench.notifier._warn("hook", OwnerWarning(False, NOW, NOW, "HTTP 503"))
    bench.run(bench.notifier.saved())
    assert bench.sinks.titles("mail") == []

    bench.start()
    bench.at(96)
    assert bench.sinks.titles("mail") == [FAILS]


def test_a_sink_that_is_gone_is_reported_at_once(bench: Bench) -> None:
    """With what it answered."""
    bench.notifier.put(register(subscription("mail", MAIL), NOW))
    bench.sinks.answers["hook"] = lambda: Result("HTTP 410", gone=True)
    bench.at(0, record())

    (message,) = [message for name, message in bench.sinks.taken if name == "mail"]
    assert message.text.title == DISABLED
    assert "The last attempt: HTTP 410" in message.text.body
    assert message.records == ()


def test_a_message_that_arrives_ends_the_count(bench: Bench) -> None:
    """What fails later is warned of later, and again."""
    bench.notifier.put(register(subscription("mail", MAIL), NOW))
    failing_for_days(bench, 97)
    assert bench.sinks.titles("mail") == [FAILS]
    bench.sinks.answers["hook"] = Result
    bench.at(108)
    bench.sinks.answers["hook"] = lambda: Result("HTTP 500")
    bench.at(109, record(flag="p/run:late"))
    bench.at(109 + 95)
    assert bench.sinks.titles("mail") == [FAILS]
    bench.at(109 + 96)

    assert bench.sinks.titles("mail") == [FAILS, FAILS]


@pytest.mark.parametrize("state", [State.DISABLED, State.PAUSED])
def test_what_is_resumed_fails_anew(bench: Bench, state: State) -> None:
    """Its first failure does not disable it for those of last week."""
    failing_for_days(bench, 100)
    hook = bench.notifier.registered["hook"]
    bench.notifier.put(hook.changed(hook.subscription.model_copy(update={"state": state}), NOW))
    bench.at(200)
    bench.notifier.put(hook.changed(hook.subscription, NOW))
    bench.run(bench.notifier.saved())
    bench.start()
    bench.at(201, record(flag="p/run:late"))

    assert bench.notifier.registered["hook"].subscription.state is State.ACTIVE
    assert bench.notifier.mailboxes["hook"].failing_ms == NOW + 201 * HOUR_MS


def test_without_another_subscription_the_owner_is_written_to(bench: Bench) -> None:
    """At the address of the owners file."""
    bench.contact = subscription("owner.ann", MAIL)
    bench.sinks.answers["hook"] = lambda: Result("HTTP 410", gone=True)
    bench.at(0, record())

    assert bench.sinks.titles("owner.ann") == [DISABLED]
    assert (bench.ways, bench.audit()) == (["owner"], ["stream-app: warn disabled: by the owner's address"])


def test_where_no_other_way_works_the_owner_is_written_to(bench: Bench) -> None:
    """A way that fails is none; one that fails in an unforeseen way neither."""
    bench.notifier.put(register(subscription("mail", MAIL), NOW))
    bench.notifier.put(register(subscription("broken", {**MAIL, "to": ["bob@example.com"]}), NOW))
    bench.contact = subscription("owner.ann", {**MAIL, "to": ["ads@example.com"]})
    bench.sinks.answers |= {
        "hook": lambda: Result("HTTP 410", gone=True),
        "mail": lambda: Result("the mail server refuses the receivers"),
        "broken": lambda: Result(no="result"),  # type: ignore[call-arg],
    }
    bench.at(0, record())

    assert bench.sinks.titles("owner.ann") == [DISABLED]


@pytest.mark.parametrize("contact", [None, "fails", "same"])
def test_whoever_cannot_be_reached_is_warned_in_the_log(
    bench: Bench, contact: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line, and it is counted."""
    bench.sinks.answers |= {
        "hook": lambda: Result("HTTP 410", gone=True),
        "mail": lambda: Result("no"),
        "owner.ann": lambda: Result("no"),
    }
    if contact is not None:
        bench.notifier.put(register(subscription("mail", {**MAIL, "to": ["bob@example.com"]}), NOW))
        to = ["bob@example.com"] if contact == "same" else ["ann@example.com"]
        bench.contact = subscription("owner.ann", {**MAIL, "to": to})
    with caplog.at_level(logging.WARNING):
        bench.at(0, record())

    (line,) = [each.getMessage() for each in caplog.records if "cannot be reached" in each.getMessage()]
    assert "stream-app subscriptions resume hook" in line
    assert "\n" not in line
    assert (bench.ways, bench.audit()) == (["log"], ["stream-app: warn disabled: by the log alone"])


def test_whatever_telling_does_delays_no_mailbox(bench: Bench) -> None:
    """It hangs, then fails in an unforeseen way; the other subscriptions send meanwhile."""
    release = asyncio.Event()

    async def send(*_: OwnerWarning | Registered | Iterable[Registered]) -> str:
        await release.wait()
        raise RuntimeError("a defect")

    bench.send_warning = send
    bench.notifier.put(register(subscription("other", {"kind": "kafka", "topic": "u"}), NOW))
    bench.sinks.answers["hook"] = lambda: Result("HTTP 410", gone=True)

    async def body() -> None:
        running = asyncio.ensure_future(bench.notifier.run())
        async with asyncio.timeout(20):
            bench.notifier.accept(record(), NOW, 1)
            while not bench.notifier._warner._tasks:
                await asyncio.sleep(0.001)
            bench.notifier.accept(record(flag="p/run:r2"), NOW, 2)
            while len(bench.sinks.titles("other")) < 2:
                await asyncio.sleep(0.001)
            release.set()
            while not bench.idle():
                await asyncio.sleep(0.001)
        assert not running.done()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    bench.run(body())
    assert bench.audit() == ["stream-app: warn disabled: by the log alone"]
    assert bench.notifier.mailboxes["hook"].warning is None


def test_many_warnings_are_sent_a_few_at_a_time(bench: Bench) -> None:
    """All of them in the end; those of subscriptions that are deleted meanwhile are not."""
    names = [f"s{number}" for number in range(50)]
    warned: list[str] = []
    most = 0

    async def send(_: OwnerWarning, failing: Registered, __: Iterable[Registered]) -> str:
        nonlocal most
        most = max(most, len(bench.notifier._warner._tasks))
        await asyncio.sleep(0)
        warned.append(failing.subscription.id)
        return "by mail"

    bench.send_warning = send
    warning = OwnerWarning(True, NOW, NOW, "HTTP 410")
    for name in names:
        bench.notifier.put(register(subscription(name, {"kind": "kafka", "topic": name}), NOW))
        bench.notifier._warn(name, warning)
    bench.notifier.remove("s7")
    bench.at(0)

    assert sorted(warned) == sorted(set(names) - {"s7"})
    assert most == 20


def test_a_row_of_an_earlier_release_has_no_warning(bench: Bench) -> None:
    """It is read all the same."""
    bench.at(0, record())
    rows = bench.store.rows()
    (key,) = [each for each in rows if b"\0box\0" in each]
    box = orjson.loads(rows[key])
    early = {name: box[name] for name in ("failing_ms", "made", "thread")}
    bench.store.save(Changes(rows={key: orjson.dumps(early)}))
    bench.start()

    mailbox = bench.notifier.mailboxes["hook"]
    assert (mailbox.failing_ms, mailbox.failing_reason) == (NOW, "")
    assert (mailbox.warned, mailbox.warning) == (False, None)
