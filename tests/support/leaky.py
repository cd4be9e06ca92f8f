"""Servers that give away what they were given: sinks that repeat it in whatever they answer, and a mail server."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

#: The ways in which a sink answers, as the first part of the path.
WAYS = ("ok", "echo", "garbage", "header", "redirect", "huge", "close")


class Leaky:
    """What the sinks were given, and their ports."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.port = self.mail_port = 0

    def url(self, way: str, secret: str = "", scheme: str = "http") -> str:
        """The URL of a sink, with a secret in its path."""
        return f"{scheme}://127.0.0.1:{self.port}/{way}/{secret}"

    def answer(self, head: str) -> str:
        """What a sink says to a request."""
        path = head.split(" ")[1] if head.count(" ") > 1 else "/"
        quoted = head.replace("\r\n", " | ")
        match path.split("/")[1]:
            case "ok":
                return "HTTP/1.1 204 Taken\r\nConnection: close\r\n\r\n"
            case "echo":
                body = f"you sent {quoted}"
                return f"HTTP/1.1 500 Failed\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            case "garbage":
                return f"HTTP/1.1 {quoted}\r\n\r\n"
            case "header":
                return f"HTTP/1.1 200 Taken\r\n{quoted}\r\n\r\n"
            case "redirect":
                return f"HTTP/1.1 302 Moved\r\nLocation: {path}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            case "huge":
                return f"HTTP/1.1 200 Taken\r\nX-Sent: {quoted * 100}\r\n\r\n"
        return ""


@contextmanager
def leaky() -> Iterator[Leaky]:
    """Sinks and a mail server on free ports of this machine."""
    made = Leaky()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines = []
            while (line := self.rfile.readline(8_192)) not in (b"\r\n", b"\n", b""):
                lines.append(line.decode(errors="replace"))
            head = "".join(lines)
            made.heads.append(head)
            length = [line.split(":")[1] for line in lines if line.lower().startswith("content-length:")]
            self.rfile.read(int(length[0]) if length else 0)
            self.wfile.write(made.answer(head).encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Says nothing."""

    def refused(_: SMTP, __: Session, ___: Envelope, ____: str, given: Any) -> AuthResult:
        password = given.password.decode() if isinstance(given, LoginPassword) else ""
        made.heads.append(password)
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 {password} is wrong")

    server, loop = Server(("127.0.0.1", 0), Handler), asyncio.new_event_loop()
    made.port = server.server_address[1]
    threads = [threading.Thread(target=each, daemon=True) for each in (server.serve_forever, loop.run_forever)]
    for thread in threads:
        thread.start()

    async def mail() -> asyncio.Server:
        def session() -> SMTP:
            return SMTP(made, hostname="mail", authenticator=refused, auth_require_tls=False)

        return await loop.create_server(session, "127.0.0.1", 0)

    listening = asyncio.run_coroutine_threadsafe(mail(), loop).result(20)
    made.mail_port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        loop.call_soon_threadsafe(loop.stop)
        for thread in threads:
            thread.join()
