"""Reads the events that a training writes to a file, line by line, while it grows.

How far it was read is stored together with the events, so a line is read once, whatever is killed when.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from stream_app.errors import MalformedEvent
from stream_app.sidecar.messages import message_of
from stream_app.sidecar.spool import Message, ReadPosition
from stream_app.sidecar.spool_thread import SpoolThread

log = logging.getLogger(__name__)

#: Seconds between two looks at the file.
LOOK_SECONDS = 1.0
#: Bytes that are read at a time, and of the longest line; a longer one is left out.
_CHUNK, LINE_MAX = 1 << 20, 8 << 20


class Tail:
    """Follows one file, which need not exist yet, and which may be replaced by another one under its name.

    Parameters
    ----------
    path
        The file: a JSON object a line, OpenLineage or native. A pipe cannot be followed.
    spool
        Where its events go.
    on_lines
        Called with the numbers of events that were stored and of lines that are none.
    """

    def __init__(self, path: Path, spool: SpoolThread, on_lines: Callable[[int, int], None] = lambda *_: None) -> None:
        self._path = path
        self._spool = spool
        self._on_lines = on_lines
        self._file: BinaryIO | None = None
        #: Where the first line begins that was not stored, and whether it is the rest of one that is too long.
        self._position = 0
        self._skipping = False
        self._fault = ""

    async def run(self) -> None:
        """Follows the file until cancelled."""
        while True:
            if not await self.read():
                await asyncio.sleep(LOOK_SECONDS)

    async def finish(self) -> None:
        """Reads what is there, a last line without its end too, after `run` was cancelled at whatever point."""
        if self._file is not None:
            self._file.close()
            self._file = None  # how far it was read is known to the spool alone
        while await self.read():
            pass
        await self.read(last=True)
        if self._file is not None:
            self._file.close()

    async def read(self, *, last: bool = False) -> bool:
        """Reads some lines.

        Parameters
        ----------
        last
            Whether a line counts that has no end yet.

        Returns
        -------
        bool
            Whether there may be more.
        """
        try:
            if self._file is None and not await self._open():
                return False
            assert self._file is not None
            chunk = self._chunk(self._file, last=last)
            if not chunk:
                return self._is_replaced(self._file)
        except OSError as error:
            self._tell(f"{self._path} cannot be read: {error.strerror or error}")
            return False
        return await self._take(chunk)

    async def _open(self) -> bool:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return False
        found = os.fstat(file.fileno())
        known = await self._spool.position(self._path)
        same = known is not None and known[:2] == (found.st_dev, found.st_ino) and known.position <= found.st_size
        self._file, self._position, self._skipping = file, known.position if known is not None and same else 0, False
        return True

    def _chunk(self, file: BinaryIO, *, last: bool) -> bytes:
        """Whole lines from the position on; b"" where there are none."""
        if os.fstat(file.fileno()).st_size < self._position:  # it was emptied, and is written from its beginning
            self._position, self._skipping = 0, False
        file.seek(self._position)
        chunk = file.read(_CHUNK)
        while chunk and b"\n" not in chunk and len(chunk) <= LINE_MAX:
            more = file.read(_CHUNK)
            if not more:
                return chunk if last else b""
            chunk += more
        end = chunk.rfind(b"\n") + 1
        return chunk[:end] if end else chunk

    def _is_replaced(self, file: BinaryIO) -> bool:
        """Whether there is another file under the name, which is read next."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        known = os.fstat(file.fileno())
        if (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino):
            return False
        file.close()
        self._file = None
        return True

    async def _take(self, chunk: bytes) -> bool:
        assert self._file is not None
        messages: list[Message] = []
        bad = 0
        for line in chunk.split(b"\n"):
            skipped, self._skipping = self._skipping, len(line) > LINE_MAX and not chunk.endswith(b"\n")
            if skipped or not line.strip():
                continue
            try:
                if len(line) > LINE_MAX:
                    raise MalformedEvent(f"longer than {LINE_MAX:,} bytes")
                messages.append(message_of(line))
            except MalformedEvent as error:
                bad += 1
                log.warning(
                    "a line of %s near byte %d is no event, and is left out: %s", self._path, self._position, error
                )
        found = os.fstat(self._file.fileno())
        position = ReadPosition(found.st_dev, found.st_ino, self._position + len(chunk))
        if messages and await self._spool.put(messages, (self._path, position)) < len(messages):
            self._tell(f"events of {self._path} wait in it: {self._spool.fault or 'the spool is begun anew'}")
            return False
        self._position = position.position
        self._tell("")
        self._on_lines(len(messages), bad)
        return True

    def _tell(self, fault: str) -> None:
        if fault and fault != self._fault:
            log.warning("%s", fault)
        self._fault = fault
