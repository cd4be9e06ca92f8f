"""Ladders climb alike in a worker, in `serve` and in a replay, over restarts too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.ladder import Ladder, LadderRule
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.partition import Partition
from stream_app.kafka.processing.partitioner import TICK
from stream_app.kafka.records import Batch
from stream_app.kafka.state.outbox import Message
from stream_app.replay.replay import Replay
from stream_app.replay.sinks import Sinks, SinkWriter
from stream_app.service.detector_thread import Embedded
from stream_app.service.event_log import Entry, EventLog
from stream_app.service.settings import EmbeddedSettings
from stream_app.times import text_to_time
from stream_app.wire import event_to_dict
from tests.kafka.processing.test_partition import Memory
from tests.support.builders import HOUR, MINUTE, T0, started
from tests.support.kafka_records import record
from tests.support.steered import Steered, past

AT = 1003.0
AT_MS = T0 + int(AT * MINUTE)
SETTINGS = Settings(policy=Policy(mode=ENFORCE, budget=0.05, salt="x", ladders=(LadderRule(Ladder(between_ms=HOUR)),)))
#: A run whose training is flagged, and goes on.
EVENTS = [*past(6), started(AT, "tk", "Trainer", run="rk")]
#: When time passes, in minutes after the flag.
TICKS = (10, 59, 60, 61, 119, 120, 121, 200)
EXPECTED = [("raised", 1, 0), ("reminded", 2, 60), ("due", 3, 120)]

Given = tuple[int, Event | None]
LOG: list[Given] = [(each.time_ms, each) for each in EVENTS] + [(AT_MS + each * MINUTE, None) for each in TICKS]


def steps(records: Iterable[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Change, revision, and minutes after the flag of the records of the run."""
    return [
        (each["change"], each["revision"], round((text_to_time(each["time"]) - AT_MS) / MINUTE))
        for each in records
        if each.get("flag") == "p/run:rk"
    ]


def by_worker(lives: Sequence[Sequence[Given]]) -> list[tuple[str, int, int]]:
    """What a worker sends, that is started anew for each part of the log."""
    table: Any = Memory([])
    sent: dict[str, dict[str, Any]] = {}

    async def send(messages: Iterable[Message]) -> None:
        alerts = [each.value for each in messages if each.topic == Names("g").alerts]
        for each in alerts:
            data = orjson.loads(each or b"")["data"]
            assert sent.setdefault(data["id"], data) == data  # a worker that starts sends once more what it committed

    async def life(given: Sequence[Given]) -> None:
        partition = Partition(
            0, 1, Names("g"), table, lambda rows: Detector.load(SETTINGS, rows, Steered()), send, Counts(),
            lambda *_: None, _renamed, flag_age_ms=HOUR,
        )  # fmt: skip
        await partition.open()
        for time_ms, event in given:
            message, headers = (b"tick", ((TICK, b""),)) if event is None else (_message(event), ())
            each = record(table.position, message, timestamp=time_ms, headers=headers)
            await partition.apply(Batch([each]), lambda: True)

    for given in lives:
        asyncio.run(life(given))
    return steps(sent.values())


def _message(event: Event) -> bytes:
    return orjson.dumps(event_to_dict(event))


async def _renamed(_: object) -> list[Message]:
    return []


def by_serve(lives: Sequence[Sequence[Given]], path: Path) -> list[tuple[str, int, int]]:
    """What `serve` stores, that is started anew for each part of the log."""
    for given in lives:
        event_log = EventLog(path)
        event_log.append(
            Entry(0, time_ms, _message(event) if event is not None else None, "native") for time_ms, event in given
        )
        embedded = Embedded(event_log, EmbeddedSettings(SETTINGS), now_ms=lambda: AT_MS)
        embedded.start()
        embedded.stop()
        found = [orjson.loads(each.record) for each in event_log.flags()]
        event_log.close()
    return steps(found)


@pytest.fixture(autouse=True)
def _steered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "learner", lambda _: Steered())
    monkeypatch.setattr(Steered, "learn", lambda *_: None, raising=False)


@pytest.mark.parametrize("every", [len(LOG), 3, 1])
def test_worker_and_service_take_the_steps_alike(every: int, tmp_path: Path) -> None:
    """Each once and at its time, however often they are started anew."""
    lives = [LOG[: len(EVENTS)]] + [LOG[start : start + every] for start in range(len(EVENTS), len(LOG), every)]

    assert by_worker(lives) == EXPECTED
    assert by_serve(lives, tmp_path / "events.sqlite") == EXPECTED


def test_a_replay_takes_the_steps_by_the_clock_of_the_pipeline(tmp_path: Path) -> None:
    """Other events of the pipeline move it, and so does the end of the recording."""
    path = tmp_path / "alerts.jsonl"
    with SinkWriter(Sinks(alerts=str(path))) as writing:
        run = Replay(SETTINGS, Steered(), writing)  # type: ignore[arg-type]
        for event in [*EVENTS, started(AT + 61, "prep", "Transform", run="other")]:
            run.step(event)
        run.tick(AT_MS + 200 * MINUTE)
    records = [orjson.loads(line)["data"] for line in path.read_bytes().splitlines()]

    assert steps(records) == [("raised", 1, 0), ("reminded", 2, 61), ("due", 3, 200)]
