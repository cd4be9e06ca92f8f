"""Slack: by an incoming webhook, or with a bot's token one message a flag or finding, which is edited through its life.

References
----------
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/reference/methods/chat.update
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from stream_app.alerts.flag_acts import FlagAct
from stream_app.alerts.links import token_of
from stream_app.alerts.sinks.http import Answer, HttpClient, result_of
from stream_app.alerts.sinks.sink import Outgoing, Result, cleaned
from stream_app.alerts.texts import Text

API = "https://slack.com/api"
#: What links and buttons are called, by the name of the act, and how the ids of the actions of buttons begin.
BUTTONS = {FlagAct.KEEP.value: "Keep", FlagAct.PROLONG.value: "Prolong 1 day", FlagAct.WRONG.value: "Wrong"}
ACTION = "stream_app_"
#: Characters of a header and of a section.
_HEADER_MAX, _SECTION_MAX = 150, 3_000
#: Errors after which no message will ever be taken.
_GONE = frozenset(("account_inactive", "token_revoked", "invalid_auth", "channel_not_found", "is_archived"))
_GONE_WEBHOOK = ("no_service", "no_active_hooks", "channel_is_archived", "channel_not_found", "no_team")
_JSON = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "stream-app"}


class IncomingWebhook:
    """Posts messages to the URL of an incoming webhook.

    Parameters
    ----------
    http
        The client.
    url
        The URL, which is a secret.
    now
        The clock, in seconds since 1970 UTC.
    """

    def __init__(self, http: HttpClient, url: str, now: Callable[[], float] = time.time) -> None:
        self._http = http
        self._url = url
        self._now = now

    async def send(self, message: Outgoing) -> Result:
        """Posts a message; see `Sink.send`."""
        answer = await self._http.post(self._url, orjson.dumps(content(message.text, message.links)), _JSON)
        result = result_of(answer, self._now())
        if isinstance(answer, Answer) and answer.status in (403, 404) and cleaned(answer.body) in _GONE_WEBHOOK:
            return Result(result.reason, gone=True)
        return result


class Bot:
    """Posts and edits messages with a bot's token, which needs the scope `chat:write`.

    Parameters
    ----------
    http
        The client.
    token, channel
        The token, and the channel's name or id.
    now
        The clock, in seconds since 1970 UTC.
    api
        The address of Slack's API; None: that of Slack.
    buttons
        Whether messages have buttons, whose clicks Slack sends to the service.
    """

    def __init__(
        self,
        http: HttpClient,
        token: str,
        channel: str,
        now: Callable[[], float] = time.time,
        api: str | None = None,
        *,
        buttons: bool = False,
    ) -> None:
        self._http = http
        self._headers = {**_JSON, "Authorization": f"Bearer {token}"}
        self._channel = channel
        self._now = now
        self._api = api if api is not None else API
        self._buttons = buttons

    async def send(self, message: Outgoing) -> Result:
        """Posts a message, or edits the one of its flag or finding; see `Sink.send`."""
        subject = message.records[0].subject if len(message.records) == 1 else None
        channel, _, stamp = message.thread.get(subject or "", "").partition(" ")
        made = content(message.text, message.links, buttons=self._buttons)
        if stamp:
            result = await self._call("chat.update", {"channel": channel, "ts": stamp, **made})
            if result.reason not in ("Slack: message_not_found", "Slack: cant_update_message"):
                return result
        return await self._call("chat.postMessage", {"channel": self._channel, **made}, subject)

    async def acted(self, channel: str, stamp: str, message: Mapping[str, Any], note: str) -> Result:
        """Replaces the buttons of a message by a note.

        Parameters
        ----------
        channel, stamp
            Of the message.
        message
            The message as Slack shows it.
        note
            What was done, as plain text.
        """
        blocks = [each for each in message.get("blocks", ()) if each.get("type") not in ("actions", "context")]
        context = {"type": "context", "elements": [{"type": "plain_text", "text": note[:_SECTION_MAX], "emoji": False}]}
        body = {"channel": channel, "ts": stamp, "text": str(message.get("text", "")), "blocks": [*blocks, context]}
        return await self._call("chat.update", body)

    async def tell(self, channel: str, user: str, note: str) -> Result:
        """Shows a note to one user in a channel."""
        return await self._call("chat.postEphemeral", {"channel": channel, "user": user, "text": _escaped(note)})

    async def _call(self, method: str, body: dict[str, Any], subject: str | None = None) -> Result:
        answer = await self._http.post(f"{self._api}/{method}", orjson.dumps(body), self._headers)
        result = result_of(answer, self._now())
        if not isinstance(answer, Answer) or not result.succeeded:
            return result
        try:
            said = orjson.loads(answer.body)
            error, stamp, channel = said.get("error"), str(said.get("ts", "")), str(said.get("channel", ""))
        except (orjson.JSONDecodeError, AttributeError):
            return Result("Slack answered with something else than JSON")
        if said.get("ok") is not True:
            return Result(f"Slack: {cleaned(str(error).encode())}", gone=error in _GONE)
        return Result(thread={subject: f"{channel} {stamp}"} if subject is not None and stamp else None)


def content(
    text: Text, links: Mapping[str, Mapping[str, str]] = MappingProxyType({}), *, buttons: bool = False
) -> dict[str, Any]:
    """A text as Slack's blocks, with the plain text for notifications.

    Parameters
    ----------
    text
        The text.
    links
        The links in it by which people act, by the id of the record and the name of the act: they are shown as words.
    buttons
        Whether a message about one flag has a button for each of them.
    """
    header = {"type": "header", "text": {"type": "plain_text", "text": text.title[:_HEADER_MAX], "emoji": False}}
    body = _escaped(text.body)
    for found in links.values():
        for act, link in found.items():
            body = body.replace(_escaped(link), f"<{_escaped(link)}|{BUTTONS[act]}>")
    sections = [
        {"type": "section", "text": {"type": "mrkdwn", "text": part, "verbatim": True}} for part in _parts(body)
    ]
    blocks = [header, *sections, *([_actions(*links.values())] if buttons and len(links) == 1 else ())]
    return {"text": _escaped(text.title), "blocks": blocks, "unfurl_links": False}


def _actions(links: Mapping[str, str]) -> dict[str, Any]:
    """A button for each link, whose value is the signed token in it."""
    elements = [
        {
            "type": "button",
            "action_id": f"{ACTION}{act}",
            "text": {"type": "plain_text", "text": BUTTONS[act], "emoji": False},
            "value": token_of(link),
        }
        for act, link in links.items()
    ]
    return {"type": "actions", "elements": elements}


def _escaped(text: str) -> str:
    """Text in which nothing is a mention, a link or a command."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _parts(text: str) -> list[str]:
    """Text cut where a section would be too long, at the end of a line if there is one; four sections at most."""
    parts: list[str] = []
    while text and len(parts) < 4:
        cut = len(text) if len(text) <= _SECTION_MAX else text.rfind("\n", 1, _SECTION_MAX)
        cut = cut if cut > 0 else _SECTION_MAX - 8  # an escaped character is not cut, but for a part of it at worst
        parts.append(text[:cut])
        text = text[cut:].lstrip("\n")
    return parts
