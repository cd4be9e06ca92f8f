"""Any application of aiohttp on a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.web.served import Service


@contextmanager
def serving(app: web.Application) -> Iterator[Service]:
    """Its address while the context lasts."""
    loop, runner = (
        asyncio.new_event_loop(),
        web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False),
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    try:
        yield Service("127.0.0.1", asyncio.run_coroutine_threadsafe(begin(), loop).result(20))
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
