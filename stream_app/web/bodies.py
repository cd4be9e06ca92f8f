"""Untrusted request bodies: of a known type, and bounded in time and in decompressed bytes, each and together.

Bodies are decompressed here: aiohttp answers an encoding that it does not know without a problem, and logs a traceback.
A server of these routes is therefore made with `auto_decompress=False`.
"""

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
#: The type of a body of JSON.
JSON = "application/json"
#: The most encodings that one body may have.
_ENCODINGS_MAX = 3
#: The most members that gzip data may have: each costs a copy of what follows it.
_MEMBERS_MAX = 100
#: Compressed bodies of more bytes are decompressed on a thread.
_SYNC_BYTES = 16 << 10
_GZIP, _ZLIB, _DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


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
        encodings = _encodings(request)
        if request.content_length is not None and request.content_length > limit:
            raise _too_large(limit)
        body = await self._whole(request, limit)
        try:
            for encoding in reversed(encodings):
                plain = await _decompressed(body, encoding, limit)
                self._hold(len(plain) - len(body))
                body = plain
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
                    self._hold(0)
        except TimeoutError:
            raise ProblemError(408, f"the body took longer than {SECONDS:.0f} s", {"Connection": "close"}) from None
        except (ClientError, BadHttpMessage, web.RequestPayloadError) as error:
            raise ProblemError(400, f"the body cannot be read: {type(error).__name__}") from None

    def _hold(self, more: int) -> None:
        """Counts bytes as held; raises ProblemError, and counts nothing, where these are too many."""
        if self._held + more > (self._total_bytes or TOTAL_BYTES):
            raise ProblemError(503, "too many bodies at once", {"Retry-After": "1"})
        self._held += more


def _encodings(request: web.Request) -> list[str]:
    """The encodings of a body in the order in which they were applied; raises ProblemError for an unknown one."""
    given = ",".join(request.headers.getall("Content-Encoding", []))
    names = [name for name in (part.strip().lower() for part in given.split(",")) if name not in ("", "identity")]
    unknown = [name for name in names if name not in ("gzip", "x-gzip", "deflate")]
    if unknown or len(names) > _ENCODINGS_MAX:
        got = repr(unknown[0][:80]) if unknown else f"{len(names)} of them"
        raise ProblemError(
            415, f"expected no Content-Encoding, gzip or deflate, got {got}", {"Accept-Encoding": "gzip"}
        )
    return names


async def _decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    if len(body) > _SYNC_BYTES:
        return await asyncio.to_thread(_decompress, body, encoding, limit)
    return _decompress(body, encoding, limit)


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The bytes that were compressed; raises ProblemError where these are more than `limit`, or cannot be read."""
    bits = _GZIP
    if encoding == "deflate":  # some senders leave out the header of zlib
        bits = _ZLIB if body[:1] and body[0] & 0x0F == zlib.DEFLATED else _DEFLATE
    plain = bytearray()
    try:
        for _ in range(_MEMBERS_MAX if bits == _GZIP else 1):
            member = zlib.decompressobj(bits)
            plain += member.decompress(body, limit + 1 - len(plain))
            if len(plain) > limit:
                raise _too_large(limit)
            if not member.eof:
                raise ProblemError(400, f"the body cannot be read: its {encoding} data is cut off")
            body = member.unused_data
            if not body:
                return bytes(plain)
    except zlib.error as error:
        raise ProblemError(400, f"the body cannot be read: it is no {encoding} data: {error}") from None
    raise ProblemError(400, f"the body cannot be read: there is more after its {encoding} data")


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"expected at most {limit:,} bytes", {"Connection": "close"})
