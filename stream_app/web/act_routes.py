"""`/v1/flags/{flag}/...`: what people decide about an open flag."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from stream_app.alerts.act_service import ActService, NotStoredError
from stream_app.alerts.flag_acts import ActError, FlagAct, read_asked, read_quiet
from stream_app.alerts.saved import AlertStoreError
from stream_app.alerts.subscribers import ForbiddenError, NotFoundError
from stream_app.web.bodies import Bodies
from stream_app.web.flag_routes import FLAGS
from stream_app.web.problems import ProblemError
from stream_app.web.subscription_routes import answer, read_object
from stream_app.web.tokens import PRINCIPAL

#: The path of an act; the id of a flag has a slash in it.
ONE = f"{FLAGS}/{{flag:.+}}"
#: Bytes of a body.
BODY_BYTES = 16 << 10

_Handle = Callable[[Any, web.Request], Awaitable[web.Response]]


def act_problems(handle: _Handle) -> _Handle:
    """Turns errors of acts into problems."""

    @functools.wraps(handle)
    async def handled(routes: Any, request: web.Request) -> web.Response:
        try:
            return await handle(routes, request)
        except NotFoundError as error:
            raise ProblemError(404, str(error)) from None
        except ForbiddenError as error:
            raise ProblemError(403, str(error)) from None
        except ActError as error:
            raise ProblemError(422, str(error), field=error.field) from None
        except (NotStoredError, AlertStoreError) as error:
            raise ProblemError(503, str(error), {"Retry-After": "5"}) from None

    return handled


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

    async def act(self, request: web.Request, act: FlagAct) -> web.Response:
        """Acts on a flag; answered when that is stored."""

        @act_problems
        async def handle(_: object, request: web.Request) -> web.Response:
            async with self._bodies.read(request, BODY_BYTES) as body:
                asked = read_asked(act, read_object(body))
            return answer(await self._acts.act(request[PRINCIPAL], request.match_info["flag"], asked), 202)

        return await handle(self, request)

    async def quiet(self, request: web.Request, mute: bool) -> web.Response:
        """Lets subscriptions not hear of a flag; answered when that is stored."""

        @act_problems
        async def handle(_: object, request: web.Request) -> web.Response:
            async with self._bodies.read(request, BODY_BYTES) as body:
                asked = read_quiet(read_object(body), self._now_ms(), mute=mute)
            return answer(await self._acts.quiet(request[PRINCIPAL], request.match_info["flag"], asked))

        return await handle(self, request)
