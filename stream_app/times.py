"""Converts times between text and integers: RFC 3339 outside, milliseconds since 1970 UTC inside.

Both directions run at least once per event, so the usual form (`2026-03-01T12:34:56.789Z`) is converted by table
look-ups; every other form that RFC 3339 section 5.6 allows takes the general path. A time without an offset is UTC.
`foreign_to_time` reads the other forms that clients of OpenLineage write.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

#: 1990-01-01 and 9999-01-01. The last year is excluded, so that a time plus a horizon can still be written.
EARLIEST_MS = 631_152_000_000
LATEST_MS = 253_370_764_800_000

_MINUTE_MS = 60_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Recent minutes, by their text and by their number.
_CACHE_SIZE = 50_000
_minutes: dict[str, int] = {}
_texts: dict[int, str] = {}
_SECONDS = {f":{second:02}": second * 1000 for second in range(60)}
_FRACTIONS = {"Z": 0, **{f".{ms:03}Z": ms for ms in range(1000)}}

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))?", re.ASCII
)
#: Other forms of a time: a space for the T, no seconds, a comma, short offsets, and the zone that Java appends.
_FOREIGN = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r" ?([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d(?::\d\d)?)?)?(?: ?\[([\w+/-]{1,64})\])?",
    re.ASCII,
)
#: Seconds or milliseconds since 1970, and the largest number that counts as seconds (in the year 5138).
_EPOCH_TIME = re.compile(r"\d{9,13}(?:\.\d+)?", re.ASCII)
_SECONDS_MAX = 1e11


def text_to_time(text: str) -> int:
    """Reads an RFC 3339 time; without an offset it is UTC.

    Digits beyond milliseconds are cut off. A leap second counts as the second after it.

    Parameters
    ----------
    text
        The time, such as `2026-03-01T12:34:56.789Z`.

    Returns
    -------
    int
        Milliseconds since 1970 UTC.

    Raises
    ------
    ValueError
        The text is not such a time, or names a day that does not exist.

    Examples
    --------
    >>> text_to_time("1970-01-01T01:00:00.5+01:00")
    500
    """
    minute = _minutes.get(text[:16])
    second = _SECONDS.get(text[16:19])
    fraction = _FRACTIONS.get(text[19:])
    if minute is None or second is None or fraction is None:
        return _general(text)
    return minute + second + fraction


def foreign_to_time(value: str | float, zone: tzinfo = UTC) -> int:
    """Reads a time in any of the forms that clients of OpenLineage write.

    These are RFC 3339, ISO 8601 with a space for the `T`, without seconds or with a short offset, the forms of Java's
    `ZonedDateTime` (`2026-03-01T06:00+01:00[Europe/Berlin]`), and seconds or milliseconds since 1970, as a number or
    as digits.

    Parameters
    ----------
    value
        The time.
    zone
        The time zone of a time that has neither an offset nor the name of a zone.

    Returns
    -------
    int
        Milliseconds since 1970 UTC.

    Raises
    ------
    ValueError
        The value is not such a time, or names a day or a zone that does not exist.

    Examples
    --------
    >>> foreign_to_time("1970-01-01 01:00+01"), foreign_to_time(1_772_368_496), foreign_to_time("1772368496789")
    (0, 1772368496000, 1772368496789)
    """
    if not isinstance(value, str) or _EPOCH_TIME.fullmatch(value):
        number = float(value) if isinstance(value, str) else value
        if not 0 <= number < LATEST_MS:
            raise ValueError("no time since 1970")
        return round(number * 1000) if number < _SECONDS_MAX else int(number)
    match = _FOREIGN.fullmatch(value)
    if match is None:
        raise ValueError("not a time")
    date, hour_minute, second, fraction, offset, zone_name = match.groups()
    if second == "60":
        return foreign_to_time(value.replace(":60", ":59", 1), zone) + 1000
    read = datetime.fromisoformat(f"{date}T{hour_minute}:{second or '00'}{_offset(offset)}")
    if read.tzinfo is None:
        read = read.replace(tzinfo=zone_of(zone_name) if zone_name else zone)
    try:
        whole_ms = (read - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError as error:
        raise ValueError("outside of the years 1 to 9999") from error
    return whole_ms + int((fraction or "0")[:3].ljust(3, "0"))


def _offset(text: str | None) -> str:
    return "+00:00" if text in ("Z", "z", "UTC", "GMT") else text or ""


def zone_of(name: str) -> tzinfo:
    """The time zone of a name.

    Parameters
    ----------
    name
        Of the IANA database, such as `Europe/Berlin`.

    Returns
    -------
    tzinfo
        The time zone.

    Raises
    ------
    ValueError
        There is no such time zone.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"no time zone {name!r} is known here; expected a name such as Europe/Berlin") from None


def time_to_text(time_ms: int) -> str:
    """Writes a time as RFC 3339 in UTC with milliseconds.

    Parameters
    ----------
    time_ms
        Milliseconds since 1970 UTC.

    Returns
    -------
    str
        The time.

    Raises
    ------
    OverflowError
        The time is outside of the years 1 to 9999.

    Examples
    --------
    >>> time_to_text(1_772_368_496_789)
    '2026-03-01T12:34:56.789Z'
    """
    minute, ms = divmod(time_ms, _MINUTE_MS)
    text = _texts.get(minute)
    if text is None:
        text = (_EPOCH + timedelta(minutes=minute)).isoformat()[:17]
        _keep(_texts, minute, text)
    return f"{text}{ms // 1000:02}.{ms % 1000:03}Z"


def _general(text: str) -> int:
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time")
    date, hour_minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    if second > "60":
        raise ValueError("no such second")
    text = f"{date}T{hour_minute}"
    minute_ms = (datetime.fromisoformat(text + "+00:00") - _EPOCH) // timedelta(milliseconds=1)
    _keep(_minutes, text, minute_ms)
    offset_ms = _MINUTE_MS * (60 * int(offset_hours) + int(offset_minutes)) if sign else 0
    time_ms = minute_ms + int(second) * 1000 + int((fraction or "0")[:3].ljust(3, "0"))
    return time_ms + offset_ms if sign == "-" else time_ms - offset_ms


def _keep(cache: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(cache) >= _CACHE_SIZE:
        cache.clear()
    cache[key] = value
