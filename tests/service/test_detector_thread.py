"""The embedded detector says what a detector says that reads the same events, however often it is started again."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream_app import wire
from stream_app.cli.main import main
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.outputs import Example, Output, Verdict
from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent
from stream_app.metrics.outputs import Metrics
from stream_app.service import availability
from stream_app.service import detector_thread as module
from stream_app.service import event_log as event_log_module
from stream_app.service.detector_thread import Embedded, OverloadedError
from stream_app.service.event_log import Accepted, EventLog, LogUnavailableError
from stream_app.service.settings import EmbeddedSettings
from stream_app.sources import NATIVE, OPENLINEAGE, SOURCES
from stream_app.sources.native import decode
from stream_app.web.event_routes import PATHS
from stream_app.web.serving import serve_embedded
from tests.sources.openlineage_events import message, run_event, run_id
from tests.support.recorded import fleet_lines
from tests.web.served import Service

SETTINGS = EmbeddedSettings(Settings(policy=Policy(mode="enforce", budget=0.2)))
EVENTS = fleet_lines()[:1200]
#: Of the log: all events are accepted at once.
NOW_MS = 1_800_000_000_000


def accepted(messages: Sequence[bytes]) -> list[Accepted]:
    """Messages with their events, as the routes hand them over."""
    return [Accepted(message, decode(message), NATIVE) for message in messages]


def ordered(detector: Detector) -> list[dict[str, Any]]:
    """The graphlets, whichever pipeline the detector met first."""
    return sorted(detector.graphlets(), key=lambda graphlet: str(graphlet["graphlet"]))


def lived(path: Path, events: Sequence[bytes], parts: int) -> dict[str, Any]:
    """What is known after the events, in a number of lives of the service."""
    size = len(events) // parts
    for part in range(parts):
        event_log = EventLog(path)
        embedded = Embedded(event_log, SETTINGS, now_ms=lambda: NOW_MS)
        embedded.start()
        for start in range(part * size, (part + 1) * size, 100):
            embedded.submit(accepted(events[start : min(start + 100, (part + 1) * size)]))
        embedded.stop()
        known = {
            "verdicts": {verdict["graphlet"]: verdict for verdict in embedded.verdicts.latest(10**6, None, None)},
            "graphlets": ordered(embedded.detector),
            "model": embedded.learner.version,
            "examples": list(event_log.examples()),
        }
        event_log.close()
    return known


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """The same from a detector that just reads the events."""
    learner = SETTINGS.detector.learner()
    detector = Detector(SETTINGS.detector, learner)
    verdicts = {}
    for line in EVENTS:
        for output in detector.step(decode(line), NOW_MS):
            if isinstance(output, Example):
                learner.learn(output)
            elif isinstance(output, Verdict):
                verdicts[output.graphlet] = wire.verdict_to_dict(output)
    return {"verdicts": verdicts, "graphlets": ordered(detector), "model": learner.version}


@pytest.mark.parametrize("parts", [1, 4])
def test_it_says_what_a_plain_detector_says(tmp_path: Path, expected: dict[str, Any], parts: int) -> None:
    """Verdicts word for word, graphlets, and as many examples learned, in one life or in four."""
    found = lived(tmp_path / "events.sqlite", EVENTS, parts)

    assert len(expected["verdicts"]) > 50
    assert {key: found[key] for key in expected} == expected
    assert found["model"].startswith(f"{len(found['examples'])}-")


def test_entries_that_the_state_does_not_hold_are_applied_again(tmp_path: Path, expected: dict[str, Any]) -> None:
    """A crash may fall between the acknowledgment and the saving of the state."""
    path = tmp_path / "events.sqlite"
    lived(path, EVENTS[:600], 1)
    event_log = EventLog(path)
    event_log.append([module.Entry(0, NOW_MS, line) for line in EVENTS[600:]])
    event_log.close()

    found = lived(path, (), 1)

    assert {key: found[key] for key in expected} == expected


def test_an_accepted_event_is_not_decoded_again(tmp_path: Path, expected: dict[str, Any]) -> None:
    """The thread uses the event that was decoded on acceptance; its decoders would refuse every message here."""

    def undecodable(*_: object) -> Event:
        raise MalformedEvent("decoded again")

    settings = replace(SETTINGS, sources=dict.fromkeys(SOURCES, undecodable))
    event_log = EventLog(tmp_path / "events.sqlite")
    embedded = Embedded(event_log, settings, now_ms=lambda: NOW_MS)
    embedded.start()
    embedded.submit(accepted(EVENTS))
    embedded.stop()

    assert ordered(embedded.detector) == expected["graphlets"]
    event_log.close()


def test_an_event_that_breaks_the_detector_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of ours costs one event, not the service, and leaves no half of it behind."""
    bad = decode(EVENTS[300]).time_ms
    step = Detector.step

    def breaking(self: Detector, event: Event, log_ms: int | None = None) -> Any:
        outputs = step(self, event, log_ms)
        if event.time_ms == bad:
            raise ZeroDivisionError
        return outputs

    whole = lived(tmp_path / "a", [line for line in EVENTS[:400] if decode(line).time_ms != bad], 1)
    monkeypatch.setattr(Detector, "step", breaking)
    broken = lived(tmp_path / "b", EVENTS[:400], 1)

    assert broken == whole


@pytest.mark.parametrize("bad", [b"{", b"[]", b"{}"])
def test_an_example_that_cannot_be_read_ends_the_start_in_one_line(
    tmp_path: Path, bad: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is our own, so nothing is guessed: the line names it, and there is no traceback."""
    event_log = EventLog(tmp_path / "events.sqlite")
    event_log.save(module.Changes(examples=[bad]))
    event_log.close()
    monkeypatch.setattr(sys, "argv", ["stream-app", "serve", "--data", str(tmp_path), "--port", "0"])

    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err.splitlines()

    assert ended.value.code == 1
    assert [line.partition(" cannot be read: ")[0] for line in said] == [
        f"stream-app: {tmp_path / 'events.sqlite'}: example 1"
    ]


def test_what_cannot_be_written_is_not_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told to whoever sent, and to whoever asks whether the service is ready."""
    monkeypatch.setattr(availability, "RETRY_SECONDS", 3_600.0)
    event_log = EventLog(tmp_path / "events.sqlite", allow_pages=60)
    embedded = Embedded(event_log, SETTINGS, now_ms=lambda: NOW_MS)
    embedded.start()
    embedded.submit(accepted(EVENTS[:20])).result(20)

    with pytest.raises(LogUnavailableError, match="full"):
        embedded.submit(accepted(EVENTS[20:1000])).result(20)

    assert "full" in embedded.unavailable_reason
    embedded.stop()
    assert sum(len(pipeline.executions) for pipeline in embedded.detector.pipelines.values()) <= 20
    assert [entry.message for entry in event_log.after(0)] == list(EVENTS[:20])
    event_log.close()


def test_more_than_is_held_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders are told to come back, rather than memory filling up."""
    monkeypatch.setattr(module, "WAITING_BYTES", 1000)
    event_log = EventLog(tmp_path / "events.sqlite")
    embedded = Embedded(event_log, SETTINGS)
    waiting = embedded.submit([Accepted(b"x" * 900, None, NATIVE)])

    with pytest.raises(OverloadedError):
        embedded.submit([Accepted(b"x" * 200, None, NATIVE)])

    embedded.start()
    waiting.result(20)
    embedded.submit([Accepted(b"x" * 900, None, NATIVE)]).result(20)
    embedded.stop()
    with pytest.raises(OverloadedError):
        embedded.submit([Accepted(b"x", None, NATIVE)])
    event_log.close()


def test_time_passes_for_silent_pipelines(tmp_path: Path) -> None:
    """A tick is an entry of the log like an event, so that a restart lets as much time pass."""
    path = tmp_path / "events.sqlite"
    lived(path, EVENTS[:600], 1)
    event_log = EventLog(path)
    event_log.append([module.Entry(0, NOW_MS + 20 * 86_400_000, None)])
    event_log.close()

    known = lived(path, (), 1)

    assert {graphlet["outcome"] for graphlet in known["graphlets"]} <= {"pushed", "not_pushed", "pruned"}


def test_whoever_gives_up_waiting_stops_nobody_else(tmp_path: Path) -> None:
    """What was submitted is written all the same, and so is what comes after it."""
    event_log = EventLog(tmp_path / "events.sqlite")
    embedded = Embedded(event_log, SETTINGS, now_ms=lambda: NOW_MS)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.wrap_future(embedded.submit(accepted(EVENTS[:1])))

    asyncio.run(give_up())
    embedded.start()
    embedded.submit(accepted(EVENTS[1:2])).result(20)
    embedded.stop()

    assert [entry.message for entry in event_log.after(0)] == list(EVENTS[:2])
    event_log.close()


def test_a_thread_that_fails_tells_all_who_wait(tmp_path: Path) -> None:
    """And whoever comes later, and whoever asks whether the service is ready."""
    event_log = EventLog(tmp_path / "events.sqlite")
    begun, go_on = threading.Event(), threading.Event()

    def failing(_: Sequence[Output]) -> None:
        begun.set()
        go_on.wait(20)
        raise ZeroDivisionError("no such output")

    embedded = Embedded(event_log, SETTINGS, failing, now_ms=lambda: NOW_MS)
    embedded.start()
    embedded.submit(accepted(EVENTS[:1])).result(20)
    assert begun.wait(20)
    waiting = embedded.submit(accepted(EVENTS[1:2]))
    go_on.set()

    with pytest.raises(LogUnavailableError, match="no such output"):
        waiting.result(20)
    embedded.failed.result(20)
    with pytest.raises(OverloadedError):
        embedded.submit(accepted(EVENTS[2:3]))
    assert "ZeroDivisionError" in embedded.unavailable_reason
    with pytest.raises(ZeroDivisionError):
        embedded.stop()
    event_log.close()


def test_a_service_whose_thread_fails_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it failed with, so that it is started again."""

    def failing(*_: object) -> None:
        raise ZeroDivisionError

    def listening(url: str) -> None:
        service = Service("127.0.0.1", int(url.rpartition(":")[2]))
        threading.Thread(target=service.post, args=(EVENTS[0], PATHS[NATIVE])).start()

    monkeypatch.setattr(Metrics, "observe", failing)
    with pytest.raises(ZeroDivisionError):
        serve_embedded(tmp_path / "events.sqlite", SETTINGS, "127.0.0.1", 0, None, on_listening=listening)


def test_all_old_entries_are_deleted_however_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some at a time, one after the other, so that a busy log does not grow for ever."""
    path = tmp_path / "events.sqlite"
    lived(path, EVENTS[:100], 1)
    monkeypatch.setattr(event_log_module, "_DELETED_AT_ONCE", 10)
    event_log = EventLog(path)
    asked = itertools.count(1)
    enough = threading.Event()

    def later_ms() -> int:
        if next(asked) == 11:
            enough.set()
        return NOW_MS + 31 * DAY_MS

    embedded = Embedded(event_log, SETTINGS, now_ms=later_ms)
    embedded.start()
    assert enough.wait(20)
    embedded.stop()

    assert list(event_log.after(0)) == []
    event_log.close()


def told(path: Path, messages: Sequence[Accepted], now_ms: int, *ticks_ms: int) -> list[str]:
    """The graphlets of the latest verdicts, after messages and ticks in a life of the service."""
    event_log = EventLog(path)
    embedded = Embedded(event_log, SETTINGS, now_ms=lambda: now_ms)
    embedded.start()
    if messages:
        embedded.submit(messages).result(20)
    embedded.stop()
    event_log.append([module.Entry(0, tick_ms, None) for tick_ms in ticks_ms])
    event_log.close()
    return [verdict["graphlet"] for verdict in embedded.verdicts.latest(10**6, None, None)]


def test_verdicts_of_a_backfill_stay_as_long_as_others(tmp_path: Path) -> None:
    """What counts is when they were issued, which is now, and not when their events happened, which is years ago."""
    path = tmp_path / "events.sqlite"
    kept_days = 2 * (SETTINGS.detector.retention_ms + SETTINGS.detector.lateness_ms) // DAY_MS
    run = b'{"time":"2019-03-01T06:00:00Z","pipeline":"p","run":"r","execution":{"id":"g","type":"%s","state":"%s"}}'
    events = [run % (b"ExampleGen", b"COMPLETE"), run.replace(b'"g"', b'"t"') % (b"Transform", b"COMPLETE")]

    first = told(path, accepted(events), NOW_MS, NOW_MS + 60_000)
    after_a_minute = told(path, (), NOW_MS, NOW_MS + (kept_days - 1) * DAY_MS)
    nearly = told(path, (), NOW_MS, NOW_MS + (kept_days + 1) * DAY_MS)

    assert first == after_a_minute == nearly == ["p/run:r"]
    assert told(path, (), NOW_MS) == []


def test_verdicts_are_newest_first_also_after_a_restart(tmp_path: Path) -> None:
    """In the order in which they were issued, whatever the times of their events."""
    path = tmp_path / "events.sqlite"
    backwards = accepted(EVENTS[600:800]) + accepted(EVENTS[:200])

    assert told(path, backwards, NOW_MS) == told(path, (), NOW_MS) != []


def test_a_message_is_read_after_a_restart_in_the_format_in_which_it_was_accepted(tmp_path: Path) -> None:
    """Also where its keys would make it another's: a field of its own named `execution`."""
    path = tmp_path / "events.sqlite"
    event = run_event("START", "vision.train", "t1", parent=("r1", "vision")) | {"execution": {"cluster": "a"}}
    event_log = EventLog(path)
    event_log.append([module.Entry(0, NOW_MS, message(event), OPENLINEAGE)])
    event_log.close()

    (graphlet,) = lived(path, (), 1)["graphlets"]
    assert graphlet["trainer"] == run_id("t1")
