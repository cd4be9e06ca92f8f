"""Untrusted request bodies: of a known type, and bounded in time and in decompressed bytes, each and together."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientError, web
from aiohttp.http_exceptions import BadHttpMessage

from stream_app.web.problems import ProblemError

#: Seconds that the body of a request may take.
SECONDS = 10.0
#: Bytes of all bodies held at one time, by default.
TOTAL_BYTES = 256 << 20
_ENCODINGS = frozenset(("", "identity", "gzip", "deflate"))


class Bodies:
    """Reads the bodies of requests.

    Parameters
    ----------
    total_bytes
        Limit of the bytes of all bodies held at one time; None: `TOTAL_BYTES`.
    """

    def __init__(self, total_bytes: int | None = None) -> None:
        self._total_bytes = total_bytes
        self._held = 0

    @asynccontextmanager
    async def read(self, request: web.Request, limit: int) -> AsyncIterator[bytes]:
        """The body of a request, which counts as held until the block ends.

        Parameters
        ----------
        request
            The request.
        limit
            Limit of its bytes after decompression.

        Raises
        ------
        ProblemError
            415, 413, 408, 503, or 400 for a body that cannot be decompressed.
        """
        if request.content_type != "application/json":
            raise ProblemError(415, f"expected content of type application/json, got {request.content_type[:80]!r}")
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise ProblemError(415, f"expected no Content-Encoding, gzip or deflate, got {encoding[:80]!r}")
        if request.content_length is not None and request.content_length > limit:
            raise _too_large(limit)
        body = await self._whole(request, limit)
        try:
            yield body
        finally:
            self._held -= len(body)

    async def _whole(self, request: web.Request, limit: int) -> bytes:
        body = bytearray()
        try:
            await self._fill(body, request, limit)
        except BaseException:
            self._held -= len(body)
            raise
        return bytes(body)

    async def _fill(self, body: bytearray, request: web.Request, limit: int) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > limit:
                        raise _too_large(limit)
                    if self._held > (self._total_bytes or TOTAL_BYTES):
                        raise ProblemError(503, "too many bodies at once", {"Retry-After": "1"})
        except TimeoutError:
            raise ProblemError(408, f"the body took longer than {SECONDS:.0f} s", {"Connection": "close"}) from None
        except (ClientError, BadHttpMessage, zlib.error, web.RequestPayloadError) as error:
            raise ProblemError(400, f"the body cannot be read: {type(error).__name__}") from None


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"expected at most {limit:,} bytes", {"Connection": "close"})
