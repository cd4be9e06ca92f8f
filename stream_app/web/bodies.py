"""Untrusted request bodies: of a known type, and bounded in time and in decompressed bytes, each and together.

Bodies are decompressed here: aiohttp answers an encoding that it does not know without a problem, and logs a traceback.
A server of these routes is therefore made with `auto_decompress=False`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientError, web
from aiohttp.http_exceptions import BadHttpMessage

from stream_app.web.compression import ENCODINGS, PIECE, Decompression
from stream_app.web.problems import CLOSE, ProblemError

#: Seconds that the body of a request may take to arrive, and then to be decompressed.
SECONDS = 10.0
#: Bytes of all bodies held at one time, by default, and bodies.
TOTAL_BYTES, TOTAL = 256 << 20, 1_000
#: The type of a body of JSON.
JSON = "application/json"
#: The most encodings that one body may have.
_ENCODINGS_MAX = 3
#: Bodies that are decompressed on threads at one time; those of fewer plain bytes are on the event loop.
_DECOMPRESSING, _SYNC_BYTES = 2, 64 << 10


class Bodies:
    """Reads the bodies of requests.

    Parameters
    ----------
    total_bytes
        Limit of the bytes of all bodies held at one time; None: `TOTAL_BYTES`.
    total
        Limit of the bodies held at one time.
    compressed
        Whether bodies may be compressed.
    """

    def __init__(self, total_bytes: int | None = None, total: int = TOTAL, compressed: bool = True) -> None:
        self._total_bytes = total_bytes
        self._total = total
        self._encodings = ENCODINGS if compressed else ()
        self._held = self._count = 0
        self._decompressing = asyncio.Semaphore(_DECOMPRESSING)

    @asynccontextmanager
    async def read(self, request: web.Request, limit: int, *types: str) -> AsyncIterator[bytes]:
        """The body of a request, which counts as held until the block ends.

        Parameters
        ----------
        request
            The request.
        limit
            Limit of its bytes, before decompression and after.
        *types
            The types that it may have; none: `JSON`.

        Raises
        ------
        ProblemError
            415, 413, 408, 503, or 400 for a body that cannot be decompressed.
        """
        known = types or (JSON,)
        if request.content_type not in known:
            got = f"got {request.content_type[:80]!r}"
            raise ProblemError(
                415, f"expected content of type {' or '.join(known)}, {got}", {"Accept": ", ".join(known)}
            )
        encodings = self._encodings_of(request)
        if request.content_length is not None and request.content_length > limit:
            raise _too_large(limit)
        if self._count >= self._total:
            raise _too_many()
        held = _Held(self)
        self._count += 1
        try:
            body = await self._whole(request, limit, held)
            for encoding in reversed(encodings):
                body = await self._decompressed(body, encoding, limit, held)
            yield body
        finally:
            self._count -= 1
            held.release()

    async def _whole(self, request: web.Request, limit: int, held: _Held) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(SECONDS):
                if request.version >= (1, 1) and request.headers.get("Expect", "").lower() == "100-continue":
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request.writer.output_size = 0  # it is no part of the response
                async for chunk in request.content.iter_any():
                    body += chunk
                    held.more(len(chunk))
                    if len(body) > limit:
                        raise _too_large(limit)
        except TimeoutError:
            raise ProblemError(408, f"the body took longer than {SECONDS:.0f} s", CLOSE) from None
        except (ClientError, BadHttpMessage, web.RequestPayloadError) as error:
            raise ProblemError(400, f"the body cannot be read: {type(error).__name__}") from None
        return bytes(body)

    async def _decompressed(self, body: bytes, encoding: str, limit: int, held: _Held) -> bytes:
        """The bytes that were compressed, of which each piece is counted before the next is made."""
        running = Decompression(body, encoding)
        plain = bytearray()

        def take(piece: bytes) -> None:
            held.more(len(piece))
            plain.extend(piece)
            if len(plain) > limit:
                raise _too_large(limit)

        if len(body) <= _SYNC_BYTES:
            take(running.piece(_SYNC_BYTES))
        if not running.done:
            try:
                async with asyncio.timeout(SECONDS), self._decompressing:
                    while not running.done:
                        take(await asyncio.to_thread(running.piece, min(PIECE, limit + 1 - len(plain))))
            except TimeoutError:
                raise _too_many() from None
        held.more(-len(body))
        return bytes(plain)

    def hold(self, more: int) -> None:
        """Counts bytes as held; raises ProblemError, and counts nothing, where these are too many."""
        if more > 0 and self._held + more > (self._total_bytes or TOTAL_BYTES):
            raise _too_many()
        self._held += more

    def _encodings_of(self, request: web.Request) -> list[str]:
        """The encodings of a body in the order in which they were applied; raises ProblemError for an unknown one."""
        given = ",".join(request.headers.getall("Content-Encoding", []))
        names = [name for name in (part.strip().lower() for part in given.split(",")) if name not in ("", "identity")]
        unknown = [name for name in names if name not in self._encodings]
        if unknown or len(names) > _ENCODINGS_MAX:
            got = repr(unknown[0][:80]) if unknown else f"{len(names)} of them"
            known = ", gzip or deflate" if self._encodings else ""
            accepted = {"Accept-Encoding": "gzip" if self._encodings else "identity"}
            raise ProblemError(415, f"expected no Content-Encoding{known}, got {got}", accepted)
        return names


class _Held:
    """The bytes that one request holds."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._bytes = 0

    def more(self, count: int) -> None:
        self._bodies.hold(count)
        self._bytes += count

    def release(self) -> None:
        self._bodies.hold(-self._bytes)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"expected at most {limit:,} bytes", CLOSE)


def _too_many() -> ProblemError:
    return ProblemError(503, "too many bodies at once", {"Retry-After": "1", **CLOSE})
