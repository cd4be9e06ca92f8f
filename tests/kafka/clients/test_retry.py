"""Attempts are repeated while Kafka is away, and each problem is logged once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from stream_app.errors import OptionsError
from stream_app.kafka.clients.retry import Problem, cause, is_transient, retry


class Attempts:
    """Fails with the given errors, one after the other, and then succeeds; keeps what happened in order."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.events: list[str] = []

    async def __call__(self) -> str:
        self.events.append("attempt")
        if self.errors:
            raise self.errors.pop(0)
        return "result"

    async def sleep(self, seconds: float) -> None:
        self.events.append(f"sleep {seconds:g}")

    def report(self, text: str) -> None:
        self.events.append(f"report {text}")

    def run(self, wanted: Callable[[], bool] = lambda: True, what: str = "") -> str | None:
        return asyncio.run(retry(self, self.report, what, wanted=wanted, seconds=3.0, sleep=self.sleep))


def test_a_first_success_is_returned_at_once() -> None:
    attempts = Attempts()

    assert attempts.run() == "result"
    assert attempts.events == ["attempt", "report "]


def test_transient_errors_are_reported_and_followed_by_a_pause_and_another_attempt() -> None:
    attempts = Attempts(KafkaTimeoutError("full"), KafkaConnectionError("away"))

    assert attempts.run(what="not sent") == "result"
    assert attempts.events == [
        "attempt", "report not sent: KafkaTimeoutError: full", "sleep 3",
        "attempt", "report not sent: KafkaConnectionError: away", "sleep 3",
        "attempt", "report ",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError(), ZeroDivisionError()], ids=repr)
def test_other_errors_are_raised_from_the_first_attempt(error: Exception) -> None:
    attempts = Attempts(error)

    with pytest.raises(type(error)):
        attempts.run()

    assert attempts.events == ["attempt"]


def test_what_is_not_wanted_is_not_attempted() -> None:
    attempts = Attempts()

    assert attempts.run(wanted=lambda: False) is None
    assert attempts.events == []


def test_what_is_no_longer_wanted_after_a_failure_ends_without_a_pause() -> None:
    attempts = Attempts(KafkaTimeoutError("full"))

    assert attempts.run(wanted=lambda: bool(attempts.errors)) is None
    assert attempts.events == ["attempt", "report KafkaTimeoutError: full"]


def test_a_pause_can_be_cancelled() -> None:
    attempts = Attempts(KafkaTimeoutError("full"))

    async def cancelled() -> None:
        task = asyncio.create_task(retry(attempts, attempts.report, seconds=3600))
        while not attempts.events[1:]:
            await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (KafkaConnectionError(), True),
        (UnknownTopicOrPartitionError(), True),
        (NotLeaderForPartitionError(), True),
        (KafkaTimeoutError(), True),
        (MessageSizeTooLargeError(), False),
        (TopicAuthorizationFailedError(), False),
        (KafkaError(), False),
        (OSError(), False),
    ],
    ids=repr,
)
def test_errors_that_may_be_over_are_transient(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


def test_a_problem_is_logged_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    """An outage is one line however long it lasts; the same outage later is another."""
    problem = Problem(logging.getLogger("test"))
    for text in ("away", "away", "full", "", "full"):
        problem.report(text)

    assert [record.getMessage() for record in caplog.records] == [
        "away; trying again",
        "full; trying again",
        "full; trying again",
    ]
    assert problem.text == "full"


def test_the_problem_at_the_start_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    problem = Problem(logging.getLogger("test"), "not started")
    problem.report("not started")

    assert (problem.text, caplog.records) == ("not started", [])


def test_a_clock_that_is_ahead_is_named() -> None:
    """Kafka refuses records from an hour or more ahead; an error of another kind is shown as it is."""
    assert "set it" in cause(InvalidTimestampError())
    assert cause(ValueError("x")) == "ValueError('x')"
    assert cause(OptionsError("set the key")) == "set the key"
