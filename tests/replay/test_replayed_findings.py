"""`replay --alerts`: findings of a recording are announced as if it were live, a look a day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Settings
from stream_app.replay.replay import replay
from stream_app.replay.sinks import Sinks
from tests.support.finding_entries import PUSHED, finding_entries
from tests.test_schemas import validator

#: Trainings go on after the push, for four days.
HOURS = range(PUSHED + 96)


def written(folder: Path, *, findings: bool = False) -> list[Any]:
    """The alerts of a replay."""
    folder.mkdir()
    events, alerts = folder / "events.jsonl", folder / "alerts.jsonl"
    messages = [each.message for each in finding_entries(hours=HOURS) if each.message is not None]
    events.write_bytes(b"\n".join(messages))
    attribution = Attribution(Rates(2.0, "EUR"))
    replay([str(events)], Settings(), None, Sinks(alerts=str(alerts)), attribution=attribution, findings=findings)
    return [orjson.loads(line) for line in alerts.read_bytes().splitlines()]


def test_a_finding_of_a_recording_is_raised_and_resolved(tmp_path: Path) -> None:
    """With its price; the same each time, whether or not the report has findings."""
    found = written(tmp_path / "one")

    assert [each["type"] for each in found] == ["stream_app.finding.raised", "stream_app.finding.resolved"]
    for each in found:
        validator("finding").validate(each)
    assert {each["data"]["kind"] for each in found} == {"no_push"}
    assert {each["data"]["owner"] for each in found} == {"ann"}
    assert found[0]["data"]["cost_money"] == pytest.approx(2.0 * found[0]["data"]["cost"] / 3600)
    assert written(tmp_path / "two", findings=True) == found
