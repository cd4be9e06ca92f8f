"""Fleets that several tests look at."""

from __future__ import annotations

import pytest

import stream_app.simulator.fleet
from stream_app.simulator import FleetOptions
from tests.simulator.recorded_fleet import RecordedFleet


@pytest.fixture(scope="session")
def recorded() -> RecordedFleet:
    """Four days of the default fleet."""
    return RecordedFleet(FleetOptions(days=4.0, seed=7))


@pytest.fixture
def lossless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event arrives once and at once."""
    monkeypatch.setattr(stream_app.simulator.fleet, "delays", lambda *_: (0,))
