"""When a message may be sent: holding, grouping, digests and quiet hours, in the time zone of the subscription.

Local times that a change to summer time skips count as the moment of the change; of those that occur twice the first
counts for a start and a digest, and the second for the end of quiet hours.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

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
        offset = round(_at(now_ms).astimezone(zone).utcoffset().total_seconds() * 1000)  # type: ignore[union-attr]
        return now_ms + 3_600_000 - (now_ms + offset) % 3_600_000
    at = time.fromisoformat(delivery.digest_at)
    day = _at(now_ms).astimezone(zone).date()
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
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    today = _at(now_ms).astimezone(zone).date()
    for day in (today - _DAY, today):
        begins = moment_ms(day, start, zone)
        ends = moment_ms(day + _DAY if end <= start else day, end, zone, last=True)
        if begins <= now_ms < ends:
            return ends
    return now_ms


def moment_ms(day: date, at: time, zone: ZoneInfo, *, last: bool = False) -> int:
    """The moment of a local time, in ms since 1970 UTC.

    Parameters
    ----------
    day, at, zone
        The local time. One that is skipped is the moment of the change.
    last
        Whether the second moment counts of a local time that occurs twice.

    Returns
    -------
    int
    """
    local = datetime.combine(day, at, zone)
    first, second = (round(local.replace(fold=fold).timestamp() * 1000) for fold in (0, 1))
    if first <= second:
        return second if last else first
    # Skipped: the first reading is after the change and the second before it. Offsets change at full seconds.
    low, high = second // 1000, first // 1000
    before = _at(second).astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if _at(middle * 1000).astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high * 1000


def _at(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
