"""Accepts connections within limits, and closes those that are slow, idle or malformed.

The event loop's own server accepts without a limit, and logs a traceback for each attempt without a file descriptor.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from stream_app.errors import OptionsError
from stream_app.web.connections import Connections, connections_limit
from stream_app.web.limits import Buckets, sender_of
from stream_app.web.problems import SERVER, problem
from stream_app.web.traffic import TRAFFIC, Traffic, address_of

log = logging.getLogger(__name__)

#: Seconds in which the headers of a request must arrive, also those of the first request of a connection.
HEAD_SECONDS = 10.0
#: Seconds that a request may take from the end of its headers until its response is sent.
REQUEST_SECONDS = 120.0
#: Seconds for which the rest of a refused body is read, so that its sender sees the refusal, not a broken connection.
LINGER_SECONDS = 1.0
#: Seconds for which sent data may be without an answer of the other side.
_SILENT_SECONDS = 30
#: Connections accepted before other work is done, those that wait in the kernel, and seconds without accepting when
#: there are no file descriptors.
_BATCH, _BACKLOG, _PAUSE_SECONDS = 16, 256, 0.1
#: Seconds beyond the time in which an idle connection is closed in good order.
_GRACE_SECONDS = 5.0
DESCRIPTORS, SLOW = "descriptors", "slow"
_MALFORMED = "the request is not HTTP/1.1 that can be read"


class Connection(web.RequestHandler):
    """A connection, which always has a time by which it is closed.

    Parameters
    ----------
    listener
        What accepted it.
    server
        Answers its requests.
    idle_seconds
        Seconds that it may be idle.
    """

    def __init__(self, listener: Listener, server: web.Server, idle_seconds: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=idle_seconds,
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,
        )
        self.probes_only = False
        self._listener = listener
        self._idle_seconds = idle_seconds
        self._head_seconds = min(HEAD_SECONDS, idle_seconds)
        self._opened: asyncio.BaseTransport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        #: Whether no byte of the next request has arrived, and when the current one began (0: there is none).
        self._between = False
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Gives the first request its time."""
        self._opened = transport
        super().connection_made(transport)
        self._close_in(self._head_seconds)
        if self._force_close:  # another took its place meanwhile
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Makes room for others."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._opened = None
        self._listener.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Gives the headers of a further request their time, from its first byte."""
        super().data_received(data)
        if self._between:
            self._between = False
            self._close_in(self._head_seconds)

    def begin(self) -> None:
        """The headers of a request have arrived, and it is handled now."""
        self._between = False
        self._began = self._loop.time()
        self._close_in(REQUEST_SECONDS)
        self._listener.connections.busy(self)

    def prolong(self) -> None:
        """Gives a response that is sent in pieces the time of a request again."""
        if self._began:
            self._close_in(REQUEST_SECONDS)

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:  # noqa: ARG002
        """A response has been sent, or could not be."""
        seconds = self._loop.time() - self._began if self._began else 0.0
        self._listener.traffic.answered(request, response, seconds, address_of(request))
        self._began = 0.0
        self._between = True
        self._close_in(self._idle_seconds + _GRACE_SECONDS)
        self._listener.connections.idle(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """The response to what is no request, without the text of it and without a log line."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the response was sent")
        if status >= 500:
            self.log_exception("a request failed", exc_info=exc)
        answer = problem(status, _MALFORMED if status < 500 else "the service failed on this request", SERVER)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Logs a defect, seldom."""
        self._listener.log_failure(*args, **kw)

    def abort(self) -> None:
        """Closes it at once, whatever is still to be sent."""
        self._force_close = True
        if isinstance(self._opened, asyncio.Transport):
            self._opened.abort()

    def _close_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self._late) if self._opened is not None else None

    def _late(self) -> None:
        if not self._between:
            self._listener.traffic.connections_refused.labels(SLOW).inc()
        self.abort()


class Listener:
    """Accepts the connections of an application; see `close`.

    Parameters
    ----------
    runner
        The runner of the application, which is set up.
    sockets
        Listening sockets.
    idle_seconds
        Seconds that a connection may be idle.
    limit
        The most connections; None: as many as the limit of open files has room for.
    """

    def __init__(
        self, runner: web.AppRunner, sockets: Sequence[socket.socket], idle_seconds: float, limit: int | None = None
    ) -> None:
        if runner.server is None:
            raise ValueError("the runner is not set up")
        self.traffic: Traffic = runner.app[TRAFFIC]
        self._server = runner.server
        self._idle_seconds = idle_seconds
        self._sockets = sockets
        self._loop = asyncio.get_running_loop()
        self._seldom = Buckets(1 / 60, 1)
        self._opening: set[asyncio.Task[Any]] = set()
        refused = self.traffic.connections_refused
        self.connections = Connections(limit or connections_limit(), lambda reason: refused.labels(reason).inc())
        for each in sockets:
            self._loop.add_reader(each, self._accept, each)

    def close(self) -> None:
        """Accepts no more; open connections are left to the runner."""
        for each in self._sockets:
            self._loop.remove_reader(each)
            each.close()

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""
        self.connections.remove(connection)
        self.traffic.connections.set(len(self.connections))

    def log_failure(self, *args: Any, **kw: Any) -> None:
        """Logs a defect, once a minute at most: whoever found it may repeat it."""
        if not self._seldom.take("failure"):
            log.error(*args, **kw)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                accepted, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listening, error)
                return
            self._open(accepted, sender_of(str(peer[0])))

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """Accepts nothing for a moment: the kernel would report the same at once."""
        self.traffic.connections_refused.labels(DESCRIPTORS).inc()
        if not self._seldom.take(DESCRIPTORS):
            log.error("no connection can be accepted: %s; raise the limit of open files (ulimit -n)", error.strerror)
        self.connections.close_oldest()
        self._loop.remove_reader(listening)
        self._loop.call_later(_PAUSE_SECONDS, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening, self._accept, listening)

    def _open(self, accepted: socket.socket, address: str) -> None:
        connection = Connection(self, self._server, self._idle_seconds)
        if not self.connections.add(connection, address):
            accepted.close()
            return
        self.traffic.connections.set(len(self.connections))
        accepted.setblocking(False)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_SECONDS * 1_000)
        task = self._loop.create_task(self._connect(connection, accepted))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # it is gone already
            accepted.close()
            self.lost(connection)


async def bind(host: str, port: int) -> list[socket.socket]:
    """Binds all addresses of a host.

    Parameters
    ----------
    host, port
        Where to listen; port 0 chooses a free one.

    Returns
    -------
    list of socket.socket
        Listening sockets that do not block.

    Raises
    ------
    OptionsError
        One of them cannot be bound.
    """
    sockets: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, address in sorted({(each[0], each[4]) for each in found}):
            listening = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
    except OSError as error:
        for each in sockets:
            each.close()
        raise OptionsError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return sockets
