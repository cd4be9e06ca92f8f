"""Hours as text, against the wall clocks of zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.acting.hours import parse_hours

#: Half hours, both hemispheres, changes at midnight and of half an hour.
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Santiago")
MINUTES = st.integers(0, 1439)
DAY_MINUTES = 1440


def text_of(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def ms_of(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@given(st.sampled_from(ZONES), MINUTES, MINUTES, st.integers(0, 366 * DAY_MINUTES))
def test_a_moment_lies_in_hours_by_the_clock_on_the_wall(zone: str, start: int, end: int, minute: int) -> None:
    """Where no clock changes within a day of it: what the wall shows is not before the start and before the end."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    shown = moment.astimezone(ZoneInfo(zone))
    offsets = {(moment + timedelta(days=days)).astimezone(ZoneInfo(zone)).utcoffset() for days in (-2, -1, 0, 1, 2)}
    if start == end or len(offsets) > 1:
        return
    at = shown.hour * 60 + shown.minute
    expected = start <= at < end if start < end else at >= start or at < end

    found = parse_hours(f"{text_of(start)}-{text_of(end)} {zone}").end_ms(ms_of(moment))

    assert (found is not None) == expected
    if found is not None:
        ends = datetime.fromtimestamp(found / 1000, ZoneInfo(zone))
        assert (ends.hour * 60 + ends.minute, ends.second) == (end, 0)
        assert 0 < found - ms_of(moment) <= 24 * 3_600_000


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        # The clock jumps from 02:00 to 03:00 on 29 March, and back from 03:00 to 02:00 on 25 October.
        ("22:00-06:00 Europe/Berlin", ["2026-03-29T01:30", "2026-03-29T03:59", "2026-10-25T04:59"],
         ["2026-03-29T04:00", "2026-10-25T05:00"]),
        ("02:30-04:00 Europe/Berlin", ["2026-03-29T01:00", "2026-10-25T00:30", "2026-10-25T01:30"],
         ["2026-03-29T00:59", "2026-10-25T00:29", "2026-10-25T03:00"]),
        ("01:00-02:30 Europe/Berlin", ["2026-03-29T00:30", "2026-10-25T01:29"],
         ["2026-03-29T01:00", "2026-10-25T01:30"]),
    ],
)  # fmt: skip
def test_changes_to_and_from_summer_time(hours: str, inside: list[str], outside: list[str]) -> None:
    """Times in UTC: skipped local times are the moment of the change, of doubled ones the hours have both."""
    parsed = parse_hours(hours)
    for text in (*inside, *outside):
        assert (parsed.end_ms(ms_of(datetime.fromisoformat(f"{text}+00:00"))) is not None) == (text in inside), text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "expected hours"), ("22:00", "expected hours"), ("22:00 Europe/Berlin", "expected hours"),
        ("22:00-06:00", "time zone is missing"), ("22:00-06:00 ", "time zone is missing"),
        ("24:00-06:00 UTC", "start '24:00'"), ("22:00-24:00 UTC", "end '24:00'"), ("22:60-06:00 UTC", "start '22:60'"),
        ("2:00-06:00 UTC", "start '2:00'"), ("22-06 UTC", "start '22'"), ("22:00-6pm UTC", "end '6pm'"),
        ("22:00:00-06:00 UTC", "start '22:00:00'"), ("1\u0662:00-06:00 UTC", "start"), ("-06:00 UTC", "start ''"),
        ("06:00-06:00 UTC", "both 06:00"), ("22:00-06:00 Berlin", "no time zone 'Berlin'"),
        ("22:00-06:00 Europe/Nowhere", "no time zone"), ("22:00-06:00 ../../etc/passwd", "no time zone"),
        ("22:00-06:00 Europe", "no time zone"), ("22:00-06:00 UTC\x00", "no time zone"),
        ("22:00\u201306:00 UTC", "expected hours"), ("22:00-06:00-07:00 UTC", "end"), ("always", "expected hours"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_text_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_hours(text)


@given(st.one_of(st.text(max_size=40), st.none(), st.integers(), st.binary(max_size=9)))
def test_whatever_is_no_text_of_hours_is_a_value_error(text: object) -> None:
    with pytest.raises(ValueError, match="expected hours"):
        parse_hours(text)  # type: ignore[arg-type]
