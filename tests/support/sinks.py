"""Receivers of webhooks in a process of their own, well-behaved and not, which note each request in a file.

`python -m tests.support.sinks FILE CERTIFICATE` prints its two ports: of HTTP, and of TLS with that certificate. What
a sink does is the first part of its path: `/ok/NAME` takes everything, the others are in `BEHAVIOURS`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

#: The secret of all subscriptions to these sinks.
SECRET = "whsec_" + "c2lu" * 8
#: Seconds that `busy` asks to wait, and bytes that `flood` answers with.
RETRY_AFTER, FLOOD = 8, 1 << 30


@dataclass(frozen=True)
class Attempt:
    """A request: when it came (seconds since 1970 UTC), to which sink, and what was in it."""

    at: float
    behaviour: str
    name: str
    #: Whether the signature is right, and a digest of the body.
    verified: bool
    body: str
    #: The id of the message, and what its event says, of a flag or a finding; "" and 0 of what is neither.
    id: str
    flag: str
    revision: int
    change: str

    @property
    def record(self) -> str:
        """The id of the record."""
        return f"{self.flag}#{self.revision}"


class Sinks:
    """A running process of sinks.

    Parameters
    ----------
    file
        Where it notes its requests.
    port, tls_port
        Its ports on 127.0.0.1.
    """

    def __init__(self, file: Path, port: int, tls_port: int) -> None:
        self._file = file
        self._port, self._tls_port = port, tls_port

    def url(self, behaviour: str, name: str) -> str:
        """The URL of a sink."""
        if behaviour == "tls":
            return f"https://127.0.0.1:{self._tls_port}/tls/{name}"
        return f"http://127.0.0.1:{self._port}/{behaviour}/{name}"

    def size(self) -> int:
        """The bytes of what was noted so far, which grow with each request."""
        return self._file.stat().st_size

    def attempts(self) -> list[Attempt]:
        """All requests so far, in the order in which they came."""
        if not self._file.exists():
            return []
        whole = self._file.read_bytes().rpartition(b"\n")[0]
        return [Attempt(**orjson.loads(line)) for line in whole.splitlines()]


@contextmanager
def sinks(folder: Path) -> Iterator[Sinks]:
    """Sinks that note their requests in a folder; what an earlier process noted there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, file = folder / "certificate.pem", folder / "requests.jsonl"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-keyout", str(certificate), "-out", str(folder / "public.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    with certificate.open("a") as both:
        both.write((folder / "public.pem").read_text())
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.sinks", str(file), str(certificate)],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port, tls_port = map(int, process.stdout.readline().split())
        yield Sinks(file, port, tls_port)
    finally:
        process.kill()
        process.communicate()


class _Server:
    """The handlers; `seen` has the ids of messages that came before."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._webhook = Webhook(SECRET)
        self._seen: dict[str, int] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Notes a request, and answers as its path says."""
        behaviour, name = request.match_info["behaviour"], request.match_info["name"]
        body = await request.read()
        message = request.headers.get("webhook-id", "")
        self._note(behaviour, name, message, request, body)
        before = self._seen.get(message, 0)
        self._seen[message] = before + 1
        return await BEHAVIOURS[behaviour](request, before, len(self._seen))

    def _note(self, behaviour: str, name: str, message: str, request: web.Request, body: bytes) -> None:
        try:
            event: Any = self._webhook.verify(body.decode(), dict(request.headers))
            verified = True
        except (WebhookVerificationError, ValueError):
            event, verified = {}, False
        data = event.get("data", {})
        made = {
            "at": time.time(), "behaviour": behaviour, "name": name, "verified": verified,
            "body": hashlib.sha256(body).hexdigest(), "id": message, "flag": event.get("subject", ""),
            "revision": data.get("revision", 0), "change": str(event.get("type", "")).rpartition(".")[2],
        }  # fmt: skip
        self._file.write(json.dumps(made).encode() + b"\n")


_Behaviour = Callable[[web.Request, int, int], Awaitable[web.StreamResponse]]


def _always(status: int, headers: dict[str, str] | None = None) -> _Behaviour:
    async def answer(*_: object) -> web.Response:
        return web.Response(status=status, headers=headers)

    return answer


async def _busy(_: web.Request, before: int, __: int) -> web.Response:
    """Takes a message at its second attempt, and asks for time at the first."""
    return web.Response(status=204) if before else web.Response(status=429, headers={"Retry-After": str(RETRY_AFTER)})


async def _flap(_: web.Request, before: int, messages: int) -> web.Response:
    """Fails the first attempt of every other message."""
    return web.Response(status=503 if not before and messages % 2 else 204)


async def _hang(*_: object) -> web.Response:
    await asyncio.sleep(3_600)
    return web.Response()


async def _drip(request: web.Request, *_: object) -> web.StreamResponse:
    """A byte of the body now and then, for an hour."""
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(3_600):
            await response.write(b"x")
            await asyncio.sleep(1)
    return response


async def _flood(request: web.Request, *_: object) -> web.StreamResponse:
    """A gigabyte as fast as it is taken."""
    response = web.StreamResponse(headers={"Content-Length": str(FLOOD)})
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(FLOOD >> 20):
            await response.write(b"x" * (1 << 20))
    return response


#: What sinks do with a request, how often its message came before, and how many messages came so far.
BEHAVIOURS: dict[str, _Behaviour] = {
    "ok": _always(204),
    "error": _always(500),
    "moved": _always(301, {"Location": "/ok/redirected"}),
    "gone": _always(410),
    "tls": _always(204),
    "busy": _busy,
    "flap": _flap,
    "hang": _hang,
    "drip": _drip,
    "flood": _flood,
}


async def _serve(file: Path, certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with file.open("ab", buffering=0) as notes:
        server = _Server(notes)
        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/{behaviour}/{name}", server.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1_000).start()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        sys.stdout.write(" ".join(str(address[1]) for address in runner.addresses) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(1 << 30)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2]))
