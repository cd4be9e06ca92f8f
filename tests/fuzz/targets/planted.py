"""A target with a fault, which shows that the runner finds one."""

from __future__ import annotations

from collections.abc import Iterator

from stream_app.sources.envelopes import opened

MAX_BYTES = 16


def check(data: bytes) -> None:
    """Refuses what begins with two characters that no seed begins with."""
    opened(data)
    if data[:1] == b"{" and data[1:2] == b"!":
        raise AssertionError("the planted fault")


def seeds() -> Iterator[bytes]:
    """Something else."""
    yield b"{}"
