"""Webhooks against real servers, well-behaved and not."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
import standardwebhooks
from aiohttp import web

from stream_app.alerts.flags import Change
from stream_app.alerts.records import cloud_event
from stream_app.alerts.signing import make_secret
from stream_app.alerts.sinks.sink import ANSWER_MAX, Result
from stream_app.alerts.sinks.webhook import Webhook, header_id
from tests.alerts.records import record
from tests.alerts.sinks.servers import Handler, client, outgoing, serving, talking

SECRET = make_secret()
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def post(handler: Handler, timeout_seconds: float = 10.0, path: str = "/hook") -> Result:
    """What becomes of one message."""

    async def body() -> Result:
        async with serving(handler) as address, client(timeout_seconds) as http:
            return await Webhook(http, address + path, [SECRET], {}).send(outgoing())

    return asyncio.run(body())


def talk_to(talk: Talk, timeout_seconds: float = 10.0) -> Result:
    """What becomes of one message to a server that speaks bytes."""

    async def body() -> Result:
        async with talking(talk) as address, client(timeout_seconds) as http:
            return await Webhook(http, address, [SECRET], {}).send(outgoing())

    return asyncio.run(body())


def test_a_message_is_a_signed_cloud_event() -> None:
    """The package that receivers use accepts it, with the secret before a rotation too, and no other body."""
    taken: list[tuple[dict[str, str], bytes]] = []
    former, messages = make_secret(), [outgoing(), outgoing(record(), record(2, Change.REVISED, "p/run:r2"))]

    async def handler(request: web.Request) -> web.Response:
        taken.append((dict(request.headers), await request.read()))
        return web.Response(status=204)

    async def body() -> list[Result]:
        async with serving(handler) as address, client() as http:
            hook = Webhook(http, address, [SECRET, former], {"X-Team": "ads", "Authorization": "Bearer t"})
            return [await hook.send(each) for each in messages]

    assert [each.reason for each in asyncio.run(body())] == ["", ""]
    for headers, content in taken:
        for secret in (SECRET, former):
            standardwebhooks.Webhook(secret).verify(content, headers)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(SECRET).verify(content + b" ", headers)
        assert headers["Content-Type"].startswith("application/cloudevents+json")
        assert (headers["X-Team"], headers["Authorization"]) == ("ads", "Bearer t")
    single, digest = (orjson.loads(content) for _, content in taken)
    assert single == cloud_event(record())
    assert (digest["type"], len(digest["data"]["flags"])) == ("stream_app.flag.digest", 2)


@pytest.mark.parametrize(
    ("status", "headers", "reason", "retry_after", "gone"),
    [
        (200, {}, "", None, False),
        (202, {}, "", None, False),
        (301, {"Location": "http://169.254.169.254/"}, "HTTP 301: redirects are not followed", None, False),
        (307, {"Location": "/other"}, "HTTP 307: redirects are not followed", None, False),
        (400, {}, "HTTP 400: no", None, False),
        (410, {}, "HTTP 410: no", None, True),
        (429, {"Retry-After": "120"}, "HTTP 429: no", 120.0, False),
        (503, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, "HTTP 503: no", pytest.approx(2.3e9, rel=0.05), False),
        (503, {"Retry-After": "soon"}, "HTTP 503: no", None, False),
        (500, {"Retry-After": "-5"}, "HTTP 500: no", None, False),
    ],
)
def test_answers(status: int, headers: dict[str, str], reason: str, retry_after: float | None, gone: bool) -> None:
    """A 2xx is success; of the others the answer says why, and when to come again."""
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers=headers, text="no")

    result = post(handler)
    assert result.reason.startswith(reason)
    assert bool(result.reason) == bool(reason)
    assert (result.retry_after, result.gone) == (retry_after, gone)
    assert asked == ["/hook"]


def test_an_answer_is_quoted_in_part_and_in_print() -> None:
    """It may hold anything."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=500, body=b"\x1b[31m\r\nX: y\x00" + b"z" * 100_000)

    reason = post(handler).reason
    assert reason.isprintable()
    assert len(reason) <= ANSWER_MAX + 20


async def hangs(_: web.Request) -> web.Response:
    """Never answers."""
    await asyncio.sleep(3600)
    return web.Response()


async def drips(request: web.Request) -> web.StreamResponse:
    """Sends a byte now and then."""
    response = web.StreamResponse(status=200)
    await response.prepare(request)
    while True:
        await response.write(b"x")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("handler", [hangs])
def test_a_sink_that_hangs_is_a_failure(handler: Handler) -> None:
    """After the time that an attempt may take."""
    assert post(handler, timeout_seconds=0.3).reason == "no answer within 0.3 s"


def test_a_body_without_end_is_not_read() -> None:
    """The status says enough, however much follows."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        for _ in range(16_384):
            await response.write(b"x" * 65_536)
        return response

    assert post(handler) == Result()


def test_a_body_that_drips_ends_with_the_attempt() -> None:
    """It is bounded in time as well."""
    assert post(drips, timeout_seconds=0.5).reason == "no answer within 0.5 s"


async def closes(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Reads and closes."""
    await reader.read(100)


async def babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks something else than HTTP."""
    await reader.read(100)
    writer.write(b"220 mail.example.com ESMTP\r\n")
    await writer.drain()


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends headers for ever."""
    await reader.read(100)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-" + b"a" * 1000 + b": b\r\n")
        await writer.drain()


@pytest.mark.parametrize("talk", [closes, babbles, endless_headers])
def test_what_is_no_answer_is_a_failure(talk: Talk) -> None:
    """In words, and in bounded time."""
    reason = talk_to(talk, timeout_seconds=2.0).reason

    assert reason
    assert "Traceback" not in reason


def test_nobody_listens() -> None:
    """A failure as others are."""

    async def body() -> Result:
        async with client() as http:
            return await Webhook(http, "http://127.0.0.1:1/", [SECRET], {}).send(outgoing())

    assert asyncio.run(body()).reason.startswith("cannot connect")


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """The message, with its secrets, goes to nobody else."""
    files = [str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", files[0], "-out", files[1]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    taken = []

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        taken.append(await reader.read(100))

    async def body() -> Result:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
        async with server, client() as http:
            port = server.sockets[0].getsockname()[1]
            return await Webhook(http, f"https://127.0.0.1:{port}/", [SECRET], {}).send(outgoing())

    assert "certificate" in asyncio.run(body()).reason.lower()
    assert not any(taken)


@pytest.mark.parametrize(
    "odd",
    ["é/run:1#1@s", "a b", "a\r\nX-Admin: 1", "100%", "%31", "\x00", "a" * 5_000, "é" * 5_000, "\ud800", "\u2028"],
)
def test_an_id_is_fit_for_a_header(odd: str) -> None:
    """Whatever pipelines are called; ids that differ stay different."""
    made = header_id(odd)

    assert made.isascii()
    assert made.isprintable()
    assert " " not in made
    assert len(made) <= 255
    assert header_id(odd + "1") != made
    assert header_id(made) != made or "%" not in made
    assert header_id("ads/run:7#1+@s") == "ads/run:7#1+@s"
