"""The sidecar over HTTP, for loopback alone: the paths of `stream-app serve` that a training uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.errors import MalformedEvent
from stream_app.metrics import probes
from stream_app.metrics.probes import Probe, Probes
from stream_app.sidecar.answers import PARAMETERS, Answers
from stream_app.sidecar.messages import PATHS, messages_of
from stream_app.sidecar.spool import Message
from stream_app.web.bodies import JSON, Bodies
from stream_app.web.problems import Handler, ProblemError, name_server, problems

#: Bytes of a body after decompression, and of all bodies that are held at one time.
BODY_BYTES, _BODIES_BYTES = 8 << 20, 24 << 20
_TYPES = (JSON, "application/cloudevents+json", "application/cloudevents-batch+json")
_FORMATS = {path: format_ for format_, path in PATHS.items()}

#: Keeps messages, and returns how many of them.
Store = Callable[[Sequence[Message]], Awaitable[int]]


class Intake:
    """The handlers of the sidecar.

    Parameters
    ----------
    store
        Keeps messages.
    answers
        Whether runs should stop.
    registry
        The metrics that are exported.
    ready
        Returns why events are not stored on disk; "" where they are.
    """

    def __init__(self, store: Store, answers: Answers, registry: CollectorRegistry, ready: Callable[[], str]) -> None:
        self._store = store
        self._answers = answers
        self._bodies = Bodies(_BODIES_BYTES)

        def readiness() -> Probe:
            reason = ready()
            return Probe(not reason, {"reason": reason})

        self._probes = Probes(registry, lambda: Probe(True), readiness)

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(middlewares=[problems, _local])
        app.on_response_prepare.append(name_server)
        app.add_routes([web.get(path, self.probe) for path in probes.PATHS])
        app.add_routes([web.get("/v1/should-prune", self.should_prune)])
        for path in _FORMATS:
            app.add_routes([web.post(path, self.events), web.post(f"{path}/batch", self.events)])
        return app

    async def events(self, request: web.Request) -> web.Response:
        """Keeps events. The answer is that of success also where one is dropped: that must not fail a training."""
        format_ = _FORMATS[request.path.removesuffix("/batch")]
        async with self._bodies.read(request, BODY_BYTES, *_TYPES) as body:
            try:
                messages = messages_of(body, format_)
            except MalformedEvent as error:
                raise ProblemError(422, str(error)) from None
            kept = await self._store(messages)
        dropped = len(messages) - kept
        if not request.path.endswith("/batch") and not dropped:
            return web.Response(status=201)
        answer = {
            "status": "dropped" if dropped else "success",
            "summary": {"received": len(messages), "successful": kept, "failed": dropped},
            "failed_events": [
                {"index": index, "reason": "dropped: the spool is full"} for index in range(kept, len(messages))
            ],
        }
        return web.Response(body=orjson.dumps(answer), content_type=JSON)

    async def should_prune(self, request: web.Request) -> web.Response:
        """Whether a run should stop, as far as it is known here."""
        unknown = sorted(set(request.query) - set(PARAMETERS))
        if unknown or not {"run", "execution"} & set(request.query) or not all(request.query.values()):
            raise ProblemError(
                400, f"expected run or execution, with pipeline or without; there are {', '.join(PARAMETERS)}"
            )
        question = tuple(sorted((name, request.query[name]) for name in request.query))
        return web.Response(body=orjson.dumps(await self._answers.answer(question)), content_type=JSON)

    async def probe(self, request: web.Request) -> web.Response:
        """Probes and metrics."""
        headers = request.headers
        made = self._probes.answer(
            request.path, request.query_string, headers.get("Accept", ""), headers.get("Accept-Encoding", "")
        )
        return web.Response(status=made.status, headers=made.headers, body=made.body)


@web.middleware
async def _local(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what a page in a browser sends here under another host's name."""
    if not _is_local(request) or "Origin" in request.headers:
        raise ProblemError(403, "expected a request of this machine to localhost")
    return await handler(request)


def _is_local(request: web.Request) -> bool:
    try:
        return request.url.host in ("localhost", "127.0.0.1", "::1")
    except ValueError:  # the name of a host is none
        return False
