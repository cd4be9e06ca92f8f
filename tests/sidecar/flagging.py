"""A service that flags the runs that a test names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from stream_app.metrics.registry import make_registry
from stream_app.sidecar.answers import GO_ON
from stream_app.web.app import make_app
from tests.web.served import served


@contextmanager
def serving_flags(flagged: Mapping[str, str]) -> Iterator[str]:
    """Its address; `flagged` is run -> the verdict by which it should stop."""

    async def answer(request: web.Request) -> web.Response:
        verdict = flagged.get(request.query["run"])
        flag = {"known": True, "decision": "prune", "p_push": 0.01, "prune": True, "verdict": verdict}
        return web.json_response({**GO_ON, **(flag if verdict is not None else {})})

    with served(make_app([web.get("/v1/should-prune", answer)], lambda: "", make_registry())) as service:
        yield service.url
