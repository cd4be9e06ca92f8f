"""Snooze and mute on a real service: who hears of a flag, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from stream_app.times import text_to_time, time_to_text
from tests.support.flagged import Flagging, flagging, now_ms


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flagging]:
    """One service for all, with a subscription of another owner beside that of ann."""
    with flagging(tmp_path_factory.mktemp("quiet")) as made:
        bob = {"id": "bob", "name": "bob", "owner": "bob", "sink": {"kind": "webhook", "url": made.hook.url}}
        assert made.ask("POST", "/v1/subscriptions", {**bob, "delivery": {"min_hold_seconds": 0}}).status == 201
        yield made


@pytest.fixture(scope="module")
def open_flag(running: Flagging) -> str:
    """A flag that nobody may end."""
    return running.flag()


def reason(running: Flagging, subscription: str, flag: str, fate: str) -> str:
    """Why what a subscription was to hear of a flag had a fate, once it has."""
    path = f"/v1/subscriptions/{subscription}/deliveries?fate={fate}&limit=1000"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for each in running.ask("GET", path).json["deliveries"]:
            if any(name.startswith(f"{flag}#") for name in each["records"]):
                return str(each["reason"])
    raise AssertionError(f"nothing was {fate} of {flag}")


def test_a_muted_flag_is_not_sent_any_more_and_is_not_changed(running: Flagging) -> None:
    """The delivery log says who wanted it, and why; others still hear of it."""
    flag = running.flag()

    answer = running.act(flag, "mute", "ann", reason="known")
    before = running.record(flag)
    assert running.act(flag, "prolong", hours=1).status == 202
    running.record(flag, lambda record: record["revision"] > before["revision"])
    why = reason(running, "hook", flag, "dropped")

    assert (answer.status, answer.json["subscriptions"], answer.json["until"]) == (200, ["hook"], None)
    assert before["change"] == "raised"
    assert why == "muted by ann-ci: known"
    assert ("ann-ci", f"mute {flag}: known", "hook") in running.audit()
    running.hook.until(lambda arrived: any(each.id == f"{flag}#2@bob" for each in arrived))
    assert not [each for each in running.hook.arrived if each.id == f"{flag}#2@hook"]


def test_a_snoozed_flag_is_held(running: Flagging) -> None:
    """For one subscription alone, where it is named."""
    flag = running.flag()
    until = time_to_text(now_ms() + 3_600_000)

    answer = running.act(flag, "snooze", subscription="bob", until=until)
    assert running.act(flag, "prolong", hours=1).status == 202
    running.hook.until(lambda arrived: any(each.id == f"{flag}#2@hook" for each in arrived))
    why = reason(running, "bob", flag, "postponed")

    assert (answer.status, answer.json["subscriptions"], answer.json["until"]) == (200, ["bob"], until)
    assert why == f"held until {until}: snoozed by root: it matters"


def test_hours_are_counted_from_now(running: Flagging, open_flag: str) -> None:
    """Whenever the run may be stopped."""
    began = now_ms()
    until = text_to_time(running.act(open_flag, "snooze", hours=2).json["until"])

    assert began + 7_200_000 <= until <= now_ms() + 7_200_000


@pytest.mark.parametrize(
    ("act", "body", "status", "field"),
    [
        ("snooze", {}, 422, "until"),
        ("snooze", {"hours": 1, "until": "2030-01-01T00:00:00Z"}, 422, "until"),
        ("snooze", {"hours": 0}, 422, "hours"),
        ("snooze", {"hours": 1_000}, 422, "hours"),
        ("snooze", {"until": "2020-01-01T00:00:00Z"}, 422, "until"),
        ("snooze", {"until": "2099-01-01T00:00:00Z"}, 422, "until"),
        ("snooze", {"hours": 1, "reason": ""}, 422, "reason"),
        ("mute", {"hours": 1}, 422, "hours"),
        ("mute", {"reason": None}, 422, "reason"),
        ("mute", {"subscription": ""}, 422, "subscription"),
        ("mute", {"subscription": 7}, 422, "subscription"),
        ("mute", {"owner": ["ann"]}, 422, "owner"),
        ("mute", {"owner": None}, 422, "owner"),
        ("mute", {"owner": "ann", "subscription": "hook"}, 422, "owner"),
        ("mute", {"value": False}, 422, "value"),
        ("mute", {"subscription": "none"}, 404, None),
        ("mute", {"owner": "nobody"}, 404, None),
    ],
)
def test_what_is_refused(
    running: Flagging, open_flag: str, act: str, body: dict[str, Any], status: int, field: str | None
) -> None:
    """By field, or since there is nobody who would be told."""
    answer = running.act(open_flag, act, **body)

    assert (answer.status, answer.json.get("field")) == (status, field), answer.body


@pytest.mark.parametrize(
    ("token", "body", "status"),
    [
        ("nobody", {}, 401),
        ("reader", {}, 403),
        ("only-q", {}, 404),
        ("bob", {}, 404),
        ("bob", {"subscription": "hook"}, 404),
        ("bob", {"owner": "ann"}, 404),
        ("bob", {"subscription": "bob"}, 200),
        ("only-p", {}, 200),
    ],
)
def test_a_token_changes_what_its_owners_hear_of_what_it_sees(
    running: Flagging, open_flag: str, token: str, body: dict[str, Any], status: int
) -> None:
    """And nothing else."""
    assert running.act(open_flag, "snooze", token, hours=1, **body).status == status


def test_a_flag_that_has_ended_is_not_told_of_anyway(running: Flagging) -> None:
    """There is nothing to mute."""
    answer = running.act(running.ended("pushes"), "mute")

    assert answer.status == 404
    assert "not open any more" in answer.json["detail"]
