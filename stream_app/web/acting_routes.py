"""`/v1/acting`: whether flagged runs may be stopped, and the switch that stops that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from stream_app.acting.switch import FLEET, PATTERN_MAX
from stream_app.alerts.kill_switch import KillSwitch
from stream_app.web.bodies import Bodies
from stream_app.web.problems import ProblemError
from stream_app.web.subscription_routes import BODY_BYTES, answer, problems_of, queried, read_object
from stream_app.web.tokens import ACTING, PRINCIPAL

#: Characters of a reason.
REASON_MAX = 500
_FIELDS = ("acting", "pipeline", "reason")


class ActingRoutes:
    """The handlers.

    Parameters
    ----------
    kill_switch
        Does what is asked.
    now_ms
        The clock, in ms since 1970 UTC.
    """

    def __init__(
        self, kill_switch: KillSwitch, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._kill_switch = kill_switch
        self._now_ms = now_ms
        self._bodies = Bodies()

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.get(ACTING, self.get), web.put(ACTING, self.put)]

    async def get(self, request: web.Request) -> web.Response:
        """Whether acting is on, and what is switched off."""
        queried(request)
        return answer(self._kill_switch.shown(request[PRINCIPAL]))

    @problems_of
    async def put(self, request: web.Request) -> web.Response:
        """Switches acting off, or on again, for the fleet or for pipelines."""
        who = request[PRINCIPAL]
        async with self._bodies.read(request, BODY_BYTES) as body:
            given = read_object(body)
        unknown = sorted(set(given) - set(_FIELDS))
        if unknown:
            raise _wrong(unknown[0][:80], f"there is no such field; there are {', '.join(_FIELDS)}")
        acting = given.get("acting")
        if not isinstance(acting, bool):
            raise _wrong("acting", "expected true or false")
        pattern = _text(given, "pipeline", PATTERN_MAX, FLEET)
        reason = _text(given, "reason", REASON_MAX)
        await self._kill_switch.turn(who, acting=acting, pattern=pattern, reason=reason, now_ms=self._now_ms())
        return answer(self._kill_switch.shown(who))


def _text(given: dict[str, Any], name: str, most: int, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str) or not value.strip() or len(value) > most or not value.isprintable():
        raise _wrong(name, f"expected a text of 1 to {most} printable characters")
    return value


def _wrong(name: str, detail: str) -> ProblemError:
    return ProblemError(422, detail, field=name)
