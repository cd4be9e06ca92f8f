"""Times go from text to milliseconds and back without loss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.times import foreign_to_time, text_to_time, time_to_text, zone_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)).map(lambda t: t.replace(tzinfo=UTC)))
def test_times_agree_with_the_calendar(time: datetime) -> None:
    """Both directions give what datetime gives, and each undoes the other; twice, as minutes are kept."""
    time_ms = (time - EPOCH) // MILLISECOND
    text = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    for _ in range(2):
        assert text == time_to_text(time_ms)
        assert time_ms == text_to_time(text)


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_offsets_and_fractions_are_understood(time: datetime, offset: int, digits: str) -> None:
    """Any offset names the same instant; digits beyond milliseconds are cut off."""
    local = time.replace(tzinfo=timezone(timedelta(minutes=offset)))
    text = local.isoformat(timespec=digits)

    assert (datetime.fromisoformat(text) - EPOCH) // MILLISECOND == text_to_time(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-03-01t06:12:40z", "2026-03-01T06:12:40Z"),
        ("2026-03-01T06:12:40.5Z", "2026-03-01T06:12:40.500Z"),
        ("2026-03-01T06:12:40.123999999Z", "2026-03-01T06:12:40.123Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2026-03-01T06:12:40-00:00", "2026-03-01T06:12:40Z"),
    ],
)
def test_forms_of_rfc_3339_are_understood(text: str, same: str) -> None:
    """Small letters, any number of digits, leap seconds and the unknown local offset are valid."""
    assert text_to_time(same) == text_to_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "2026-03-01T06:12",
        "2026-03-01T06:12:40.Z",
        "2026-03-01T06:12:40,5Z",
        "2026-03-01 06:12:40Z",
        "2026-3-1T06:12:40Z",
        "2026-13-01T06:12:40Z",
        "2025-02-29T06:12:40Z",
        "0000-01-01T00:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T06:60:40Z",
        "2026-03-01T06:12:61Z",
        "2026-03-01T06:12:40+24:00",
        "2026-03-01T06:12:40+01",
        "2026-03-01T06:12:40ZZ",
        "\uff1226-03-01T06:12:40Z",
        "2026-W09-7T06:12:40Z",
    ],
)
def test_other_text_is_no_time(text: str) -> None:
    """Also when the minute itself is known already."""
    text_to_time("2026-03-01T06:12:40Z")
    with pytest.raises(ValueError, match=r"\w"):
        text_to_time(text)


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)),
    st.sampled_from(["T", "t", " "]),
    st.sampled_from(["", "Z", "z", "+00:00", "+0000", "+00", " UTC", "Z[Europe/London]", "+00:00[UTC]", "[Etc/UTC]"]),
    st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
)
def test_foreign_forms_name_the_same_instant(time: datetime, mark: str, offset: str, digits: str) -> None:
    """As the usual form does, and as seconds and milliseconds since 1970 do."""
    text = time.isoformat(mark, digits) + offset
    time_ms = text_to_time(datetime.fromisoformat(time.isoformat("T", digits)).isoformat() + "Z")

    assert foreign_to_time(text) == time_ms
    assert foreign_to_time(time_ms) == foreign_to_time(str(time_ms)) == time_ms
    assert foreign_to_time(time_ms / 1000) == time_ms


def test_a_zone_holds_where_there_is_no_offset() -> None:
    """That of the text before that of the reader; an offset before both; a leap second is the one after."""
    berlin = zone_of("Europe/Berlin")
    noon = text_to_time("2026-07-01T12:00:00Z")

    assert foreign_to_time("2026-07-01T14:00:00", berlin) == noon
    assert foreign_to_time("2026-07-01T08:00:00[America/New_York]", berlin) == noon
    assert foreign_to_time("2026-07-01T12:00:00Z[America/New_York]", berlin) == noon
    assert foreign_to_time("2026-06-30T23:59:60Z") == text_to_time("2026-07-01T00:00:00Z")


@pytest.mark.parametrize(
    "value",
    [
        "", "noon", "2026-03-01", "2026-02-30T06:00:00", "2026-03-01T24:00",
        "2026-03-01T06:00:61", "2026-03-01T06:00+99",
        "2026-03-01T06:00:00[Mars/Olympus]", "2026-03-01T06:00:00[../etc]", "1772345", -1, 1e300, float("nan"), 10**400,
        "0001-01-01T00:00:00[America/New_York]x",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(value: str | float) -> None:
    """With nothing but a ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        foreign_to_time(value)


@pytest.mark.parametrize("name", ["", "Mars", "../UTC", "/etc/localtime", "Europe"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    """Whatever it is the name of."""
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(name)
