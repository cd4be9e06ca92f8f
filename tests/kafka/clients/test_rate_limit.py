"""When messages are written, on a clock made by hand."""

from __future__ import annotations

import orjson
import pytest

from stream_app.kafka.clients import rate_limit

EVENT = '{"time":"2026-01-01T00:00:%02dZ","pipeline":"p","execution":{"id":"x","type":"Trainer","state":"NEW"}}'
NOON_MS = 1_767_268_800_000
"""2026-01-01T12:00:00Z"""


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(NOON_MS / 1000)
    monkeypatch.setattr(rate_limit, "time", made)
    return made


def test_a_rate_is_kept_evenly(clock: Clock) -> None:
    """No bursts: each message comes at its own moment."""
    began = clock.now
    moments = [clock.now - began for _ in rate_limit.at_rate([b"m"] * 301, rate=20)]

    assert moments == pytest.approx([number / 20 for number in range(301)], abs=1e-6)


def test_what_is_slower_than_the_rate_is_not_held_up(clock: Clock) -> None:
    """After a pause the messages that are due come at once."""
    paced = rate_limit.at_rate([b"m"] * 40, rate=10)
    next(paced)
    clock.now += 2
    late = [clock.now for _ in range(20) if next(paced)]

    assert set(late) == {clock.now}


def test_events_come_when_they_happen(clock: Clock) -> None:
    """Moved so that the first is at the start: the past comes at once, the rest in its time."""
    seconds = (5, 6, 20, 30)
    given = [(EVENT % second).encode() for second in seconds]
    began, told = clock.now, []
    for message in rate_limit.in_real_time(given, NOON_MS - 10_000):
        told.append((orjson.loads(message)["time"], clock.now - began))

    assert told == [
        ("2026-01-01T11:59:50.000Z", 0),
        ("2026-01-01T11:59:51.000Z", 0),
        ("2026-01-01T12:00:05.000Z", 5),
        ("2026-01-01T12:00:15.000Z", 15),
    ]


def test_only_the_time_is_moved(clock: Clock) -> None:
    """The rest of an event is as it was; one that came late in the log still does."""
    late, early = (EVENT % 40).encode(), (EVENT % 10).encode()
    first, second = rate_limit.in_real_time([late, early], round(clock.now * 1000))

    assert orjson.loads(first) == {**orjson.loads(late), "time": "2026-01-01T12:00:00.000Z"}
    assert orjson.loads(second) == {**orjson.loads(late), "time": "2026-01-01T11:59:30.000Z"}


@pytest.mark.usefixtures("clock")
def test_what_is_no_event_passes() -> None:
    """It is for the worker to judge."""
    assert list(rate_limit.in_real_time([b"oops", b"{}"], NOON_MS)) == [b"oops", b"{}"]
