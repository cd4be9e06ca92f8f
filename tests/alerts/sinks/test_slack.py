"""Slack's two ways, against a server that answers as Slack's documentation says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from stream_app.alerts.flags import Change
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.sinks.slack import Bot, IncomingWebhook, content
from stream_app.alerts.subscriptions import OwnText
from stream_app.alerts.templates import TEXT_MAX
from stream_app.alerts.texts import Text, Texts
from tests.alerts.records import record
from tests.alerts.sinks.servers import client, outgoing, serving

Answer = Callable[[str, dict[str, Any]], tuple[int, Any]]


def check(body: dict[str, Any]) -> None:
    """Slack's limits: it refuses what exceeds them."""
    assert body["text"]
    assert 1 <= len(body["blocks"]) <= 50
    for block in body["blocks"]:
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert 1 <= len(block["text"]["text"]) <= 150
        else:
            assert (block["type"], block["text"]["type"]) == ("section", "mrkdwn")
            assert 1 <= len(block["text"]["text"]) <= 3000


class FakeSlack:
    """Keeps messages by their time stamps, as Slack does."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.messages: dict[str, str] = {}
        self.answer = answer

    async def __call__(self, request: web.Request) -> web.Response:
        """Answers one call."""
        method, body = request.path.rpartition("/")[2], await request.json()
        check(body)
        self.calls.append((method, body))
        if self.answer is not None:
            status, said = self.answer(method, body)
            return (
                web.json_response(said, status=status)
                if isinstance(said, dict)
                else web.Response(status=status, text=said)
            )
        if request.headers.get("Authorization") != "Bearer xoxb-1":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if method == "chat.update" and body["ts"] not in self.messages:
            return web.json_response({"ok": False, "error": "message_not_found"})
        stamp = body.get("ts") or f"1.{len(self.messages)}"
        self.messages[stamp] = body["text"]
        return web.json_response({"ok": True, "channel": "C1", "ts": stamp})


def bot(slack: FakeSlack, *changes: Change, token: str = "xoxb-1", forget: bool = False) -> list[Result]:
    """The records of one flag, through a bot."""

    async def body() -> list[Result]:
        thread: dict[str, str] = {}
        results = []
        async with serving(slack) as address, client() as http:
            sink = Bot(http, token, "#ads", api=address)
            for revision, change in enumerate(changes, 1):
                results.append(await sink.send(outgoing(record(revision, change), thread=thread)))
                thread.update(results[-1].thread or {})
                if forget:
                    slack.messages.clear()
        return results

    return asyncio.run(body())


def test_a_bot_edits_the_message_of_a_flag() -> None:
    """One message through its whole life."""
    slack = FakeSlack()
    results = bot(slack, Change.RAISED, Change.REVISED, Change.RESOLVED)

    assert [each.reason for each in results] == ["", "", ""]
    assert [method for method, _ in slack.calls] == ["chat.postMessage", "chat.update", "chat.update"]
    assert slack.messages == {"1.0": "Run r1 of p was not pushed"}
    assert slack.calls[0][1]["channel"] == "#ads"
    assert slack.calls[1][1]["channel"] == "C1"


def test_a_message_that_somebody_deleted_is_posted_anew() -> None:
    """Nothing is lost."""
    slack = FakeSlack()
    bot(slack, Change.RAISED, Change.RESOLVED, forget=True)

    assert [method for method, _ in slack.calls] == ["chat.postMessage", "chat.update", "chat.postMessage"]


def test_a_digest_is_posted() -> None:
    """It belongs to no single flag."""
    slack = FakeSlack()

    async def body() -> Result:
        async with serving(slack) as address, client() as http:
            both = outgoing(record(), record(flag="p/run:r2"))
            return await Bot(http, "xoxb-1", "#ads", api=address).send(both)

    assert asyncio.run(body()).thread is None
    assert [method for method, _ in slack.calls] == ["chat.postMessage"]


@pytest.mark.parametrize(
    ("answer", "reason", "gone"),
    [
        ((200, {"ok": False, "error": "channel_not_found"}), "Slack: channel_not_found", True),
        ((200, {"ok": False, "error": "ratelimited"}), "Slack: ratelimited", False),
        ((200, {"ok": "yes"}), "Slack: None", False),
        ((200, "<html>"), "Slack answered with something else than JSON", False),
        ((500, "no"), "HTTP 500: no", False),
    ],
)
def test_refusals_of_the_api(answer: tuple[int, Any], reason: str, gone: bool) -> None:
    """In Slack's words; some end the subscription."""
    (result,) = bot(FakeSlack(lambda *_: answer), Change.RAISED)

    assert (result.reason, result.gone) == (reason, gone)


def test_a_wrong_token_is_not_in_the_reason() -> None:
    """Nor anywhere else."""
    (result,) = bot(FakeSlack(), Change.RAISED, token="xoxb-secret")

    assert (result.reason, result.gone) == ("Slack: invalid_auth", True)


@pytest.mark.parametrize(
    ("answer", "reason", "gone"),
    [
        ((200, "ok"), "", False),
        ((404, "no_service"), "HTTP 404: no_service", True),
        ((403, "invalid_token"), "HTTP 403: invalid_token", False),
        ((400, "invalid_payload"), "HTTP 400: invalid_payload", False),
    ],
)
def test_an_incoming_webhook(answer: tuple[int, Any], reason: str, gone: bool) -> None:
    """Answers with a text, and says when it is gone."""

    async def body() -> Result:
        async with serving(FakeSlack(lambda *_: answer)) as address, client() as http:
            return await IncomingWebhook(http, address).send(outgoing())

    result = asyncio.run(body())
    assert (result.reason, result.gone) == (reason, gone)


@pytest.mark.parametrize("line", ["x" * 100, "x" * 99 + "\n", "<&>" * 30, "é\n"])
def test_long_texts_stay_within_slacks_limits(line: str) -> None:
    """Cut into sections; nothing in them is a mention or a link."""
    made = content(Text(line * 9, (line * TEXT_MAX)[:TEXT_MAX]))

    check(made)
    assert "<" not in made["text"] + "".join(block["text"]["text"] for block in made["blocks"][1:])


def test_own_words_are_escaped_too() -> None:
    """Neither a template nor a value mentions a channel or hides where a link leads."""
    own = OwnText(title="<!channel> {{ run }}", body="<https://e.org|safe> & {{ run }}")
    made = content(Texts().of([record(run="<@U1>")], own))
    check(made)

    assert made["text"] == "&lt;!channel&gt; &lt;@U1&gt;"
    header, section = made["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "<!channel> <@U1>", "emoji": False}
    assert section["text"]["text"] == "&lt;https://e.org|safe&gt; &amp; &lt;@U1&gt;"
