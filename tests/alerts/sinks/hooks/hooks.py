"""Hooks for tests: what they are made of, and what they have written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from aiohttp import web

from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.registered import register
from stream_app.alerts.sinks.hooks.making import Stopping
from stream_app.alerts.sinks.making import SinkMaker
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.subscriptions import make_subscription
from stream_app.core.events import Event
from tests.alerts.records import NOW, record
from tests.alerts.sinks.servers import client, outgoing, serving

RUN = "0d6c0d8e-3d2b-4b6e-9b1b-5f3c2a1d0e9f"


class Server(Protocol):
    """Whatever a hook is tried against."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers a request."""


@dataclass
class Around:
    """What a hook is given: a gate, which refuses for the next reasons, and a log of events, which may fail."""

    refusals: list[str] = field(default_factory=list)
    asked: int = 0
    events: list[Event] = field(default_factory=list)
    broken: str = ""
    now_ms: int = NOW

    async def refusal(self, _: FlagRecord) -> str:
        """As of `StopCheck`."""
        self.asked += 1
        return self.refusals.pop(0) if self.refusals else ""

    async def write(self, events: Any) -> None:
        """As of `WriteEvents`."""
        if self.broken:
            raise OSError(self.broken)
        self.events += events

    def stopping(self) -> Stopping:
        """What hooks need."""
        return Stopping(self, self.write, lambda each: f"https://flags.example.com/{each.subject}")


def due(**changes: Any) -> FlagRecord:
    """The record of a flag that is due."""
    return replace(record(change=Change.DUE, flag=f"p/run:{RUN}", mode="enforce"), **changes)


def sending(
    server: Server,
    around: Around,
    sink: dict[str, Any],
    *records: FlagRecord,
    timeout_seconds: float = 10.0,
    thread: dict[str, str] | None = None,
    checkpoint: bool = False,
) -> list[Result]:
    """Has a hook try a message, as a mailbox does, until it is settled or has failed; returns what became of it."""
    return asyncio.run(
        attempts(server, around, sink, *records, timeout_seconds=timeout_seconds, thread=thread, checkpoint=checkpoint)
    )


async def attempts(
    server: Server,
    around: Around,
    sink: dict[str, Any],
    *records: FlagRecord,
    timeout_seconds: float = 10.0,
    thread: dict[str, str] | None = None,
    checkpoint: bool = False,
) -> list[Result]:
    """As of `sending`."""
    results: list[Result] = []
    kept = dict(thread or {})
    async with serving(server.handle) as url, client(timeout_seconds) as http:
        given = {"url": url, "pipelines": ["p"], "dry_run": False, **sink}
        given |= {"checkpoint_url": f"{url}/checkpoint"} if checkpoint else {}
        subscription = make_subscription({"id": "hook", "name": "n", "owner": "ann", "sink": given})
        make = SinkMaker(http, now=lambda: around.now_ms / 1000, stopping=around.stopping())
        for _ in range(4):
            message = replace(outgoing(*(records or (due(),))), thread=dict(kept))
            results.append(await make(register(subscription, NOW)).send(message))
            kept.update(results[-1].thread or {})
            if results[-1].again_after != 0.0:
                break
    return results
