"""Findings of the embedded detector: announced once, saved with the state that they follow from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.analysis.findings import FleetLooks
from stream_app.core.units import HOUR_MS
from stream_app.service import detector_thread as module
from stream_app.service.detector_thread import Embedded
from stream_app.service.event_log import Entry, EventLog
from stream_app.service.settings import EmbeddedSettings
from tests.support.builders import T0
from tests.support.finding_entries import finding_entries
from tests.support.killed_detector import apply_until_killed

NO_PUSH = "p/finding:no_push"


def detector_of(event_log: EventLog) -> Embedded:
    """A detector on its own."""
    return Embedded(event_log, EmbeddedSettings())


def left(path: Path, given: Sequence[Entry] = (), embedded: list[Embedded] | None = None) -> list[Any]:
    """The records of findings in the log after one life of the service."""
    event_log = EventLog(path)
    event_log.append(given)
    made = Embedded(event_log, EmbeddedSettings(), now_ms=lambda: T0)
    made.start()
    made.stop()
    if embedded is not None:
        embedded.append(made)
    records = [orjson.loads(each.record) for each in event_log.flags()]
    event_log.close()
    return [each for each in records if "finding" in each]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The records of one life."""
    return left(tmp_path_factory.mktemp("one") / "events.sqlite", finding_entries())


def test_a_finding_is_raised_revised_and_resolved(expected: list[Any]) -> None:
    """Revised once its count has doubled and a day has passed, and resolved after the first push."""
    found = [each for each in expected if each["finding"] == NO_PUSH]
    hours = [(each["time"], each["count"]) for each in found]

    assert [each["change"] for each in found] == ["raised", "revised", "resolved"], hours
    assert [each["revision"] for each in found] == [1, 2, 3]
    assert found[1]["count"] >= 2 * found[0]["count"] >= 40
    assert {each["owner"] for each in found} == {"ann"}
    assert {each["labels"]["team"] for each in found} == {"ads"}
    assert found[2]["time"] > found[1]["time"] > found[0]["time"] == found[2]["raised"]


def test_several_lives_make_the_records_of_one(tmp_path: Path, expected: list[Any]) -> None:
    """What is known of findings is a part of the saved state."""
    given = finding_entries()
    for start in range(0, len(given), 60):
        found = left(tmp_path / "events.sqlite", given[start : start + 60])

    assert found == expected


def test_a_kill_leaves_one_record_each_word_for_word(tmp_path: Path, expected: list[Any]) -> None:
    """At once after a save, with entries that are not applied yet."""
    path = tmp_path / "events.sqlite"
    event_log = EventLog(path)
    event_log.append(finding_entries())
    event_log.close()
    apply_until_killed(__name__, path, 2)

    assert left(path) == expected


def test_a_past_that_is_posted_at_once_raises_nothing(tmp_path: Path) -> None:
    """Nobody wants to hear of last month; what goes on is raised once the pipeline has caught up."""
    caught_up = 240
    given = finding_entries(hours=[*range(40), *range(caught_up, caught_up + 4)], end=caught_up + 5)
    begin_ms = T0 + caught_up * HOUR_MS
    past = [Entry(0, begin_ms - HOUR_MS, each.message, each.format) for each in given if each.received_ms < begin_ms]
    current = [each for each in given if each.received_ms >= begin_ms]

    assert left(tmp_path / "events.sqlite", past) == []
    assert [each["change"] for each in left(tmp_path / "events.sqlite", current)] == ["raised"]


def test_a_rule_that_fails_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Time passes for the detector, the error is logged, and nothing is announced."""
    monkeypatch.setattr(FleetLooks, "look_at", lambda *_: 1 / 0)
    made: list[Embedded] = []
    given = finding_entries()

    assert left(tmp_path / "events.sqlite", given, made) == []
    assert made[0].detector.pipelines["p"].clock.now_ms >= given[-1].received_ms - HOUR_MS
    assert "pipeline 'p' cannot be looked at for findings" in caplog.text
    assert not made[0]._poison


def test_a_look_is_taken_once_an_hour_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each event, nor at each tick."""
    looks: list[str] = []
    look_at = FleetLooks.look_at

    def counted(self: FleetLooks, name: str) -> Any:
        looks.append(name)
        return look_at(self, name)

    monkeypatch.setattr(FleetLooks, "look_at", counted)
    monkeypatch.setattr(module, "_SAVE", 0.05)
    given = finding_entries()
    left(tmp_path / "events.sqlite", given)

    hours = (given[-1].received_ms - given[0].received_ms) / HOUR_MS
    assert 0.9 * hours < len(looks) <= hours + 1
