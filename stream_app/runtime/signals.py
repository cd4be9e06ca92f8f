"""The signals that end a service."""

from __future__ import annotations

import asyncio
import signal


def ending() -> asyncio.Future[signal.Signals]:
    """Handles SIGTERM and SIGINT in the running event loop from now on.

    Returns
    -------
    asyncio.Future of signal.Signals
        Done with the first of them; later ones change nothing.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[signal.Signals] = loop.create_future()

    def end(number: signal.Signals) -> None:
        if not ended.done():
            ended.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    return ended
