"""Buttons in Slack, from the message that a real service posts to the click that it acts on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from aiohttp import web

from stream_app.alerts.sinks import slack
from stream_app.alerts.slack_signing import SlackRequests
from stream_app.metrics.registry import make_registry
from stream_app.web.app import make_app
from tests.support.flagged import ALERTS, FORM, Flagging, flagging
from tests.web.served import Answer, served

SIGN = SlackRequests(ALERTS.slack_signing_secret or "").sign
ANN = {"id": "U02ANN", "username": "ann", "name": "ann"}


class Slack:
    """A channel of Slack: its messages by their stamps, and all calls of its API."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    async def answer(self, request: web.Request) -> web.Response:
        """Answers a call."""
        body = await request.json()
        with self._changed:
            self.calls.append((request.match_info["method"], body))
            self._changed.notify_all()
        stamp = body.get("ts") or f"1.{len(self.calls)}"
        return web.json_response({"ok": True, "channel": "C1", "ts": stamp})

    def until(self, holds: Callable[[str, dict[str, Any]], bool]) -> dict[str, Any]:
        """The first call for which something holds, once there is one."""

        def found() -> dict[str, Any] | None:
            return next((body for method, body in self.calls if holds(method, body)), None)

        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, 30), self.calls
            return found() or {}


@pytest.fixture(scope="module")
def channel() -> Iterator[Slack]:
    """Slack's API."""
    made = Slack()
    app = make_app([web.post("/api/{method}", made.answer)], lambda: "", make_registry())
    with pytest.MonkeyPatch.context() as patch, served(app) as service:
        patch.setattr(slack, "API", f"{service.url}/api")
        yield made


@pytest.fixture(scope="module")
def running(channel: Slack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flagging]:
    """A service with a subscription of the channel."""
    assert channel
    with flagging(tmp_path_factory.mktemp("slack")) as made:
        sink = {"kind": "slack", "token": "xoxb-1", "channel": "#ads"}
        subscription = {"id": "slack", "name": "slack", "owner": "ann", "sink": sink}
        body = {**subscription, "delivery": {"min_hold_seconds": 0}}
        assert made.ask("POST", "/v1/subscriptions", body).status == 201
        yield made


def posted(channel: Slack, flag: str) -> dict[str, Any]:
    """The message about a flag, as Slack has it."""
    run = flag.partition(":")[2]
    return channel.until(lambda method, body: method == "chat.postMessage" and f"Run {run} of" in body["text"])


def clicked(message: dict[str, Any], act: str, /, **changes: Any) -> bytes:
    """The body that Slack sends when somebody clicks on a button of a message."""
    (actions,) = [each for each in message["blocks"] if each["type"] == "actions"]
    (button,) = [each for each in actions["elements"] if each["action_id"] == f"stream_app_{act}"]
    payload = {
        "type": "block_actions",
        "user": ANN,
        "channel": {"id": "C1"},
        "message": {"ts": "1.1", "text": message["text"], "blocks": message["blocks"]},
        "actions": [{"action_id": button["action_id"], "value": button["value"]}],
        **changes,
    }
    return urlencode({"payload": orjson.dumps(payload).decode()}).encode()


def send(running: Flagging, body: bytes, at: float | None = None, **headers: str) -> Answer:
    """Sends a body as Slack does."""
    stamp = str(int(time.time() if at is None else at))
    signed = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": SIGN(stamp, body)}
    given = {**FORM, **signed, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return running.service.ask("POST", "/v1/slack/actions", body, given)


@pytest.mark.parametrize(("act", "says"), [("keep", "Kept by ann"), ("wrong", "Called wrong by ann")])
def test_a_click_acts_and_the_message_says_who_clicked(running: Flagging, channel: Slack, act: str, says: str) -> None:
    """Its buttons are gone."""
    flag = running.flag()
    message = posted(channel, flag)

    answer = send(running, clicked(message, act))

    assert (answer.status, answer.body) == (200, b"")
    assert running.record(flag, lambda record: record["outcome"] == "overridden")
    who = "Slack user ann (U02ANN) of slack"
    assert (who, f"{act}: a button in Slack", flag) in running.audit()
    updated = channel.until(lambda _, body: body["blocks"][-1]["type"] == "context" and body["text"] == message["text"])
    assert updated["blocks"][-1]["elements"][0]["text"].startswith(says)
    assert updated["blocks"][:-1] == message["blocks"][:-1]
    assert (updated["channel"], updated["ts"]) == ("C1", "1.1")


def test_a_click_prolongs_by_a_day(running: Flagging, channel: Slack) -> None:
    """The flag stays open, and its message has buttons again."""
    flag = running.flag()
    before = running.record(flag)

    assert send(running, clicked(posted(channel, flag), "prolong")).status == 200

    after = running.record(flag, lambda record: record["revision"] > before["revision"])
    assert after["ladder"]["stop_from"] > before["ladder"]["stop_from"]


def test_a_second_click_is_told_that_nothing_was_done(running: Flagging, channel: Slack) -> None:
    """To whoever has clicked, and nobody else."""
    flag = running.flag()
    message = posted(channel, flag)
    eve = {"id": "U0EVE", "username": "eve"}
    send(running, clicked(message, "prolong"))
    entries = len(running.audit())

    answer = send(running, clicked(message, "prolong", user=eve))

    assert answer.status == 200
    told = channel.until(lambda method, body: method == "chat.postEphemeral" and body["user"] == "U0EVE")
    assert "Nothing was done. This link was used before." in told["text"]
    assert len(running.audit()) == entries


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: {"body": body + b"&x=1"},
        lambda _: {"X_Slack_Signature": "v0=" + "0" * 64},
        lambda _: {"X_Slack_Signature": ""},
        lambda _: {"X_Slack_Request_Timestamp": ""},
        lambda _: {"X_Slack_Request_Timestamp": "now"},
        lambda _: {"X_Slack_Request_Timestamp": str(int(time.time()) + 1)},
        lambda _: {"at": time.time() - 400},
        lambda _: {"at": time.time() + 400},
        lambda body: {"X_Slack_Signature": SlackRequests("another").sign(str(int(time.time())), body)},
    ],
)
def test_what_slack_has_not_signed_now_does_nothing(
    running: Flagging, open_message: dict[str, Any], spoil: Callable[[bytes], dict[str, Any]]
) -> None:
    """No header is missing, old, or of another body."""
    body = clicked(open_message, "keep")
    given = spoil(body)
    stamp = str(int(time.time()))
    headers = {"X_Slack_Signature": SIGN(stamp, body), "X_Slack_Request_Timestamp": stamp} if "body" in given else {}
    entries = len(running.audit())

    answer = send(running, given.pop("body", body), given.pop("at", None), **headers, **given)

    assert answer.status == 401
    assert len(running.audit()) == entries


@pytest.fixture(scope="module")
def open_message(running: Flagging, channel: Slack) -> dict[str, Any]:
    """The message about a flag that nobody may end."""
    return posted(channel, running.flag())


def test_a_request_that_is_sent_again_is_refused(running: Flagging, channel: Slack) -> None:
    """Whoever has recorded it."""
    flag = running.flag()
    body, at = clicked(posted(channel, flag), "prolong"), time.time()

    assert send(running, body, at).status == 200
    assert send(running, body, at).status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"actions": []},
        {"actions": None},
        {"actions": [{"action_id": "other", "value": "x"}]},
        {"actions": [{"action_id": "stream_app_keep"}]},
        {"actions": [{"action_id": "stream_app_keep", "value": "forged.token"}]},
        {"actions": [{"action_id": "stream_app_keep", "value": None}]},
        {"user": None},
        {"user": {}},
        {"channel": "C1"},
        {"message": {}},
        {"message": None},
    ],
)
def test_what_is_no_click_on_a_button_does_nothing(
    running: Flagging, open_message: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Although Slack has signed it: an app may have other buttons."""
    entries = len(running.audit())

    assert send(running, clicked(open_message, "keep", **changes)).status == 200
    assert len(running.audit()) == entries


@pytest.mark.parametrize("body", [b"", b"payload=", b"payload={", b"payload=7", b"payload=[]", b"\xff", b"a=1"])
def test_a_body_without_a_click_does_nothing(running: Flagging, body: bytes) -> None:
    """Nor does it fail."""
    assert send(running, body).status == 200


def test_without_a_signing_secret_there_is_no_such_route(tmp_path: Path) -> None:
    """And messages have no buttons, on which nobody could click."""
    assert ALERTS.slack_signing_secret

    with flagging(tmp_path, replace(ALERTS, slack_signing_secret=None)) as service:
        assert send(service, b"payload={}").status == 404
