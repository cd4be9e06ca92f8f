"""`/internal/v1/...`: the questions that `serve` asks a worker, answered from the state of its open partitions.

A question is answered between two awaits of the event loop that the worker runs in, so it sees whole states. This is
no public interface: it changes with releases.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.alerts.access import Principal, Scope, Token, Tokens, digest_of
from stream_app.core.operators import Operators
from stream_app.core.state.pipeline import Pipeline
from stream_app.errors import OptionsError
from stream_app.provenance.names import AmbiguousNameError, UnknownNameError
from stream_app.provenance.peers import MessageError
from stream_app.provenance.questions import QUESTIONS, answer
from stream_app.web.app import make_app
from stream_app.web.bodies import JSON, Bodies
from stream_app.web.limits import retry_after
from stream_app.web.problems import ProblemError

#: How the paths of questions begin.
PREFIX = "/internal/v1"
#: What an answer has beside the `instance` of the worker: the answer, or why a name names nothing or several things.
ANSWER, UNKNOWN, AMBIGUOUS = "answer", "unknown", "ambiguous"
#: Bytes of a question, and questions that wait for their turn.
QUESTION_BYTES, WAITING_MAX = 16 << 20, 50
#: Hosts by which a worker without a token may be asked: a page in a browser of its machine has another.
_LOCAL = ("127.0.0.1", "[::1]", "localhost")


class OpenState(Protocol):
    """The state of a worker that may be asked."""

    @property
    def instance(self) -> str:
        """Tells this life of the worker from others."""

    @property
    def partitions(self) -> int:
        """Partitions of all workers."""

    @property
    def operators(self) -> Operators:
        """Price the executions."""

    @property
    def restoring(self) -> bool:
        """Whether partitions are being opened."""

    def pipelines(self, number: int) -> Mapping[str, Pipeline] | None:
        """The pipelines of a partition by name; None where it is not open here."""


def worker_app(state: OpenState, registry: CollectorRegistry, token: str | None) -> web.Application:
    """The application in which a worker is asked.

    Parameters
    ----------
    state
        Its state.
    registry
        The metrics that it exports.
    token
        The token that questions must have; None: none, and the worker may be asked from its own machine alone.
    """
    known = Tokens([Token(digest_of(token), Principal("queries", Scope.WRITE))] if token is not None else ())
    return make_app(WorkerRoutes(state, local=token is None).routes(), lambda: "", registry, known)


class WorkerRoutes:
    """The handlers of questions.

    Parameters
    ----------
    state
        The state of the worker.
    local
        Whether only requests to a name of the local machine are answered.
    """

    def __init__(self, state: OpenState, *, local: bool) -> None:
        self._state = state
        self._local = local
        self._bodies = Bodies(compressed=False)
        self._turn = asyncio.Lock()
        self._waiting = 0

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.post(f"{PREFIX}/{{question}}", self.ask), web.route("*", "/{rest:.*}", _unknown)]

    async def ask(self, request: web.Request) -> web.Response:
        """Answers a question about the pipelines of some partitions."""
        if self._local and request.host.rpartition(":")[0] not in _LOCAL and request.host not in _LOCAL:
            raise ProblemError(403, "without queries.token this worker answers on its own machine alone")
        question = request.match_info["question"]
        if question not in QUESTIONS:
            raise _no_question()
        async with self._bodies.read(request, QUESTION_BYTES) as body:
            asked = _read(body)
        async with self._its_turn():
            if request.transport is None:  # whoever asked does not wait any more
                raise ProblemError(503, "the connection is closed")
            return self._answer(question, asked)

    def _answer(self, question: str, asked: Mapping[str, Any]) -> web.Response:
        pipelines = self._pipelines(asked)
        found: dict[str, Any] = {"instance": self._state.instance}
        try:
            found[ANSWER] = answer(pipelines, self._state.operators, question, asked["parameters"])
        except (OptionsError, MessageError) as error:
            raise ProblemError(400, str(error)) from None
        except UnknownNameError as error:
            found[UNKNOWN] = str(error)
        except AmbiguousNameError as error:
            found[AMBIGUOUS] = str(error)
        return web.Response(body=orjson.dumps(found), content_type=JSON)

    def _pipelines(self, asked: Mapping[str, Any]) -> Mapping[str, Pipeline]:
        """The pipelines of the partitions that are asked; raises ProblemError where one of them is not open here."""
        state, found = self._state, dict[str, Pipeline]()
        if (asked["instance"], asked["of"]) != (state.instance, state.partitions):
            raise ProblemError(421, "another worker was here, or the deployment has another number of partitions")
        for number in asked["partitions"]:
            pipelines = state.pipelines(number)
            if pipelines is None and state.restoring:
                raise ProblemError(503, f"partition {number} may be restored here; ask again", retry_after(1))
            if pipelines is None:
                raise ProblemError(421, f"partition {number} is not at this worker")
            found.update(pipelines)
        return found

    @asynccontextmanager
    async def _its_turn(self) -> AsyncIterator[None]:
        """One question at a time; after each the worker has as much time as it took."""
        if self._waiting >= WAITING_MAX:
            raise ProblemError(503, "too many questions wait; ask again", retry_after(1))
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        began = time.monotonic()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(time.monotonic() - began, self._turn.release)


async def _unknown(_: web.Request) -> web.Response:
    raise _no_question()


def _no_question() -> ProblemError:
    return ProblemError(501, f"there is no such question; those of this release are posted to {PREFIX}/...")


def _read(body: bytes) -> dict[str, Any]:
    """The question in a body; raises ProblemError."""
    try:
        asked = json.loads(body)
        partitions = asked["partitions"]
        valid = isinstance(asked["instance"], str) and type(asked["of"]) is int
        valid = valid and isinstance(partitions, list) and all(type(each) is int for each in partitions)
        valid = valid and isinstance(asked["parameters"], dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise ProblemError(400, "expected a question: instance, of, partitions and parameters")
    return dict(asked)
