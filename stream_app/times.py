"""Converts times between text and integers: RFC 3339 outside, milliseconds since 1970 UTC inside.

Both directions run at least once per event, so the usual form (`2026-03-01T12:34:56.789Z`) is converted by table
look-ups; every other form that RFC 3339 section 5.6 allows takes the general path.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TypeVar

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
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)


def text_to_time(text: str) -> int:
    """Reads an RFC 3339 time, which must have an offset.

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
