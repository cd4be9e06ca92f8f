"""What is changed through the topics of the group: all of one request, or what came before its error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from stream_app.alerts.forgetting import Erasure, mark_of
from stream_app.alerts.registered import Registered, register
from stream_app.alerts.saved import AlertStoreError, AuditEntry
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.subscribers import ConflictError
from stream_app.alerts.subscriptions import make_subscription
from stream_app.alerts.texts import Text
from stream_app.kafka.alerting import in_time
from stream_app.kafka.alerting.deliveries import Again, read_delivery
from stream_app.kafka.alerting.group import GroupLogs, NotifierGroup
from stream_app.kafka.alerting.log_entries import LoggedAudit, read_entry
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.state.outbox import Message
from tests.alerts.records import NOW, record

NAMES = Names()
AUDITED = AuditEntry(NOW, "ann", "create", "s")


def subscription(name: str = "s") -> Registered:
    given = {"id": name, "name": name, "owner": "ann", "sink": {"kind": "kafka", "topic": name}}
    return register(make_subscription(given), NOW)


class Topics:
    """Takes what is written, or fails."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Any]] = []
        self.errors: list[Exception] = []
        self.away = asyncio.Event()
        self.away.set()
        self.registered: dict[str, Registered] = {}
        self.group = NotifierGroup(NAMES, self, self.send, lambda _: self)  # type: ignore[arg-type]

    async def write(self, name: str, registered: Registered | None) -> None:
        """As `SubscriptionLog` does."""
        await self._take((name, registered))

    async def send(self, messages: Iterable[Any]) -> Result:
        """As a sender of messages, and as a sink."""
        if isinstance(messages, Outgoing):
            return Result("refused")
        for each in messages:
            await self._take((each.topic, each))
        return Result()

    async def _take(self, written: tuple[str, Any]) -> None:
        await self.away.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.written.append(written)


def test_changes_are_made_in_order_when_they_are_saved() -> None:
    """Not before."""

    async def body() -> None:
        topics = Topics()
        topics.group.put(subscription())
        topics.group.audit(AUDITED)
        topics.group.remove("t")
        topics.group.again("s", "m", [record()], NOW)
        assert topics.written == []
        await topics.group.saved()
        (name, made), (log, audited), removed, (deliveries, again) = topics.written
        assert (name, made, removed) == ("s", subscription_of(made), ("t", None))
        assert (log, read_entry(1, audited.value)) == (NAMES.alert_log, LoggedAudit(1, AUDITED))
        assert (deliveries, read_delivery(again.key, again.value)) == (
            NAMES.deliveries,
            Again("s", "m", (record(),)),
        )
        await topics.group.saved()
        assert len(topics.written) == 4

    asyncio.run(body())


def subscription_of(made: Registered) -> Registered:
    assert made.subscription.id == "s"
    return made


def test_requests_at_the_same_time_save_their_own_changes() -> None:
    """An error of one is no error of the other."""

    async def body() -> None:
        topics = Topics()
        topics.errors = [ConflictError("came second")]
        topics.group.put(subscription("a"))
        topics.group.audit(AUDITED)
        first = asyncio.create_task(topics.group.saved())
        await asyncio.sleep(0)
        topics.group.put(subscription("b"))
        second = asyncio.create_task(topics.group.saved())
        with pytest.raises(ConflictError):
            await first
        await second
        await topics.group.saved()
        assert [name for name, _ in topics.written] == ["b"]

    asyncio.run(body())


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KafkaConnectionError(), AlertStoreError),
        (AlertStoreError("not now"), AlertStoreError),
        (ConflictError("came second"), ConflictError),
        (MessageSizeTooLargeError(), MessageSizeTooLargeError),
    ],
)
def test_after_an_error_nothing_more_of_the_request_is_done(error: Exception, raised: type[Exception]) -> None:
    """Neither now nor by the next request; a Kafka that is away is a reason to ask again."""

    async def body() -> None:
        topics = Topics()
        topics.group.remove("before")
        topics.group.put(subscription())
        topics.group.audit(AUDITED)
        topics.errors = []
        write = topics.write

        async def fail(name: str, registered: Registered | None) -> None:
            if name == "s":
                raise error
            await write(name, registered)

        topics.write = fail  # type: ignore[method-assign]
        topics.group._pending[1] = lambda: fail("s", None)
        with pytest.raises(raised):
            await topics.group.saved()
        await topics.group.saved()
        assert topics.written == [("before", None)]

    asyncio.run(body())


def test_a_kafka_that_takes_nothing_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer itself never gives up."""
    monkeypatch.setattr(in_time, "SECONDS", 0.01)

    async def body() -> None:
        topics = Topics()
        topics.away.clear()
        topics.group.audit(AUDITED)
        with pytest.raises(AlertStoreError, match="it may yet"):
            await topics.group.saved()

    asyncio.run(body())


def test_a_test_asks_the_sink_at_once() -> None:
    """Nothing is written."""

    async def body() -> None:
        topics = Topics()
        result = await topics.group.test(subscription(), Outgoing("m", (), Text("", "", ""), {}))
        assert (result.reason, topics.written) == ("refused", [])

    asyncio.run(body())


@pytest.mark.parametrize("error", [None, KafkaConnectionError(), TimeoutError()])
def test_an_erasure_is_counted_when_this_process_has_it(error: Exception | None) -> None:
    """A Kafka that is away is a reason to ask again."""

    async def body() -> None:
        sent: list[Message] = []
        forgotten: list[Any] = []

        async def read_to_end() -> None:
            if error is not None:
                raise error
            waiting["forgotten-1"].deliveries += 3

        async def forget(mark: str, names: Iterable[str]) -> None:
            forgotten.append((mark, list(names)))

        async def send(messages: Iterable[Message]) -> None:
            sent.extend(messages)

        waiting: dict[str, Erasure] = {}
        alert_log = SimpleNamespace(log=SimpleNamespace(read_to_end=read_to_end), waiting=waiting)
        subscriptions = SimpleNamespace(deleted={"x"}, forget=forget)
        logs = GroupLogs("log", alert_log, subscriptions, send)  # type: ignore[arg-type]
        wanted = Erasure(["s"], "ann", "forgotten-1")
        if error is not None:
            with pytest.raises(AlertStoreError):
                await logs.erase(wanted)
            assert not waiting
            return
        await logs.erase(wanted)
        assert wanted.deliveries == 3
        assert not waiting  # the name is not kept in memory
        assert forgotten == [(mark_of("ann"), ["s"])]
        assert len(sent) == 1
        assert "x" in logs.deleted()

    asyncio.run(body())
