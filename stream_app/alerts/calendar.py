"""When a message may be sent: holding, grouping, digests and quiet hours, in the time zone of the subscription.

Local times that are skipped or occur twice count as in `stream_app.acting.hours`; a digest is sent at the first.
"""

from __future__ import annotations

from datetime import time, timedelta
from zoneinfo import ZoneInfo

from stream_app.acting.hours import Hours, moment_ms, utc
from stream_app.alerts.subscriptions import Delivery, QuietHours

_DAY = timedelta(days=1)


def due_ms(delivery: Delivery, now_ms: int) -> int:
    """When a message that is ready now is sent.

    Parameters
    ----------
    delivery
        How messages of the subscription are sent.
    now_ms
        The time in ms since 1970 UTC.

    Returns
    -------
    int
        `now_ms`, or the end of the digest or of the quiet hours, in ms since 1970 UTC.
    """
    due = now_ms
    if delivery.digest is not None:
        due = digest_end_ms(delivery, now_ms)
    if delivery.quiet_hours is not None:
        due = quiet_end_ms(delivery.quiet_hours, delivery.zone, due)
    return due


def digest_end_ms(delivery: Delivery, now_ms: int) -> int:
    """When the digest that is collected at a time is sent: the first moment after it, in ms since 1970 UTC."""
    zone = delivery.zone
    if delivery.digest == "hour":
        # The next full hour of local time, half-hour zones included; an hour that occurs twice has two digests.
        offset = round(utc(now_ms).astimezone(zone).utcoffset().total_seconds() * 1000)  # type: ignore[union-attr]
        return now_ms + 3_600_000 - (now_ms + offset) % 3_600_000
    at = time.fromisoformat(delivery.digest_at)
    day = utc(now_ms).astimezone(zone).date()
    if delivery.digest == "week":
        day -= timedelta(days=day.weekday())
    step = _DAY if delivery.digest == "day" else 7 * _DAY
    while (end := moment_ms(day, at, zone)) <= now_ms:
        day += step
    return end


def quiet_end_ms(quiet: QuietHours, zone: ZoneInfo, now_ms: int) -> int:
    """The end of the quiet hours that a time lies in; the time itself where it lies in none.

    Parameters
    ----------
    quiet
        The hours.
    zone
        Their time zone.
    now_ms
        The time in ms since 1970 UTC.

    Returns
    -------
    int
        In ms since 1970 UTC.
    """
    end_ms = Hours(time.fromisoformat(quiet.start), time.fromisoformat(quiet.end), zone).end_ms(now_ms)
    return end_ms if end_ms is not None else now_ms
