"""The spool on a thread of its own: a disk that is slow or hangs must not keep questions from being answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from stream_app.sidecar.spool import Message, ReadPosition, Spool, Stored

_R = TypeVar("_R")


class SpoolThread:
    """The methods of `Spool`, to be awaited; parameters and returns are as there.

    Parameters
    ----------
    spool
        The spool.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._thread = ThreadPoolExecutor(1, "spool")

    async def put(self, messages: Sequence[Message], read: tuple[Path, ReadPosition] | None = None) -> int:
        """See `Spool.put`."""
        return await self._run(self._spool.put, messages, read)

    async def take(self, count: int, size: int) -> list[Stored]:
        """See `Spool.take`."""
        return await self._run(self._spool.take, count, size)

    async def drop(self, delivered: Sequence[Stored]) -> None:
        """See `Spool.drop`."""
        await self._run(self._spool.drop, delivered)

    async def position(self, path: Path) -> ReadPosition | None:
        """See `Spool.position`."""
        return await self._run(self._spool.position, path)

    async def count(self) -> int:
        """Messages that are not delivered yet."""
        return await self._run(lambda: self._spool.count)

    async def size(self) -> int:
        """Bytes that they take."""
        return await self._run(lambda: self._spool.size)

    @property
    def fault(self) -> str:
        """Why messages are kept in memory; "" while they are stored on disk."""
        return self._spool.fault

    async def close(self) -> None:
        """Closes the spool."""
        await self._run(self._spool.close)
        self._thread.shutdown(wait=False)

    async def _run(self, function: Callable[..., _R], *arguments: object) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
