"""A draft is told what it would have sent."""

from __future__ import annotations

from typing import Any

from stream_app.alerts.flags import Change, FlagOutcome
from stream_app.alerts.preview import preview
from stream_app.alerts.subscriptions import make_subscription
from tests.alerts.records import NOW, record

MINUTE = 60_000


def draft(**more: Any) -> Any:
    """A draft of a subscription."""
    return make_subscription(
        {"id": "d", "name": "d", "owner": "ann", "sink": {"kind": "kafka", "topic": "t"}, "state": "paused", **more}
    )


HISTORY = [
    (NOW, record()),
    (NOW + MINUTE, record(flag="p/run:r2")),
    (NOW + 2 * MINUTE, record(2, Change.WITHDRAWN, "p/run:r2")),
    (NOW + 9 * MINUTE, record(2, Change.RESOLVED, outcome=FlagOutcome.PUSHED, cause=None)),
    (NOW + 9 * MINUTE, record(flag="p/run:r3")),
]


def test_a_draft_is_run_over_the_past() -> None:
    """Two flags are announced, with one end; the one that was withdrawn within its hold is never heard of."""
    made = preview(draft(), HISTORY, lambda _: 2.5)

    assert (made.messages, made.flags, made.node_hours, made.money, made.pushed) == (3, 2, 20.0, 50.0, 1)
    assert made.dropped == {"withdrawn before it was announced": 1, "its flag was not announced": 1}


def test_digests_are_counted_as_they_are_sent() -> None:
    """All of an hour is one message."""
    assert preview(draft(delivery={"digest": "day"}), HISTORY).messages == 1


def test_a_draft_that_matches_nothing_sends_nothing() -> None:
    """And costs nothing."""
    made = preview(draft(filter={"pipeline": "other"}), HISTORY)

    assert (made.messages, made.flags, made.money, made.dropped) == (0, 0, None, {})
