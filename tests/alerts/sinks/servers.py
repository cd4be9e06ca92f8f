"""Servers that sinks are tried against."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from stream_app.alerts.guard import AddressGuard
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.sink import Outgoing
from stream_app.alerts.texts import Texts
from tests.alerts.records import record

LOCAL = AddressGuard(["127.0.0.0/8", "::1/128"])
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def outgoing(*records: object, thread: dict[str, str] | None = None) -> Outgoing:
    """A message of records."""
    made = list(records) or [record()]
    return Outgoing("p/run:r1#1@s", made, Texts().of(made), thread or {})  # type: ignore[arg-type]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server with one handler for everything; yields its address."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that speaks bytes; yields its address."""
    tasks: set[asyncio.Task[None]] = set()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(session, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()


@asynccontextmanager
async def client(timeout_seconds: float = 10.0, guard: AddressGuard = LOCAL) -> AsyncIterator[HttpClient]:
    """A client that may reach this machine."""
    async with HttpClient(guard, timeout_seconds) as made:
        yield made
