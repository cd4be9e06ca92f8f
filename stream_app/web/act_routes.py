"""`/v1/flags/{flag}/...`: what people decide about an open flag."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from aiohttp import web

from stream_app.alerts.act_service import ActService
from stream_app.alerts.flag_acts import FlagAct, read_asked, read_quiet
from stream_app.web.bodies import Bodies
from stream_app.web.flag_routes import FLAGS
from stream_app.web.subscription_routes import answer, problems_of, read_object
from stream_app.web.tokens import PRINCIPAL

#: The path of an act; the id of a flag has a slash in it.
ONE = f"{FLAGS}/{{flag:.+}}"
#: Bytes of a body.
BODY_BYTES = 16 << 10


class ActRoutes:
    """The handlers.

    Parameters
    ----------
    acts
        Does what is asked.
    now_ms
        The clock, in ms since 1970 UTC.
    """

    def __init__(self, acts: ActService, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._acts = acts
        self._now_ms = now_ms
        self._bodies = Bodies()

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [
            *(web.post(f"{ONE}/{act.value}", functools.partial(self.act, act=act)) for act in FlagAct),
            web.post(f"{ONE}/snooze", functools.partial(self.quiet, mute=False)),
            web.post(f"{ONE}/mute", functools.partial(self.quiet, mute=True)),
        ]

    @problems_of
    async def act(self, request: web.Request, act: FlagAct) -> web.Response:
        """Acts on a flag; answered when that is stored."""
        async with self._bodies.read(request, BODY_BYTES) as body:
            asked = read_asked(act, read_object(body))
        return answer(await self._acts.act(request[PRINCIPAL], request.match_info["flag"], asked), 202)

    @problems_of
    async def quiet(self, request: web.Request, mute: bool) -> web.Response:
        """Lets subscriptions not hear of a flag; answered when that is stored."""
        async with self._bodies.read(request, BODY_BYTES) as body:
            asked = read_quiet(read_object(body), self._now_ms(), mute=mute)
        return answer(await self._acts.quiet(request[PRINCIPAL], request.match_info["flag"], asked))
