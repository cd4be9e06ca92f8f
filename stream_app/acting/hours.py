"""Hours of each day in a time zone, written as `22:00-06:00 Europe/Berlin`.

Local times that a change to summer time skips count as the moment of the change; of those that occur twice the first
counts for the start, and the second for the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from stream_app.times import zone_of

_DAY = timedelta(days=1)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z", re.ASCII)
_EXPECTED = "expected hours and a time zone, such as 22:00-06:00 Europe/Berlin"


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of each day.

    Parameters
    ----------
    start, end
        Local times; an end that is not after the start is on the next day.
    zone
        Their time zone.
    """

    start: time
    end: time
    zone: tzinfo

    def end_ms(self, now_ms: int) -> int | None:
        """The end of the hours that a moment lies in.

        Parameters
        ----------
        now_ms
            The moment, in ms since 1970 UTC.

        Returns
        -------
        int or None
            In ms since 1970 UTC; None where the moment lies in none.
        """
        today = utc(now_ms).astimezone(self.zone).date()
        for day in (today - _DAY, today):
            begins = moment_ms(day, self.start, self.zone)
            ends = moment_ms(day + _DAY if self.end <= self.start else day, self.end, self.zone, last=True)
            if begins <= now_ms < ends:
                return ends
        return None


def parse_hours(text: str) -> Hours:
    """Reads hours.

    Parameters
    ----------
    text
        Such as `22:00-06:00 Europe/Berlin`.

    Returns
    -------
    Hours

    Raises
    ------
    ValueError
        The text is none; the message names what is wrong.

    Examples
    --------
    >>> parse_hours("22:00-06:00 UTC").end_ms(0)
    21600000
    """
    if not isinstance(text, str):
        raise ValueError(_EXPECTED)
    times, _, zone = text.strip().partition(" ")
    start, separator, end = times.partition("-")
    if not separator:
        raise ValueError(_EXPECTED)
    for name, value in (("start", start), ("end", end)):
        if not _TIME.match(value):
            raise ValueError(f"the {name} {value[:20]!r} is no time of a day from 00:00 to 23:59; {_EXPECTED}")
    if start == end:
        raise ValueError(f"start and end are both {start}; {_EXPECTED}")
    if not zone.strip():
        raise ValueError(f"the time zone is missing; {_EXPECTED}")
    return Hours(time.fromisoformat(start), time.fromisoformat(end), zone_of(zone.strip()[:80]))


def moment_ms(day: date, local_time: time, zone: tzinfo, *, last: bool = False) -> int:
    """The moment of a local time, in ms since 1970 UTC.

    Parameters
    ----------
    day, local_time, zone
        The local time. One that is skipped is the moment of the change.
    last
        Whether the second moment counts of a local time that occurs twice.

    Returns
    -------
    int
    """
    local = datetime.combine(day, local_time, zone)
    first, second = (round(local.replace(fold=fold).timestamp() * 1000) for fold in (0, 1))
    if first <= second:
        return second if last else first
    # Skipped: the first reading is after the change and the second before it. Offsets change at full seconds.
    low, high = second // 1000, first // 1000
    before = utc(second).astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if utc(middle * 1000).astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high * 1000


def utc(time_ms: int) -> datetime:
    """A moment in ms since 1970 UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)
