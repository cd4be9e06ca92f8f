"""Whatever is evicted, a detector that was restarted on the way ends where one that was not does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.outputs import Closed, Output
from tests.support.arrivals import any_arrival
from tests.support.builders import DAY, MINUTE, T0
from tests.support.worlds import OPERATORS, logs

MORE = settings().max_examples // 100
#: Short times, so that much of a log of some weeks is evicted on the way.
SHORT = Settings(operators=OPERATORS, horizon_ms=3 * DAY, retention_ms=4 * DAY, lateness_ms=2 * DAY, lost_ms=DAY)


def over_weeks(events: list[Event]) -> list[Event]:
    """A minute of the log is a day."""
    return [replace(event, time_ms=T0 + (event.time_ms - T0) * (DAY // MINUTE)) for event in events]


def closed(outputs: list[Output]) -> list[str]:
    return sorted(str(output.graphlet) for output in outputs if isinstance(output, Closed))


def kept(detector: Detector) -> dict[str, dict[str, Any]]:
    return {graphlet["graphlet"]: graphlet for graphlet in detector.graphlets()}


@pytest.mark.slow
@settings(max_examples=60 * MORE)
@given(logs().map(over_weeks).flatmap(any_arrival), st.sampled_from([1, 3, 9]), st.booleans())
def test_restarts_change_nothing_that_is_evicted_or_kept(events: list[Event], every: int, in_order: bool) -> None:
    """Graphlets, also those that are closed, and ledgers; and every invariant holds."""
    if in_order:
        events = sorted(events, key=lambda event: event.time_ms)
    whole, cut = (Detector(SHORT, keep_rows=True) for _ in range(2))
    rows: dict[bytes, bytes] = {}
    for number, event in enumerate(events):
        if number % every == 0:
            for key, row in cut.take_rows():
                rows.pop(key, None) if row is None else rows.__setitem__(key, row)
            cut = Detector.load(SHORT, dict(rows))
            cut.validate()
        assert closed(cut.step(event)) == closed(whole.step(event))
    whole.validate()
    assert kept(cut) == kept(whole)
    assert [cut.ledger(name) for name in cut.pipelines] == [whole.ledger(name) for name in cut.pipelines]
