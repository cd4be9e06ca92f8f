"""An address at which nothing listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nobody() -> Iterator[str]:
    """A host and port of loopback that refuse connections for as long as the context lasts.

    The port is bound and does not listen. One that is only closed again is given to the next program that asks for any.

    Yields
    ------
    str
        Such as `127.0.0.1:40123`.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
