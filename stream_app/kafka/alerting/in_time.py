"""What Kafka does not take in time is reported as not possible now: somebody waits for the answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from stream_app.alerts.saved import AlertStoreError
from stream_app.kafka.clients.retry import is_transient

#: Seconds that a change may take.
SECONDS = 10.0


@contextlib.asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Bounds the time of a change.

    Raises
    ------
    AlertStoreError
        Kafka has not taken the change in `SECONDS`; it may take it yet.
    """
    try:
        async with asyncio.timeout(SECONDS):
            yield
    except TimeoutError:
        raise AlertStoreError(f"Kafka has not taken the change within {SECONDS:g} s; it may yet") from None


@contextlib.asynccontextmanager
async def taken() -> AsyncIterator[None]:
    """Raises AlertStoreError where Kafka is away, at once or after some time."""
    try:
        async with in_time():
            yield
    except Exception as error:
        if not is_transient(error):
            raise
        raise AlertStoreError(f"Kafka does not take the change: {error}") from None
