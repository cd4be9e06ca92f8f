"""Warnings to owners whose subscription fails: when one is due, what it says, and who can be reached. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stream_app.alerts.registered import Registered
from stream_app.alerts.retries import DISABLE_AFTER_HOURS
from stream_app.alerts.subscriptions import EmailSink, SlackSink, State, Subscription
from stream_app.alerts.texts import Text
from stream_app.core.units import HOUR_MS
from stream_app.times import time_to_text

#: Hours of nothing but failures after which the owner is warned.
WARN_AFTER_HOURS = DISABLE_AFTER_HOURS - 24.0
#: Subscriptions by which an owner is reached; where a chat or mail server is down, all of an owner's fail at once.
WAYS_MAX = 10
#: Characters of a reason that is kept.
_REASON_MAX = 500


@dataclass(frozen=True, slots=True)
class OwnerWarning:
    """What an owner should know of a subscription.

    Parameters
    ----------
    disabled
        Whether it is disabled; if not, it will be.
    since_ms
        When the first of the attempts was made that have all failed since, in ms since 1970 UTC.
    disabled_ms
        When it was or can be disabled, in ms since 1970 UTC.
    reason
        Why the last attempt failed.
    """

    disabled: bool
    since_ms: int
    disabled_ms: int
    reason: str


def warn_ms(failing_ms: int | None, warned: bool) -> int | None:
    """When the owner of a subscription is to be warned, in ms since 1970 UTC.

    Parameters
    ----------
    failing_ms
        When the first of the attempts was made that have all failed since, in ms since 1970 UTC; None: none has.
    warned
        Whether the owner was warned since.

    Returns
    -------
    int or None
        None: for now there is nothing to warn of.
    """
    return None if failing_ms is None or warned else failing_ms + round(WARN_AFTER_HOURS * HOUR_MS)


def disable_reason(gone: bool, reason: str, failing_ms: int | None, now_ms: int) -> str | None:
    """Why a subscription is to be disabled after an attempt.

    Parameters
    ----------
    gone, reason
        What became of the attempt: whether the sink says that it is gone, and why it failed.
    failing_ms
        As of `warn_ms`.
    now_ms
        The time in ms since 1970 UTC.

    Returns
    -------
    str or None
        None: it is not.
    """
    if gone:
        return reason[:_REASON_MAX]
    if failing_ms is not None and now_ms - failing_ms >= DISABLE_AFTER_HOURS * HOUR_MS:
        return f"no message arrived for {DISABLE_AFTER_HOURS:g} hours"
    return None


def warning_of(failing_ms: int | None, reason: str, now_ms: int, *, disabled: bool) -> OwnerWarning:
    """The warning about a subscription that fails, or is disabled now.

    Parameters
    ----------
    failing_ms
        As of `warn_ms`.
    reason
        Why the last attempt failed.
    now_ms
        The time in ms since 1970 UTC.
    disabled
        Whether it is disabled.
    """
    since_ms = now_ms if failing_ms is None else failing_ms
    ends_ms = now_ms if disabled else since_ms + round(DISABLE_AFTER_HOURS * HOUR_MS)
    return OwnerWarning(disabled, since_ms, ends_ms, reason[:_REASON_MAX])


def other_ways(failing: Subscription, all_of_them: Iterable[Registered]) -> list[Registered]:
    """The subscriptions by which an owner can be reached who does not hear of another one.

    Parameters
    ----------
    failing
        The subscription that fails.
    all_of_them
        All subscriptions.

    Returns
    -------
    list of Registered
        Active ones of the same owner whose sinks reach people, each sink once, and not the one that fails; at most
        `WAYS_MAX` of them.
    """
    found: list[Registered] = []
    tried = [failing.sink]
    for each in all_of_them:
        other = each.subscription
        if other.owner != failing.owner or other.state is not State.ACTIVE or other.sink in tried:
            continue
        if isinstance(other.sink, EmailSink | SlackSink):
            found.append(each)
            tried.append(other.sink)
    return found[:WAYS_MAX]


def warning_text(warning: OwnerWarning, subscription: Subscription) -> Text:
    """What a warning says.

    Parameters
    ----------
    warning
        The warning.
    subscription
        The subscription that fails.
    """
    name, when, since = subscription.id, time_to_text(warning.disabled_ms), time_to_text(warning.since_ms)
    label = " ".join(subscription.name.split())
    if warning.disabled:
        title = f"The subscription {name} is disabled"
        then = f"It was disabled at {when}. What waited was given up, and nothing more is sent."
    else:
        title = f"The subscription {name} fails, and will be disabled"
        then = f"It is disabled with the first attempt that fails after {when}; what waits then is given up."
    lines = (
        f"No message of the subscription {name} ({label}) has arrived since {since}.",
        f"The last attempt: {warning.reason}",
        then,
        f"Once its sink takes messages, resume it where it is disabled: `stream-app subscriptions resume {name}`",
        f"What was given up is sent again by: `stream-app deliveries recover {name} --since {since}`",
    )
    return Text(title, "\n".join(lines))
