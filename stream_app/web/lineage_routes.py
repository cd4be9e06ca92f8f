"""`/v1/lineage`: what is behind an execution or artifact, what came of it, and why it is in a graphlet."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from aiohttp import web

from stream_app.errors import OptionsError
from stream_app.provenance.lineage import BOTH, DEPTH, DEPTH_MAX, LIMIT, LIMIT_MAX
from stream_app.provenance.names import AmbiguousNameError, UnknownNameError
from stream_app.service.answers import Answers
from stream_app.web.problems import ProblemError
from stream_app.web.subscription_routes import answer, queried

PATH = "/v1/lineage"
_SWITCH = {"true": True, "false": False}


class LineageRoutes:
    """The handlers of the routes of lineage.

    Parameters
    ----------
    answers
        Answers the questions.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.get(PATH, self.lineage), web.get(f"{PATH}/why", self.why)]

    async def lineage(self, request: web.Request) -> web.Response:
        """A page of what is behind `id`, and what came of it."""
        query = queried(request, "id", "direction", "depth", "limit", "after", "across")
        name = _given(query, "id", "the name of an execution, an artifact or a run")
        across = query.get("across", "false")
        if across not in _SWITCH:
            raise ProblemError(400, "across: expected true or false", field="across")
        how: dict[str, Any] = {
            "direction": query.get("direction", BOTH),
            "depth": _number(query.get("depth"), "depth", DEPTH, 0, DEPTH_MAX),
            "limit": _number(query.get("limit"), "limit", LIMIT, 1, LIMIT_MAX),
            "after": query.get("after"),
            "across": _SWITCH[across],
        }
        return await _answer(self._answers.lineage(name, how))

    async def why(self, request: web.Request) -> web.Response:
        """Why `execution` is in `graphlet`, or why not."""
        query = queried(request, "execution", "graphlet")
        execution = _given(query, "execution", "the name of an execution")
        graphlet = _given(query, "graphlet", "the id of a graphlet")
        return await _answer(self._answers.why(execution, graphlet))


async def _answer(asking: Awaitable[dict[str, Any]]) -> web.Response:
    """The response of what was asked; raises ProblemError for a question that is wrong."""
    try:
        found = await asking
    except OptionsError as error:
        raise ProblemError(400, str(error), field=str(error).partition(":")[0]) from None
    except UnknownNameError as error:
        raise ProblemError(404, str(error)) from None
    except AmbiguousNameError as error:
        raise ProblemError(409, str(error)) from None
    return answer(found)


def _given(query: dict[str, str], name: str, what: str) -> str:
    if not query.get(name):
        raise ProblemError(400, f"{name}: missing; expected {what}", field=name)
    return query[name]


def _number(text: str | None, name: str, default: int, least: int, most: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise ProblemError(400, f"{name}: expected a number from {least} to {most}", field=name)
    return int(text)
