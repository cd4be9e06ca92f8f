"""Digests and quiet hours in local time, against a clock that is read minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.acting.hours import moment_ms
from stream_app.alerts.calendar import digest_end_ms, due_ms, quiet_end_ms
from stream_app.alerts.subscriptions import Delivery, QuietHours

MINUTE = 60_000
#: Half hours and quarters, both hemispheres, changes at midnight and of half an hour, and a day that was skipped.
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
    "America/Santiago", "Africa/Cairo", "Pacific/Apia", "America/St_Johns",
)  # fmt: skip
#: Days around changes, a leap day, a year's end, and the day that Apia skipped.
DAYS = tuple(
    date.fromisoformat(day)
    for day in (
        "2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25", "2026-11-01", "2026-03-08", "2024-02-28", "2024-02-29",
        "2025-12-31", "2026-04-04", "2026-04-05", "2026-10-03", "2026-09-05", "2026-04-23", "2026-10-29", "2011-12-29",
    )
)  # fmt: skip
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 45, 59]))


def at(text: str, zone: str = "UTC") -> int:
    """A local time in ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@cache
def clock(zone: str, day: date) -> list[tuple[int, datetime]]:
    """Each minute of nine days around a day, with what a clock on the wall shows."""
    tz = ZoneInfo(zone)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=2)
    minutes = (start + timedelta(minutes=number) for number in range(11 * 1440))
    return [(round(each.timestamp() * 1000), each.astimezone(tz).replace(tzinfo=None)) for each in minutes]


def first(zone: str, day: date, local: datetime) -> int:
    """The first minute at which the clock has reached a local time."""
    return next(ms for ms, shown in clock(zone, day) if shown >= local)


def last(zone: str, day: date, local: datetime) -> int:
    """The minute after the last at which the clock has not reached a local time."""
    return max(ms for ms, shown in clock(zone, day) if shown < local) + MINUTE


@given(st.sampled_from(ZONES), st.sampled_from(DAYS), st.integers(0, 2 * 1440), TIMES, TIMES)
def test_quiet_hours(zone: str, day: date, minute: int, start: time, end: time) -> None:
    """They begin when the clock first reaches the start, and end when it has reached the end for good."""
    if start == end:
        return
    now_ms = clock(zone, day)[2 * 1440 - 720 + minute][0]
    expected = now_ms
    for number in range(-2, 4):
        begins_on = day + timedelta(days=number)
        ends_on = begins_on + timedelta(days=end <= start)
        if abs(number) < 2 and first(zone, day, datetime.combine(begins_on, start)) <= now_ms:
            ends = last(zone, day, datetime.combine(ends_on, end))
            if now_ms < ends:
                expected = ends

    quiet = QuietHours(start=start.strftime("%H:%M"), end=end.strftime("%H:%M"))
    assert quiet_end_ms(quiet, ZoneInfo(zone), now_ms) == expected


@given(st.sampled_from(ZONES), st.sampled_from(DAYS), st.integers(0, 1440), TIMES, st.sampled_from(["day", "week"]))
def test_digests(zone: str, day: date, minute: int, digest_at: time, digest: str) -> None:
    """A daily one each day, a weekly one each Monday, when the clock first reaches the time."""
    now_ms, shown = clock(zone, day)[2 * 1440 + minute]
    step = 1 if digest == "day" else 7
    begin = shown.date() - timedelta(days=shown.date().weekday() if digest == "week" else 1)
    ends = [
        first(zone, day, datetime.combine(begin + timedelta(days=step * number), digest_at))
        for number in range(3)
        if begin + timedelta(days=step * number) <= day + timedelta(days=8)
        and begin + timedelta(days=step * number) >= day - timedelta(days=2)
    ]
    later = [each for each in ends if each > now_ms]
    delivery = Delivery(digest=digest, digest_at=digest_at.strftime("%H:%M"), time_zone=zone)  # type: ignore[arg-type]

    if later:
        assert digest_end_ms(delivery, now_ms) == min(later)
    assert digest_end_ms(delivery, now_ms) > now_ms


@pytest.mark.parametrize("zone", ZONES)
@given(st.sampled_from(DAYS), st.integers(0, 1440))
def test_hourly_digests(zone: str, day: date, minute: int) -> None:
    """At the next full hour of the clock, half-hour zones included."""
    now_ms, _ = clock(zone, day)[2 * 1440 + minute]
    expected = next(ms for ms, shown in clock(zone, day) if ms > now_ms and shown.minute == 0)
    end_ms = digest_end_ms(Delivery(digest="hour", time_zone=zone), now_ms)

    if zone != "Australia/Lord_Howe" or expected - now_ms <= 1_800_000:  # its clock changes by half an hour
        assert end_ms == expected
    assert 0 < end_ms - now_ms <= 3_600_000


def test_a_digest_in_quiet_hours_waits_for_their_end() -> None:
    """Both hold."""
    delivery = Delivery(digest="hour", quiet_hours=QuietHours(start="22:00", end="07:00"), time_zone="Asia/Kolkata")

    assert due_ms(delivery, at("2026-06-01T21:10", "Asia/Kolkata")) == at("2026-06-02T07:00", "Asia/Kolkata")
    assert due_ms(delivery, at("2026-06-01T20:10", "Asia/Kolkata")) == at("2026-06-01T21:00", "Asia/Kolkata")


def test_local_times_that_are_skipped_or_occur_twice() -> None:
    """The moment of the change, and the first or the last of the two."""
    berlin = ZoneInfo("Europe/Berlin")
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)

    assert moment_ms(spring, time(2, 30), berlin) == at("2026-03-29T01:00")
    assert moment_ms(autumn, time(2, 30), berlin) == at("2026-10-25T00:30")
    assert moment_ms(autumn, time(2, 30), berlin, last=True) == at("2026-10-25T01:30")
