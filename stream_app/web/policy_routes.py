"""`/v1/policies/{pipeline}`: the ladder of a pipeline, as people decide it."""

from __future__ import annotations

from aiohttp import web

from stream_app.service.policies import Policies
from stream_app.web.act_routes import BODY_BYTES
from stream_app.web.bodies import Bodies
from stream_app.web.subscription_routes import answer, problems_of, queried, read_object
from stream_app.web.tokens import POLICIES, PRINCIPAL

#: The path of a policy; the name of a pipeline may have slashes in it.
ONE = f"{POLICIES}/{{pipeline:.+}}"


class PolicyRoutes:
    """The handlers.

    Parameters
    ----------
    policies
        Shows and changes them.
    """

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._bodies = Bodies()

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.get(ONE, self.get), web.put(ONE, self.set), web.delete(ONE, self.clear)]

    @problems_of
    async def get(self, request: web.Request) -> web.Response:
        """What holds for a pipeline, and who decided it."""
        return answer(await self._policies.get(request[PRINCIPAL], request.match_info["pipeline"]))

    @problems_of
    async def set(self, request: web.Request) -> web.Response:
        """Sets the ladder of a pipeline; answered when that is stored."""
        async with self._bodies.read(request, BODY_BYTES) as body:
            given = read_object(body)
        return answer(await self._policies.set(request[PRINCIPAL], request.match_info["pipeline"], given))

    @problems_of
    async def clear(self, request: web.Request) -> web.Response:
        """Lets the rules of the settings hold again; answered when that is stored."""
        given = queried(request, "reason")
        return answer(await self._policies.clear(request[PRINCIPAL], request.match_info["pipeline"], given))
