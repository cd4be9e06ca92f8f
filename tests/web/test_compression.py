"""Compressed bodies are whole, and nothing more than that."""

from __future__ import annotations

import gzip
import zlib

import pytest

from stream_app.web.compression import Decompression
from stream_app.web.problems import ProblemError

PLAIN = b'{"eventType":"START","run":{"runId":"1"}}' * 3


def raw_deflate(plain: bytes) -> bytes:
    """Without the header and the checksum of zlib."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(plain) + packer.flush()


ARCHIVES = {
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "two members": ("gzip", gzip.compress(PLAIN[:20]) + gzip.compress(PLAIN[20:])),
    "zlib": ("deflate", zlib.compress(PLAIN)),
    "raw": ("deflate", raw_deflate(PLAIN)),
}
every_archive = pytest.mark.parametrize(("encoding", "archive"), ARCHIVES.values(), ids=ARCHIVES)


def unpacked(archive: bytes, encoding: str, size: int) -> bytes:
    """All pieces of a body."""
    running = Decompression(archive, encoding)
    plain = b""
    while not running.done:
        piece = running.piece(size)
        assert len(piece) <= size
        plain += piece
    return plain


@every_archive
@pytest.mark.parametrize("size", [1, 7, len(PLAIN), 1 << 20])
def test_pieces_make_the_whole(encoding: str, archive: bytes, size: int) -> None:
    """Of any size, also of exactly that of the body."""
    assert unpacked(archive, encoding, size) == PLAIN


@every_archive
def test_a_cut_is_seen_at_every_byte(encoding: str, archive: bytes) -> None:
    """Also in the trailer; only between two members there is nothing to see."""
    between = len(gzip.compress(PLAIN[:20]))
    for end in range(len(archive)):
        if archive is ARCHIVES["two members"][1] and end == between:
            continue
        with pytest.raises(ProblemError, match="cut off"):
            unpacked(archive[:end], encoding, 1 << 20)


@every_archive
@pytest.mark.parametrize("more", [b"\0", b"x", b"{}", b"\x1f\x8b"])
def test_nothing_follows_the_end(encoding: str, archive: bytes, more: bytes) -> None:
    with pytest.raises(ProblemError, match="the body cannot be read"):
        unpacked(archive + more, encoding, 1 << 20)


@pytest.mark.parametrize("damaged", [-1, -5])
def test_a_checksum_or_a_length_that_is_wrong_is_seen(damaged: int) -> None:
    """The last eight bytes are both."""
    archive = bytearray(gzip.compress(PLAIN))
    archive[damaged] ^= 1

    with pytest.raises(ProblemError, match="no gzip data"):
        unpacked(bytes(archive), "gzip", 1 << 20)
