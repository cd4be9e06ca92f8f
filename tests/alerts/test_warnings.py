"""Warnings to owners: when they are due, whom they reach, and what they say."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.alerts.registered import Registered, register
from stream_app.alerts.retries import DISABLE_AFTER_HOURS
from stream_app.alerts.subscriptions import Subscription, make_subscription
from stream_app.alerts.warnings import (
    WARN_AFTER_HOURS,
    WAYS_MAX,
    disable_reason,
    other_ways,
    warn_ms,
    warning_of,
    warning_text,
)
from stream_app.core.units import HOUR_MS
from tests.alerts.records import NOW

MAIL: dict[str, Any] = {"kind": "email", "to": ["ann@example.com"]}
SLACK: dict[str, Any] = {"kind": "slack", "webhook_url": "https://hooks.slack.com/services/T/B/x"}
HOOK: dict[str, Any] = {"kind": "webhook", "url": "https://e.org/h"}


def subscription(name: str, sink: dict[str, Any], owner: str = "ads", **more: Any) -> Subscription:
    """A subscription."""
    return make_subscription({"id": name, "name": f"Flags,\nall of {owner}", "owner": owner, "sink": sink, **more})


def registered(*given: Subscription) -> list[Registered]:
    """Subscriptions as they are kept."""
    return [register(each, NOW) for each in given]


def test_the_owner_is_warned_a_day_before() -> None:
    """Once, and only of what fails."""
    assert WARN_AFTER_HOURS == DISABLE_AFTER_HOURS - 24 == 96
    assert warn_ms(NOW, False) == NOW + 96 * HOUR_MS
    assert warn_ms(NOW, True) is None
    assert warn_ms(None, False) is None


@pytest.mark.parametrize(
    ("gone", "failing_ms", "gives"),
    [
        (True, NOW, "HTTP 410"),
        (True, None, "HTTP 410"),
        (False, None, None),
        (False, NOW - 120 * HOUR_MS + 1, None),
        (False, NOW - 120 * HOUR_MS, "no message arrived for 120 hours"),
    ],
)
def test_why_a_subscription_is_disabled(gone: bool, failing_ms: int | None, gives: str | None) -> None:
    """Its sink is gone, or has failed for days."""
    assert disable_reason(gone, "HTTP 410", failing_ms, NOW) == gives


def test_an_owner_is_reached_by_the_other_subscriptions() -> None:
    """Those that are active and reach people, each sink once."""
    failing = subscription("fails", HOOK)
    ways = other_ways(
        failing,
        registered(
            failing,
            subscription("mail", MAIL),
            subscription("mail-again", MAIL),
            subscription("slack", SLACK),
            subscription("of-another", MAIL | {"to": ["eve@example.com"]}, "eve"),
            subscription("paused", MAIL | {"to": ["bob@example.com"]}, state="paused"),
            subscription("disabled", MAIL | {"to": ["cid@example.com"]}, state="disabled"),
            subscription("hook", HOOK | {"url": "https://e.org/i"}),
            subscription("topic", {"kind": "kafka", "topic": "t"}),
        ),
    )

    assert [each.subscription.id for each in ways] == ["mail", "slack"]


def test_the_sink_that_fails_is_no_other_way() -> None:
    """Whichever subscription has it."""
    failing = subscription("fails", SLACK)

    assert other_ways(failing, registered(failing, subscription("same", SLACK))) == []


def test_an_owner_is_reached_by_a_few_ways() -> None:
    """However many subscriptions there are: a server that is down makes all of them fail together."""
    failing = subscription("fails", HOOK)
    many = [subscription(f"m{number}", MAIL | {"to": [f"a{number}@example.com"]}) for number in range(WAYS_MAX + 5)]

    assert len(other_ways(failing, registered(failing, *many))) == WAYS_MAX == 10


def test_a_warning_says_what_will_happen() -> None:
    """Which subscription, since when, why, when it ends, and how it goes on."""
    failing = subscription("ads-hook", HOOK)
    text = warning_text(warning_of(NOW, "HTTP 503", NOW + 96 * HOUR_MS, disabled=False), failing)

    assert text.title == "The subscription ads-hook fails, and will be disabled"
    assert text.body.splitlines() == [
        "No message of the subscription ads-hook (Flags, all of ads) has arrived since 2026-05-28T20:26:40.000Z.",
        "The last attempt: HTTP 503",
        "It is disabled with the first attempt that fails after 2026-06-02T20:26:40.000Z; what waits then is given up.",
        "Once its sink takes messages, resume it where it is disabled: `stream-app subscriptions resume ads-hook`",
        "What was given up is sent again by: `stream-app deliveries recover ads-hook --since 2026-05-28T20:26:40.000Z`",
    ]


def test_a_warning_says_what_has_happened() -> None:
    """When it was disabled; a sink may be gone with the first attempt."""
    text = warning_text(warning_of(None, "HTTP 410", NOW, disabled=True), subscription("ads-hook", HOOK))

    assert text.title == "The subscription ads-hook is disabled"
    assert "It was disabled at 2026-05-28T20:26:40.000Z." in text.body
    assert "The last attempt: HTTP 410" in text.body
    assert "`stream-app subscriptions resume ads-hook`" in text.body
