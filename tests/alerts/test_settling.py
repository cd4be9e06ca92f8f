"""What an attempt means to the mailbox of its message, through a notifier and its store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stream_app.alerts.flags import Change
from stream_app.alerts.messages import Fate
from stream_app.alerts.sinks.sink import Outgoing, Result
from tests.alerts.records import record
from tests.alerts.test_notifier import Bench, Recorder, subscription


@pytest.mark.parametrize(
    ("result", "logged"),
    [
        (Result(note="stopped run 7"), [(Fate.SENT, "stopped run 7")]),
        (Result("ann keeps it", dropped=True), [(Fate.DROPPED, "ann keeps it")]),
        (Result("HTTP 500"), [(Fate.FAILED, "HTTP 500")]),
        (Result("exempt hours", again_after=3_600.0), [(Fate.POSTPONED, "exempt hours")]),
    ],
)
def test_the_delivery_log_has_what_a_sink_says(tmp_path: Path, result: Result, logged: list[object]) -> None:
    """Each in its own way."""
    bench = Bench(tmp_path)
    bench.sinks["s"] = Recorder(lambda _: result)
    bench.notifier.put(subscription("s", types=["due"]))
    bench.flags(record(change=Change.DUE))

    asyncio.run(attempted(bench, len(logged)))

    assert [(each.entry.fate, each.entry.reason) for each in bench.store.deliveries("s", 10)] == logged


def test_what_a_sink_keeps_before_it_acts_is_stored_before_its_next_attempt(tmp_path: Path) -> None:
    """A process that ends after the second has it when it starts again."""
    seen: list[dict[str, str]] = []

    def answer(message: Outgoing) -> Result:
        seen.append(dict(message.thread))
        stored = bench.store.rows()
        assert not message.thread or any(b"about to act" in row for row in stored.values())
        return Result() if message.thread else Result(again_after=0.0, thread={record().subject: "about to act"})

    bench = Bench(tmp_path)
    bench.sinks["s"] = Recorder(answer)
    bench.notifier.put(subscription("s", types=["due"]))
    bench.flags(record(change=Change.DUE))

    asyncio.run(attempted(bench, 1))

    assert seen == [{}, {record().subject: "about to act"}]


async def attempted(bench: Bench, entries: int) -> None:
    """Runs the notifier until its log has some entries."""
    running = asyncio.create_task(bench.notifier.run())
    async with asyncio.timeout(20):
        while len(bench.store.deliveries("s", 10)) < entries:
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
