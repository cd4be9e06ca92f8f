"""Messages find their sinks, once each, whatever sinks and the disk do meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stream_app.alerts.flags import Change
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.registered import Registered, register
from stream_app.alerts.saved import AlertStoreError, Changes
from stream_app.alerts.secrets import Vault
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscriptions import make_subscription
from stream_app.alerts.texts import Text
from tests.alerts.records import NOW, record

VAULT = Vault(b"a key for the tests only")


def subscription(name: str, **more: Any) -> Registered:
    """A subscription to everything, sent at once."""
    given = {"id": name, "name": name, "owner": "ann", "sink": {"kind": "kafka", "topic": name}}
    return register(make_subscription({**given, "delivery": {"min_hold_seconds": 0}, **more}), NOW)


class Recorder:
    """A sink that answers as it is told, and keeps what arrived."""

    def __init__(self, answer: Callable[[Outgoing], Result] = lambda _: Result()) -> None:
        self.answer = answer
        self.arrived: list[str] = []
        self.release = asyncio.Event()
        self.release.set()

    async def send(self, message: Outgoing) -> Result:
        """Keeps a message that is taken."""
        await self.release.wait()
        result = self.answer(message)
        if result.succeeded:
            self.arrived.append(message.id)
        return result


class Bench:
    """A notifier over a real store, with a recorder for each subscription."""

    def __init__(self, path: Path) -> None:
        self.store = AlertStore(path / "alerts.db", VAULT)
        self.sinks: dict[str, Recorder] = {}
        self.notifier = self.start()

    def start(self) -> Notifier:
        """A notifier with what the store holds, as after a restart."""
        self.notifier = Notifier(self.save, self.sink)
        self.notifier.load(self.store.subscriptions(), self.store.rows())
        for number, logged_ms, each in self.store.flags_after(self.store.cursor()):
            self.notifier.accept(each, logged_ms, number)
        return self.notifier

    async def save(self, changes: Changes) -> None:
        """Saves into the store."""
        self.store.save(changes)

    def sink(self, registered: Registered) -> Recorder:
        """The recorder of a subscription."""
        return self.sinks.setdefault(registered.subscription.id, Recorder())

    def flags(self, *records: Any) -> None:
        """Appends records, and hands them to the notifier."""
        self.store.append_flags(records, NOW)
        for number, logged_ms, each in self.store.flags_after(self.store.cursor()):
            self.notifier.accept(each, logged_ms, number)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Runs until something holds."""
        running = asyncio.ensure_future(self.notifier.run())
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.005)
                if running.done():
                    await running
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench, closed at the end."""
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_each_subscription_gets_its_messages_in_order(bench: Bench) -> None:
    """Those that its filter lets through."""
    bench.notifier.put(subscription("all"))
    bench.notifier.put(subscription("some", filter={"pipeline": "q*"}))

    async def body() -> None:
        bench.flags(record(), record(2, Change.REVISED), record(1, flag="q/run:1", pipeline="q"))
        await bench.until(lambda: len(bench.sinks.get("all", Recorder()).arrived) == 3 and "some" in bench.sinks)

    asyncio.run(body())
    assert bench.sinks["all"].arrived == ["p/run:r1#1@all", "p/run:r1#2@all", "q/run:1#1@all"]
    assert bench.sinks["some"].arrived == ["q/run:1#1@some"]


def test_a_message_that_waits_for_a_retry_delays_no_other(bench: Bench) -> None:
    """Nor does the next one of its flag, which must not come first."""
    bench.notifier.put(subscription("failing"))
    bench.notifier.put(subscription("quick"))
    bench.sinks["failing"] = Recorder(lambda _: Result("away"))

    async def body() -> None:
        bench.flags(record())
        await bench.until(lambda: bench.notifier.mailboxes["failing"].failing_ms is not None)
        bench.flags(record(2, Change.REVISED))
        await bench.until(lambda: len(bench.sinks["quick"].arrived) == 2)

    asyncio.run(body())
    assert list(bench.notifier.mailboxes["failing"].messages) == ["p/run:r1#1", "p/run:r1#2"]


def test_a_sink_that_hangs_delays_no_other(bench: Bench) -> None:
    """Each subscription has its own turn."""
    bench.notifier.put(subscription("slow"))
    bench.notifier.put(subscription("quick"))

    async def body() -> None:
        bench.sinks["slow"] = Recorder()
        bench.sinks["slow"].release.clear()
        bench.flags(record(), record(flag="p/run:r2"))
        running = asyncio.ensure_future(bench.notifier.run())
        async with asyncio.timeout(20):
            while len(bench.sinks.get("quick", Recorder()).arrived) < 2:
                await asyncio.sleep(0.005)
        assert bench.sinks["slow"].arrived == []
        bench.sinks["slow"].release.set()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(body())
    assert len(bench.sinks["slow"].arrived) == 1


def test_a_sink_that_fails_in_an_unforeseen_way_is_a_failure(bench: Bench) -> None:
    """With a reason in the log, and the notifier goes on."""
    bench.notifier.put(subscription("broken"))

    def fail(_: Outgoing) -> Result:
        raise RuntimeError("a defect")

    async def body() -> None:
        bench.sinks["broken"] = Recorder(fail)
        bench.flags(record())
        await bench.until(lambda: bool(bench.store.deliveries("broken", 10)))

    asyncio.run(body())
    (delivery,) = bench.store.deliveries("broken", 10)
    assert (delivery.entry.fate, delivery.entry.reason) == ("failed", "the sink failed: RuntimeError")


def test_own_words_that_fail_hold_up_no_delivery(bench: Bench) -> None:
    """The default is sent, and the log says why; a digest has the own words of each flag."""
    bench.notifier.put(subscription("fails", text={"title": "{{ jobs[7] }}", "body": "mine"}))
    bench.notifier.put(subscription("many", text={"title": "<{{ run }}>"}, delivery={
        "min_hold_seconds": 0, "group_by": "pipeline", "group_seconds": 0.05}))  # fmt: skip
    texts: dict[str, list[Text]] = {"fails": [], "many": []}

    async def body() -> None:
        for name, found in texts.items():
            bench.sinks[name] = Recorder(lambda message, found=found: found.append(message.text) or Result())
        bench.flags(record(), record(flag="p/run:r2"))
        await bench.until(lambda: len(texts["fails"]) == 2 and len(texts["many"]) == 1)

    asyncio.run(body())
    assert {(each.title[:6], each.body) for each in texts["fails"]} == {("Run r1", "mine"), ("Run r2", "mine")}
    assert [line for line in texts["many"][0].body.splitlines() if line.startswith("<")] == ["<r1>", "<r2>"]
    reasons = {each.entry.reason.partition(":")[0] for each in bench.store.deliveries("fails", 10)}
    assert reasons == {"sent with the default text; text.title"}


def test_a_sink_that_is_gone_disables_its_subscription(bench: Bench) -> None:
    """For good, with the reason; what waits is dead, and nothing more is sent."""
    bench.notifier.put(subscription("gone"))

    async def body() -> None:
        bench.sinks["gone"] = Recorder(lambda _: Result("HTTP 410", gone=True))
        bench.flags(record(), record(flag="p/run:r2"))
        await bench.until(lambda: bench.notifier.registered["gone"].subscription.state == "disabled")

    asyncio.run(body())
    assert bench.store.subscriptions()[0].subscription.disabled_reason == "HTTP 410"
    assert {each.entry.fate for each in bench.store.deliveries("gone", 10)} == {"failed", "dead"}
    assert bench.notifier.mailboxes["gone"].messages == {}


def test_what_cannot_be_saved_is_not_sent(bench: Bench) -> None:
    """The disk is full; afterwards everything is sent, and the reason is gone."""
    bench.notifier.put(subscription("all"))
    full, reasons = True, []

    async def save(changes: Changes) -> None:
        if full:
            raise AlertStoreError("disk full")
        bench.store.save(changes)

    async def body() -> None:
        nonlocal full
        bench.notifier = Notifier(save, bench.sink)
        bench.notifier.put(subscription("all"))
        bench.flags(record())
        await bench.until(lambda: bench.notifier.unavailable_reason != "")
        reasons.append((bench.notifier.unavailable_reason, len(bench.sinks)))
        full = False
        await bench.until(lambda: bool(bench.sinks) and bool(bench.sinks["all"].arrived))

    asyncio.run(body())
    assert reasons == [("disk full", 0)]
    assert bench.sinks["all"].arrived == ["p/run:r1#1@all"]


def test_what_could_not_be_saved_is_saved_although_the_next_message_is_far_away(bench: Bench) -> None:
    """It is due tomorrow, and nothing else wakes the notifier: it is ready again as soon as the disk is."""
    tries: list[int] = []

    async def save(changes: Changes) -> None:
        tries.append(len(changes.rows))
        if len(tries) <= 2:
            raise AlertStoreError("disk full")
        bench.store.save(changes)

    async def body() -> None:
        bench.notifier = Notifier(save, bench.sink)
        bench.notifier.put(subscription("tomorrow", delivery={"min_hold_seconds": 86_400}))
        bench.notifier.accept(record(), bench.notifier._clocks.now_ms(), 1)
        await bench.until(lambda: len(tries) > 2 and not bench.notifier.unavailable_reason)

    asyncio.run(body())
    assert bench.store.rows()


def test_a_message_that_is_due_does_not_hasten_the_next_save(bench: Bench) -> None:
    """A disk that is full is tried each second, not as often as the processor can."""

    async def body() -> float | None:
        bench.notifier.put(subscription("all"))
        bench.notifier.accept(record(), NOW, 1)
        bench.notifier.unavailable_reason = "disk full"
        return bench.notifier._start_due()

    assert asyncio.run(body()) == 1.0
    assert not bench.notifier._tasks


@pytest.mark.parametrize("before", range(6))
def test_a_restart_loses_and_repeats_nothing_that_was_saved(bench: Bench, before: int) -> None:
    """However many messages were sent before it: whoever heard of a flag hears of its end, once."""
    names = [f"p/run:{number}" for number in range(6)]
    bench.notifier.put(subscription("all"))
    recorder = bench.sinks["all"] = Recorder()

    async def body() -> None:
        bench.flags(*(record(flag=name) for name in names))
        await bench.until(lambda: len(recorder.arrived) >= before and bool(bench.store.rows()))
        bench.start()
        bench.flags(*(record(2, Change.RESOLVED, name) for name in names))
        await bench.until(lambda: not bench.notifier.mailboxes["all"].messages)

    asyncio.run(body())
    raised = {each.split("#")[0] for each in recorder.arrived if "#1@" in each}
    assert len(raised) >= before
    assert {f"{name}#2@all" for name in raised} <= set(recorder.arrived)
    assert max(Counter(recorder.arrived).values(), default=1) == 1


def test_a_deleted_subscription_leaves_nothing(bench: Bench) -> None:
    """Neither rows nor messages."""
    bench.notifier.put(subscription("all"))

    async def body() -> None:
        bench.flags(record())
        await bench.until(lambda: bool(bench.store.rows()))
        bench.notifier.remove("all")
        bench.notifier.remove("all")
        await bench.until(lambda: not bench.store.subscriptions())

    asyncio.run(body())
    assert bench.store.rows() == {}
    assert bench.notifier.matcher.match(record()) == []


def test_a_paused_subscription_waits(bench: Bench) -> None:
    """Its messages are sent when it is active again."""
    bench.notifier.put(subscription("all"))
    bench.notifier.put(subscription("other"))

    async def body() -> None:
        bench.flags(record())
        bench.notifier.put(subscription("all", state="paused"))
        await bench.until(lambda: bool(bench.sinks) and bool(bench.sinks["other"].arrived))
        assert "all" not in bench.sinks
        bench.notifier.put(subscription("all"))
        await bench.until(lambda: "all" in bench.sinks and bool(bench.sinks["all"].arrived))

    asyncio.run(body())


def test_a_message_waits_where_the_disk_fails_right_before_it_is_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another could have its id after a loss of power. Once it can be saved it is sent; at the end nothing hangs."""
    monkeypatch.setattr("stream_app.alerts.notifier._SAVE_AGAIN_SECONDS", 0.01)
    bench.notifier.put(subscription("s"))
    full, failed, save = False, 0, bench.store.save

    def saving(changes: Changes) -> None:
        nonlocal full, failed
        if full:
            failed += 1
            raise AlertStoreError("the disk is full")
        save(changes)
        full = changes.cursor is not None  # the record is saved, what follows is not

    monkeypatch.setattr(bench.store, "save", saving)

    async def body() -> None:
        nonlocal full
        bench.sinks["s"] = Recorder()
        bench.flags(record())
        await bench.until(lambda: failed > 3)
        assert bench.sinks["s"].arrived == []
        full = False
        monkeypatch.setattr(bench.store, "save", save)
        bench.start()
        await bench.until(lambda: bool(bench.sinks["s"].arrived))

    asyncio.run(body())
    assert bench.sinks["s"].arrived == ["p/run:r1#1@s"]
