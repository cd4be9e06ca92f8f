"""Gzip data whose end is missing: all that was compressed before it is read, whatever the buffers."""

from __future__ import annotations

import gzip
import io

import pytest

from stream_app.replay.gunzip import Gunzip

EVENT = b'{"time": "2026-03-01T06:12:40Z", "pipeline": "p", "execution": {"id": "e", "type": "T", "state": "NEW"}}\n'


def read(packed: bytes, size: int) -> tuple[bytes, str | None]:
    """What can be had of gzip data by buffers of a size, and what is wrong with it."""
    stream = Gunzip(io.BytesIO(packed))
    found, buffer = bytearray(), bytearray(size)
    while count := stream.readinto(memoryview(buffer)):
        found += buffer[:count]
    return bytes(found), stream.fault


@pytest.mark.parametrize("size", [1, 7, 100, 5_000, 1 << 20])
@pytest.mark.parametrize("missing", [1, 8, 9, 10, 30])
def test_what_was_compressed_before_a_cut_is_read_by_buffers_of_any_size(size: int, missing: int) -> None:
    """Repeated text takes few bytes: much of it may be known, and not yet given, when the last byte was taken."""
    packed = gzip.compress(EVENT * 500, mtime=0)[:-missing]

    assert read(packed, size) == (read(packed, 1 << 22)[0], "the gzip archive is cut off")
    assert len(read(packed, size)[0]) > (50_000 if missing < 10 else 0)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_whole_data_is_read_whole(size: int) -> None:
    """One member or several."""
    packed = gzip.compress(EVENT * 50, mtime=0)

    assert read(packed, size) == (EVENT * 50, None)
    assert read(packed * 2, size) == (EVENT * 100, None)
