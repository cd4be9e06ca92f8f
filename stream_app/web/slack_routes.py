"""`/v1/slack/actions`: clicks on the buttons of messages in Slack, which Slack signs.

References
----------
https://docs.slack.dev/interactivity/handling-user-interaction
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from stream_app.alerts.act_service import ActService, LinkRefusedError, NotStoredError
from stream_app.alerts.flag_acts import ActError, FlagAct, read_line
from stream_app.alerts.saved import AlertStoreError
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.sinks.slack import ACTION
from stream_app.alerts.slack_bots import SlackBots
from stream_app.alerts.slack_signing import SlackRequests, SlackSignatureError
from stream_app.web.bodies import Bodies
from stream_app.web.problems import ProblemError

log = logging.getLogger(__name__)

PATH = "/v1/slack/actions"
_FORM = "application/x-www-form-urlencoded"
#: Bytes of a body: Slack sends the message back that was clicked on.
_BODY_BYTES = 256 << 10
_DONE = {
    FlagAct.KEEP: "Kept by {who}: the run is not stopped.",
    FlagAct.PROLONG: "Prolonged by a day by {who}.",
    FlagAct.WRONG: "Called wrong by {who}: the run is not stopped.",
}


@dataclass(frozen=True, slots=True)
class _Click:
    """A click on a button."""

    token: str
    user: str
    name: str
    channel: str
    stamp: str
    message: Mapping[str, Any]


class SlackRoutes:
    """The handlers.

    Parameters
    ----------
    acts
        Follows the links behind buttons.
    requests
        Checks what Slack sends.
    bots
        Update messages.
    now
        The clock, in seconds since 1970 UTC.
    """

    def __init__(
        self, acts: ActService, requests: SlackRequests, bots: SlackBots, now: Callable[[], float] = time.time
    ) -> None:
        self._acts = acts
        self._requests = requests
        self._bots = bots
        self._now = now
        self._bodies = Bodies(compressed=False)
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.post(PATH, self.clicked)]

    async def closing(self, _: web.Application) -> None:
        """Returns when messages were updated; to be called when the application shuts down."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def clicked(self, request: web.Request) -> web.Response:
        """Does what a button says, once; the message then says who clicked, or the user why nothing was done."""
        async with self._bodies.read(request, _BODY_BYTES, _FORM) as body:
            given = request.headers
            try:
                self._requests.check(
                    given.get("X-Slack-Request-Timestamp"), given.get("X-Slack-Signature"), body, self._now()
                )
            except SlackSignatureError as error:
                raise ProblemError(401, str(error)) from None
            click = _read(body)
        if click is None:
            return web.Response()  # of other buttons, or nothing that is clicked
        await self._act(click)
        return web.Response()

    async def _act(self, click: _Click) -> None:
        bot = self._bots.of(self._acts.subscription_of(click.token))
        who = click.name or click.user
        try:
            found = await self._acts.act_by_link(
                click.token,
                "a button in Slack",
                lambda link: f"Slack user {click.name} ({click.user}) of {link.subscription}",
            )
        except (LinkRefusedError, ActError, NotStoredError, AlertStoreError) as error:
            if bot is not None:
                self._start(bot.tell(click.channel, click.user, f"Nothing was done. {error}"))
            return
        if bot is not None:
            note = _DONE[found.link.act].format(who=who)
            self._start(bot.acted(click.channel, click.stamp, click.message, note))

    def _start(self, saying: Coroutine[Any, Any, Result]) -> None:
        """Slack waits for three seconds: what is said afterwards does not hold up the answer."""

        async def say() -> None:
            result = await saying
            if not result.succeeded:
                log.warning("a message in Slack could not be updated: %s", result.reason)

        task = asyncio.create_task(say())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _read(body: bytes) -> _Click | None:
    """The click in a body that Slack has signed; None where there is none on a button of this service."""
    try:
        payload = orjson.loads(dict(parse_qsl(body.decode()))["payload"])
        ours = [each for each in payload["actions"] if each["action_id"].startswith(ACTION)]
        user = payload["user"]
        return _Click(
            token=str(ours[0]["value"]),
            user=read_line(user["id"])[:100],
            name=read_line(user.get("username") or user.get("name"))[:100],
            channel=str(payload["channel"]["id"]),
            stamp=str(payload["message"]["ts"]),
            message=payload["message"],
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
