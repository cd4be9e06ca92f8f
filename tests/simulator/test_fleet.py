"""The stream of a fleet: the same each time, made while it is read, in the order of arrival."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter

import orjson
import pytest

from stream_app.core.units import DAY_MS
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources import native
from tests.simulator.recorded_fleet import Json, RecordedFleet, time_ms

SMALL = FleetOptions(pipelines=15, days=3.0, seed=11)

DIGEST = """
import hashlib, orjson
from stream_app.simulator import Fleet, FleetOptions
fleet = Fleet(FleetOptions(pipelines=15, days=3.0, seed=11))
told = [orjson.dumps(event) for event in fleet.events()] + [orjson.dumps(row) for row in fleet.truth()]
print(hashlib.sha256(b"\\n".join(told)).hexdigest())
"""


def digest(options: FleetOptions) -> str:
    fleet = Fleet(options)
    recorded = [orjson.dumps(event) for event in fleet.events()] + [orjson.dumps(row) for row in fleet.truth()]
    return hashlib.sha256(b"\n".join(recorded)).hexdigest()


def test_the_same_options_give_the_same_bytes_in_every_process() -> None:
    """Neither hash randomisation nor what ran before in the process shows in events or truth."""
    digests = {digest(SMALL)}
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        recorded = subprocess.run(
            [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(recorded.stdout.strip())

    assert len(digests) == 1


def test_another_seed_is_another_fleet() -> None:
    """The seed reaches the draws."""
    assert digest(SMALL) != digest(FleetOptions(pipelines=15, days=3.0, seed=12))


def test_a_fleet_can_be_told_again() -> None:
    """Each call of `events` begins at the beginning, and truth goes with it."""
    fleet = Fleet(SMALL)
    first = list(fleet.events()), list(fleet.truth())
    again = list(fleet.events()), list(fleet.truth())

    assert first == again


def test_events_are_made_while_they_are_read() -> None:
    """The first events of a fleet of a million days are there at once."""
    events = Fleet(FleetOptions(pipelines=3, days=1e6)).events()

    assert len([next(events) for _ in range(100)]) == 100


def test_every_event_is_one_the_detector_reads(recorded: RecordedFleet) -> None:
    """The native source takes each of them, within the fleet's days and what may follow them."""
    latest_ms = recorded.options.end_ms + 30 * DAY_MS
    for event in recorded.events:
        read = native.decode(orjson.dumps(event), latest_ms)

        assert read.time_ms >= recorded.options.start_ms


def test_arrival_is_mostly_in_the_order_of_time(recorded: RecordedFleet) -> None:
    """Under 2 % of events arrive after a newer one, none over four days late, and no event from the future."""
    newest, late = 0, 0
    for event in recorded.events:
        late += time_ms(event) < newest

        assert newest - time_ms(event) < 4 * DAY_MS

        newest = max(newest, time_ms(event))

    assert 0 < late < 0.02 * len(recorded.events)


@pytest.mark.usefixtures("lossless")
def test_what_is_late_doubled_or_lost_is_otherwise_the_same() -> None:
    """Disturbed delivery changes when and how often an event arrives, never what it says."""
    whole = {event["id"]: event for event in Fleet(SMALL).events()}

    disturbed = _disturbed()
    arrivals = Counter(event["id"] for event in disturbed)

    assert all(whole[event["id"]] == event for event in disturbed)
    assert 0 < len(whole.keys() - arrivals.keys()) < 0.01 * len(whole)
    assert 0 < sum(count > 1 for count in arrivals.values()) < 0.02 * len(whole)


def _disturbed() -> list[Json]:
    """The same fleet, its delivery as usual."""
    import stream_app.simulator.fleet
    from stream_app.simulator.delivery import delays

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_app.simulator.fleet, "delays", delays)
        return list(Fleet(SMALL).events())


@pytest.mark.usefixtures("lossless")
def test_without_lateness_events_are_in_the_order_of_time() -> None:
    """Delivery alone puts events out of order."""
    times = [time_ms(event) for event in Fleet(SMALL).events()]

    assert times == sorted(times)
    assert len(times) > 1000


@pytest.mark.usefixtures("lossless")
def test_no_run_starts_after_the_fleets_days_and_those_in_flight_end() -> None:
    """All that happens later belongs to runs that had started, and only what hangs has no end."""
    fleet = Fleet(SMALL)
    states: dict[str, str] = {}
    for event in fleet.events():
        if event["execution"]["type"] == "PipelineRun":
            if event["execution"]["state"] == "RUNNING":
                assert SMALL.start_ms <= time_ms(event) < SMALL.end_ms
            states[event["run"]] = event["execution"]["state"]

    assert Counter(states.values())["RUNNING"] < 0.05 * len(states)
    assert fleet.passed == 1.0
