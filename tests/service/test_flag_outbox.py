"""Flags of the embedded detector: one record each, saved with the state that it follows from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.alerts.opening import open_store
from stream_app.alerts.tracking import FORGET_MS
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Settings
from stream_app.core.outputs import Example
from stream_app.core.units import DAY_MS
from stream_app.metrics.registry import make_registry
from stream_app.service import detector_thread as module
from stream_app.service.detector_thread import Embedded
from stream_app.service.event_log import Entry, EventLog, LogUnavailableError, StoredFlag
from stream_app.service.flag_outbox import FlagOutbox
from stream_app.service.settings import EmbeddedSettings
from stream_app.web.alert_metrics import measured_alerts
from stream_app.wire import event_to_dict
from tests.service.test_detector_thread import accepted
from tests.support.killed_detector import apply_until_killed
from tests.support.steered import PERIOD, Steered, whole_run

SETTINGS = EmbeddedSettings(Settings(policy=Policy(mode="enforce", budget=0.2)))
#: Forty runs; none is pushed, or soon no further one would be flagged.
EVENTS = [event for number in range(40) for event in whole_run(PERIOD * number, f"r{number}", owner="ann")]
MESSAGES = [orjson.dumps(event_to_dict(event)) for event in EVENTS]


class Pessimist(Steered):
    """Predicts that nothing is ever pushed, whatever it is taught."""

    def learn(self, example: Example) -> None:
        """Learns nothing."""


def detector_of(event_log: EventLog) -> Embedded:
    """A detector in a process of its own, in which it flags whatever may be flagged."""
    Settings.learner = lambda _: Pessimist()  # type: ignore[method-assign, assignment, return-value]
    return Embedded(event_log, SETTINGS)


@pytest.fixture(autouse=True)
def _steered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "learner", lambda _: Pessimist())


def entries() -> list[Entry]:
    """Entries that were accepted when their events happened."""
    return [Entry(0, event.time_ms, line, "native") for event, line in zip(EVENTS, MESSAGES, strict=True)]


def left(path: Path, given: Sequence[Entry] = (), take: Callable[[Embedded], None] = lambda _: None) -> list[Any]:
    """The records in the log after one life of the service."""
    event_log = EventLog(path)
    event_log.append(given)
    embedded = Embedded(event_log, SETTINGS, now_ms=lambda: EVENTS[-1].time_ms)
    embedded.start()
    take(embedded)
    embedded.stop()
    records = [orjson.loads(each.record) for each in event_log.flags()]
    event_log.close()
    return records


@pytest.fixture
def expected(tmp_path: Path) -> list[Any]:
    """The records of one life."""
    return left(tmp_path / "one" / "events.sqlite", entries())


def test_flags_are_raised_and_end(expected: list[Any]) -> None:
    """Revisions of a flag rise by one."""
    changes = {each["change"] for each in expected}
    ids = [each["id"] for each in expected]

    assert {"raised", "resolved"} <= changes
    assert len(expected) > 20
    assert len(ids) == len(set(ids))
    for flag in {each["flag"] for each in expected}:
        revisions = [each["revision"] for each in expected if each["flag"] == flag]
        assert revisions == list(range(1, len(revisions) + 1))


def test_several_lives_make_the_records_of_one(tmp_path: Path, expected: list[Any]) -> None:
    """The state of flags is a part of the saved state."""
    given = entries()
    for start in range(0, len(given), 70):
        found = left(tmp_path / "events.sqlite", given[start : start + 70])

    assert found == expected


def test_open_flags_that_are_forgotten_are_counted(tmp_path: Path) -> None:
    """As those that end: nothing else tells of them."""
    registry = make_registry()

    def take(embedded: Embedded) -> None:
        with closing(open_store(tmp_path / "alerts")) as store:
            measured = measured_alerts(store, embedded, None, registry)
            while embedded.behind:
                with embedded.detector_lock:
                    pass
            for _ in range(2):
                measured.measure(embedded.open_flags, embedded.flags_evicted)

    path = tmp_path / "events.sqlite"
    given = entries()
    # The last run is flagged, and nothing more is heard of it.
    records = left(path, given[:-1])
    tick = Entry(0, EVENTS[-1].time_ms + FORGET_MS + DAY_MS, None)
    left(path, [tick], take)

    assert records[-1]["change"] in ("raised", "revised")
    assert registry.get_sample_value("stream_app_flags_closed_total", {"reason": "evicted"}) == 1


def test_a_past_that_is_posted_at_once_raises_nothing(tmp_path: Path) -> None:
    """Nobody wants to hear of last month."""
    event_log = EventLog(tmp_path / "events.sqlite")
    now_ms = EVENTS[-1].time_ms + 30 * DAY_MS
    embedded = Embedded(event_log, SETTINGS, now_ms=lambda: now_ms)
    embedded.start()
    embedded.submit(accepted(MESSAGES)).result(20)
    embedded.stop()
    decisions = {each["decision"] for each in embedded.verdicts.latest(10**6, None, None)}

    assert "prune" in decisions
    assert event_log.flags() == []
    event_log.close()


def test_records_that_are_stored_elsewhere_are_deleted(tmp_path: Path, expected: list[Any]) -> None:
    """All others are there again after a restart, word for word."""
    left(tmp_path / "events.sqlite", entries())

    found = left(
        tmp_path / "events.sqlite", take=lambda embedded: embedded.outbox.done(embedded.outbox.first()[4].number)
    )

    assert found == expected[5:]
    event_log = EventLog(tmp_path / "events.sqlite")
    waiting = Embedded(event_log, SETTINGS).outbox.first(3)
    assert [orjson.loads(each.record) for each in waiting] == expected[5:8]
    event_log.close()


def test_a_failed_save_loses_and_repeats_nothing(
    tmp_path: Path, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are handed on after they are saved, so not before the disk has room again."""
    save, calls = EventLog.save, []

    def failing(self: EventLog, changes: Any) -> None:
        calls.append(len(changes.flags))
        if len(calls) < 3:
            raise LogUnavailableError("full")
        save(self, changes)

    monkeypatch.setattr(EventLog, "save", failing)
    monkeypatch.setattr(module, "_SAVE", 0.01)
    handed: list[StoredFlag] = []

    def take(embedded: Embedded) -> None:
        embedded.outbox.on_records = lambda: handed.extend(embedded.outbox.first()[len(handed) :])

    found = left(tmp_path / "events.sqlite", entries(), take)

    assert found == expected
    assert [orjson.loads(each.record) for each in handed] == expected
    assert len(calls) > 2


@pytest.mark.parametrize("saves", [1, 3])
def test_a_kill_leaves_one_record_each_word_for_word(tmp_path: Path, expected: list[Any], saves: int) -> None:
    """At once after a save, with entries that are not applied yet."""
    path = tmp_path / "events.sqlite"
    event_log = EventLog(path)
    event_log.append(entries())
    event_log.close()
    apply_until_killed(__name__, path, saves)
    event_log = EventLog(path)
    before = len(event_log.flags())
    event_log.close()

    found = left(path)

    assert 0 < before < len(expected)
    assert found == expected


def test_what_waits_is_taken_in_order() -> None:
    """And is asked for once."""
    outbox = FlagOutbox()
    notes: list[int] = []
    outbox.on_records = lambda: notes.append(len(outbox.first()))
    records = [StoredFlag(number, 0, b"") for number in range(1, 6)]

    outbox.add(records[:3])
    outbox.add([])
    outbox.add(records[3:])
    outbox.done(2)

    assert notes == [3, 5]
    assert [each.number for each in outbox.first(2)] == [3, 4]
    assert (outbox.take_done(), outbox.take_done()) == (2, 0)
