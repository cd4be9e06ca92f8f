"""From options to what answers questions in a worker."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.kafka.process.worker import AnswerQuestions
    from stream_app.kafka.queries.open_partitions import OpenPartitions
    from stream_app.options import QueriesOptions

#: Characters of the shortest token that is accepted.
_TOKEN_LENGTH = 16
_LOCAL = ("127.0.0.1", "::1", "localhost")
_ALL = ("0.0.0.0", "::")


def query_token_of(options: QueriesOptions) -> str | None:
    """The token of questions to workers; None: there is none.

    Raises
    ------
    OptionsError
        It cannot be read, or is too short.
    """
    from stream_app.options import read_secret

    token = read_secret(options.token, options.token_file, "queries.token")
    if token is not None and (len(token) < _TOKEN_LENGTH or not token.isascii() or not token.isprintable()):
        raise OptionsError(f"queries.token: expected {_TOKEN_LENGTH} printable characters of ASCII or more")
    return token


def answering_of(options: QueriesOptions) -> AnswerQuestions:
    """What answers questions in a worker.

    Raises
    ------
    OptionsError
        Other machines could ask without a token, or the token is wrong.
    """
    token = query_token_of(options)
    if token is None and options.host not in _LOCAL:
        raise OptionsError(f"queries.host {options.host}: set queries.token before other machines may ask")

    @asynccontextmanager
    async def answering(opened: OpenPartitions) -> AsyncIterator[str]:
        from stream_app.metrics.registry import make_registry
        from stream_app.web.serving import listening
        from stream_app.web.worker_routes import worker_app

        urls: list[str] = []
        async with listening(worker_app(opened, make_registry(), token), options.host, options.port, urls.append):
            yield address_of(options, int(urls[0].rpartition(":")[2]))

    return answering


def address_of(options: QueriesOptions, port: int) -> str:
    """Where others reach a worker, as `host:port`.

    Parameters
    ----------
    options
        The options.
    port
        The port that it listens on.

    Examples
    --------
    >>> from stream_app.options import QueriesOptions
    >>> address_of(QueriesOptions(), 4711)
    '127.0.0.1:4711'
    >>> address_of(QueriesOptions(host="::1"), 4711)
    '[::1]:4711'
    >>> address_of(QueriesOptions(host="0.0.0.0", address="worker-3"), 4711)
    'worker-3:4711'
    >>> address_of(QueriesOptions(address="proxy:80"), 4711)
    'proxy:80'
    """
    host = options.address or (socket.gethostname() if options.host in _ALL else options.host)
    if options.address is None and ":" in host:
        host = f"[{host}]"
    return host if ":" in host.rpartition("]")[2] else f"{host}:{port}"
