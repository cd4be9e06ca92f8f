"""Reads gzip data whose end may be missing: everything before the fault is read, and the fault is kept.

The standard library raises at a fault, and what it has decompressed since its last whole buffer is lost.
"""

from __future__ import annotations

import io
import zlib
from typing import IO

MAGIC = b"\x1f\x8b"

#: Compressed bytes read at once.
_CHUNK = 1 << 16
#: For zlib: the header and the check sum of gzip.
_GZIP_BITS = 16 + zlib.MAX_WBITS


class Gunzip(io.RawIOBase):
    """The decompressed bytes of one or more gzip members, one after the other as log rotation appends them.

    Parameters
    ----------
    stream
        The compressed bytes, at their beginning.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._member = zlib.decompressobj(_GZIP_BITS)
        self._waiting = b""
        self._before_damage = io.BytesIO()
        #: What is wrong with the data; None so far.
        self.fault: str | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills a buffer with decompressed bytes.

        Parameters
        ----------
        buffer
            The buffer.

        Returns
        -------
        int
            How many bytes there are now; 0 at the end, and at a fault.
        """
        while self.fault is None:
            if self._member.eof and not self._next_member():
                return 0
            compressed = self._waiting or self._stream.read(_CHUNK)
            before = self._member.copy()
            try:
                data = self._member.decompress(compressed, len(buffer))
            except zlib.error:
                self.fault = "the gzip archive is damaged"
                self._before_damage = io.BytesIO(_data_before_damage(before, compressed))
                break
            self._waiting = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if data:
                buffer[: len(data)] = data
                return len(data)
            # Only now, since zlib may have held what did not fit into the buffer before.
            if not compressed and not self._member.eof:
                self.fault = "the gzip archive is cut off"
        return self._before_damage.readinto(buffer)

    def _next_member(self) -> bool:
        """Begins the next member; False at the end of the data. Zero bytes between members are padding."""
        rest = self._waiting.lstrip(b"\0")
        while not rest:
            rest = self._stream.read(_CHUNK)
            if not rest:
                return False
            rest = rest.lstrip(b"\0")
        if len(rest) < len(MAGIC):
            rest += self._stream.read(_CHUNK)
        if not rest.startswith(MAGIC):
            self.fault = "other data follows the end of the gzip archive"
            return False
        self._member, self._waiting = zlib.decompressobj(_GZIP_BITS), rest
        return True


def _data_before_damage(member: zlib._Decompress, compressed: bytes) -> bytes:
    """What can be had of data in which a fault is, byte by byte."""
    data = bytearray()
    try:
        for place in range(len(compressed)):
            data += member.decompress(compressed[place : place + 1])
    except zlib.error:
        pass
    return bytes(data)
