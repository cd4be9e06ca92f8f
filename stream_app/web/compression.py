"""Decompresses untrusted bodies piece by piece, so that each piece can be counted before the next is made."""

from __future__ import annotations

import zlib

from stream_app.web.problems import ProblemError

#: Bytes of a piece.
PIECE = 1 << 20
#: The names of encodings that are understood.
ENCODINGS = ("gzip", "x-gzip", "deflate")
#: The most members that gzip data may have: each costs a copy of what follows it.
_MEMBERS_MAX = 100
_GZIP, _ZLIB, _DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Decompression:
    """Compressed bytes that are decompressed.

    Parameters
    ----------
    body
        All compressed bytes.
    encoding
        One of `ENCODINGS`.
    """

    def __init__(self, body: bytes, encoding: str) -> None:
        self._rest = body
        self._encoding = encoding
        self._bits = _GZIP
        if encoding == "deflate":  # some senders leave out the header of zlib
            self._bits = _ZLIB if body[:1] and body[0] & 0x0F == zlib.DEFLATED else _DEFLATE
        self._members = 1
        self._member = zlib.decompressobj(self._bits)
        #: Whether everything was decompressed.
        self.done = False

    def piece(self, size: int = PIECE) -> bytes:
        """Decompresses a piece.

        Parameters
        ----------
        size
            The most bytes of it.

        Returns
        -------
        bytes
            Some of the plain bytes, in order; it may be empty.

        Raises
        ------
        ProblemError
            400: the bytes are damaged, cut off, or followed by others.
        """
        try:
            plain = self._member.decompress(self._rest, size)
        except zlib.error as error:
            raise _unreadable(f"it is no {self._encoding} data: {error}") from None
        if self._member.eof:
            self._end_member()
        else:
            self._rest = self._member.unconsumed_tail
            if not plain and not self._rest:
                raise _unreadable(f"its {self._encoding} data is cut off")
        return plain

    def _end_member(self) -> None:
        self._rest = self._member.unused_data
        if not self._rest:
            self.done = True
            return
        if self._bits != _GZIP or self._members == _MEMBERS_MAX:
            raise _unreadable(f"there is more after its {self._encoding} data")
        self._members += 1
        self._member = zlib.decompressobj(self._bits)


def _unreadable(why: str) -> ProblemError:
    return ProblemError(400, f"the body cannot be read: {why}")
