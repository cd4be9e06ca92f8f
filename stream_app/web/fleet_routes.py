"""`/v1/fleet` and `/v1/pipelines`: what the fleet, and each pipeline, costs and gives."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Protocol

import orjson
from aiohttp import web

from stream_app.analysis.fleet.values import PipelineFigures
from stream_app.analysis.fleet_answer import FleetAnswer, FleetUnavailableError
from stream_app.times import time_to_text
from stream_app.web.bodies import JSON
from stream_app.web.problems import ProblemError
from stream_app.web.subscription_routes import LIMIT, LIMIT_MAX, answer, number_of, queried

FLEET, PIPELINES = "/v1/fleet", "/v1/pipelines"
NODE_SECONDS, WASTE, TRAININGS, PIPELINE = "node_seconds", "waste", "trainings", "pipeline"
_CURSOR_MAX = 20_000

#: A place in a list: the amount by which it is sorted, negative for the largest first, and the pipeline.
Place = tuple[float, str]
_ORDERS: Mapping[str, Callable[[FleetAnswer, PipelineFigures], float]] = {
    NODE_SECONDS: lambda _, each: -(each.totals.node_seconds or 0.0),
    WASTE: lambda known, each: -known.wasted[each.pipeline],
    TRAININGS: lambda _, each: -each.totals.graphlets,
    PIPELINE: lambda *_: 0.0,
}


class FleetSource(Protocol):
    """Makes the figures of the fleet, and keeps them a while."""

    def answer(self) -> FleetAnswer:
        """The figures; raises FleetUnavailableError."""


class FleetRoutes:
    """The handlers of the routes of the fleet.

    Parameters
    ----------
    fleet
        What is asked.
    """

    def __init__(self, fleet: FleetSource) -> None:
        self._fleet = fleet
        # Making figures occupies a thread: those who ask meanwhile wait without one.
        self._turn = asyncio.Lock()
        self._encoded: tuple[FleetAnswer, bytes] | None = None

    def routes(self) -> list[web.RouteDef]:
        """The routes. The name of a pipeline may contain slashes."""
        return [
            web.get(FLEET, self.fleet),
            web.get(PIPELINES, self.pipelines),
            web.get(f"{PIPELINES}/{{pipeline:.+}}", self.pipeline),
        ]

    async def fleet(self, request: web.Request) -> web.Response:
        """The figures of the fleet, its redundant work and its findings."""
        queried(request)
        known = await self._known()
        if self._encoded is None or self._encoded[0] is not known:
            document = known.document
            body = {
                "as_of": as_of(known),
                "omitted": known.omitted,
                "figures": document.figures,
                "redundant": document.redundant,
                "findings": document.findings,
            }
            self._encoded = known, await asyncio.to_thread(orjson.dumps, body)
        return web.Response(body=self._encoded[1], content_type=JSON)

    async def pipelines(self, request: web.Request) -> web.Response:
        """A page of the figures of pipelines."""
        query = queried(request, "owner", "sort", "limit", "after")
        sort, owner = query.get("sort", NODE_SECONDS), query.get("owner")
        if sort not in _ORDERS:
            raise ProblemError(400, f"sort: expected one of {', '.join(_ORDERS)}", field="sort")
        limit = number_of(query.get("limit"), "limit", LIMIT, LIMIT_MAX)
        after = None if "after" not in query else read_cursor(query["after"], sort)
        known = await self._known()
        return await asyncio.to_thread(lambda: answer(page(known, owner, sort, limit, after)))

    async def pipeline(self, request: web.Request) -> web.Response:
        """The figures of a pipeline, its redundant work and its findings."""
        queried(request)
        name, known = request.match_info["pipeline"], await self._known()
        found = await asyncio.to_thread(known.of_pipeline, name)
        if found is None:
            raise ProblemError(404, f"there is no such pipeline as {name[:80]!r}")
        return answer({"as_of": as_of(known), **{each.name: getattr(found, each.name) for each in fields(found)}})

    async def _known(self) -> FleetAnswer:
        async with self._turn:
            try:
                return await asyncio.to_thread(self._fleet.answer)
            except FleetUnavailableError as error:
                raise ProblemError(503, f"the figures are not known yet: {error}", {"Retry-After": "5"}) from None


def as_of(known: FleetAnswer) -> str | None:
    """Up to when what was received is in the figures, as RFC 3339 text; None without pipelines."""
    return None if known.as_of_ms is None else time_to_text(known.as_of_ms)


def page(known: FleetAnswer, owner: str | None, sort: str, limit: int, after: Place | None) -> dict[str, Any]:
    """A page of pipelines.

    Parameters
    ----------
    known
        The figures.
    owner
        Only the pipelines of this owner; None: all.
    sort
        A key of the orders.
    limit
        At most so many.
    after
        The place of the last one of the page before; None for the first page.

    Returns
    -------
    dict
        The age of the figures, the pipelines, and the cursor of the next page; None where this is the last.
    """
    order = _ORDERS[sort]
    chosen = [
        (place, each)
        for each in known.document.pipelines
        if owner in (None, each.owner) and (after is None or (order(known, each), each.pipeline) > after)
        for place in ((order(known, each), each.pipeline),)
    ]
    chosen.sort(key=lambda pair: pair[0])
    shown = [
        {name: getattr(each, name) for name in _NAMES} | {"wasted_node_seconds": known.wasted[each.pipeline]}
        for _, each in chosen[:limit]
    ]
    more = len(chosen) > limit
    return {
        "as_of": as_of(known),
        "pipelines": shown,
        "next": write_cursor(chosen[limit - 1][0], sort) if more else None,
    }


_NAMES = tuple(each.name for each in fields(PipelineFigures))


def write_cursor(place: Place, sort: str) -> str:
    """The text of a place, which needs no quoting in a URL."""
    return base64.urlsafe_b64encode(orjson.dumps([sort, *place])).decode().rstrip("=")


def read_cursor(text: str, sort: str) -> Place:
    """The place of a text.

    Parameters
    ----------
    text
        What `write_cursor` made.
    sort
        By what the pipelines are sorted now.

    Returns
    -------
    tuple of float and str
        The place.

    Raises
    ------
    ProblemError
        It is no such text, or of another order.
    """
    try:
        if len(text) > _CURSOR_MAX:
            raise ValueError
        written = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        sorted_by, amount, pipeline = orjson.loads(written)
        valid = type(amount) in (float, int) and type(pipeline) is str and type(sorted_by) is str
    except (ValueError, TypeError, binascii.Error):
        valid = False
    if not valid:
        raise ProblemError(400, "after: expected the cursor of an answer as it is in its field next", field="after")
    if sorted_by != sort:
        raise ProblemError(400, f"after: the cursor is of pipelines sorted by {sorted_by[:80]}", field="after")
    return amount, pipeline
