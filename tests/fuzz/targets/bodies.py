"""Requests with events: whatever the headers and the body, the answer is documented, and what it says is so.

An input is a byte for the route, a byte for how the body arrives, lines of headers, an empty line, and the body.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from unittest.mock import Mock

import orjson
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict, CIMultiDictProxy

from stream_app.errors import StateError
from stream_app.service.event_log import Accepted
from stream_app.sources import NATIVE, OPENLINEAGE, SOURCES
from stream_app.web import event_routes
from stream_app.web.bodies import Bodies
from stream_app.web.event_routes import EventRoutes
from stream_app.web.problems import ProblemError, problem
from stream_app.web.webhooks import PATH, Webhooks, WebhookSettings
from tests.fuzz.targets.decoders import check_written

MAX_BYTES = 4096
#: What clients are told: done, or what is wrong with the request; 503 when it cannot be stored now.
DOCUMENTED = {200, 201, 400, 401, 408, 413, 415, 422, 503}
#: Bits of the second byte: the body is compressed as its headers say, signed, split in parts, cut off, not stored.
_COMPRESSED, _SIGNED, _IN_PARTS, _CUT_OFF, _UNAVAILABLE = 1, 2, 4, 8, 16
_SECRET = "s3cret"
#: Bytes that no server passes on in a header.
_NO_HEADER = bytes(range(32)) + b"\x7f"

Handler = Callable[[web.Request], Awaitable[web.Response]]


class _Site:
    """The handlers, with an intake that keeps what is stored."""

    def __init__(self) -> None:
        self.stored: list[Accepted] = []
        self.is_unavailable = False
        self.bodies = Bodies()
        self.loop = asyncio.new_event_loop()
        splitting = asyncio.Lock()
        self.handlers: list[Handler] = []
        for format_, path in event_routes.PATHS.items():
            routes = EventRoutes(path, format_, SOURCES[format_], self._store, self.bodies, splitting)
            self.handlers += [routes.one, routes.batch]
        self.webhooks = Webhooks(self._store, WebhookSettings(_SECRET))
        self.handlers.append(self.webhooks.take)

    async def _store(self, messages: Sequence[Accepted]) -> None:
        if self.is_unavailable:
            raise StateError("the disk is full")
        self.stored += messages


_site: _Site | None = None
_protocol, _transport, _task = Mock(), Mock(), Mock()


def prepare() -> None:
    """Makes the handlers once."""
    global _site
    _site = _site or _Site()


def check(data: bytes) -> None:
    """One request."""
    site = _site
    if site is None or len(data) < 2:
        return
    handler = site.handlers[data[0] % len(site.handlers)]
    request = site.loop.run_until_complete(_request(data[1], data[2:], site.loop))
    site.stored.clear()
    site.is_unavailable = bool(data[1] & _UNAVAILABLE)
    try:
        response = site.loop.run_until_complete(handler(request))
    except ProblemError as error:
        _check_refused(error)
        assert not site.stored, "what was stored is refused"
    else:
        _check_done(site, response, handler)
    for bodies in (site.bodies, site.webhooks._bodies):
        assert (bodies._held, bodies._count) == (0, 0), "a body counts as held for ever"


def _check_refused(error: ProblemError) -> None:
    """What is wrong is one short line, which can be sent."""
    assert error.status in DOCUMENTED - {200, 201}, error.status
    assert str(error).isprintable(), str(error)
    assert len(str(error)) < 600, str(error)
    assert problem(error.status, str(error), error.headers).status == error.status


def _check_done(site: _Site, response: web.Response, handler: Handler) -> None:
    """What was acknowledged was stored."""
    assert response.status in (200, 201)
    for accepted in site.stored:
        if accepted.event is not None:
            check_written(accepted.event)
        again = SOURCES[accepted.format](accepted.message, None)
        assert again == accepted.event
    if response.status == 201:
        assert len(site.stored) == 1
    elif handler != site.webhooks.take:
        assert isinstance(response.body, bytes)
        answer: dict[str, Any] = orjson.loads(response.body)
        summary = answer["summary"]
        assert summary["successful"] == len(site.stored)
        assert summary["received"] == summary["successful"] + summary["failed"]
        assert [each["index"] for each in answer["failed_events"]] == sorted(
            {each["index"] for each in answer["failed_events"]}
        )
        assert len(answer["failed_events"]) == summary["failed"]
        assert (answer["status"] == "success") == (summary["failed"] == 0)


async def _request(bits: int, text: bytes, loop: asyncio.AbstractEventLoop) -> web.Request:
    head, _, body = text.partition(b"\n\n")
    headers: CIMultiDict[str] = CIMultiDict()
    for line in head.split(b"\n")[:20]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and not (value.strip().isdigit() and len(value) < 19):
            continue  # the server refuses it before
        if name.strip() and name.isascii() and value.translate(None, _NO_HEADER) == value:
            headers.add(name.strip().decode(), value.strip().decode("utf-8", "surrogateescape"))
    if bits & _COMPRESSED:
        for encoding in ",".join(headers.getall("Content-Encoding", [])).lower().split(","):
            body = _compressed(body, encoding.strip())
    if bits & _SIGNED:
        now = str(time.time_ns() // 1_000_000_000)
        digest = hmac.digest(_SECRET.encode(), b"d1." + now.encode() + b"." + body, "sha256")
        headers["X-MLflow-Signature"] = "v1," + base64.b64encode(digest).decode()
        headers["X-MLflow-Timestamp"], headers["X-MLflow-Delivery-Id"] = now, "d1"
    content = StreamReader(BaseProtocol(loop), 1 << 16, loop=loop)
    size = 7 if bits & _IN_PARTS else len(body)
    for at in range(0, min(len(body), 20 * max(size, 1)), max(size, 1)):
        content.feed_data(body[at : at + size])
    if bits & _CUT_OFF:
        content.set_exception(web.RequestPayloadError("connection lost"))
    else:
        content.feed_eof()
    plain = make_mocked_request("POST", PATH, loop=loop, protocol=_protocol, transport=_transport)
    message = plain._message._replace(headers=CIMultiDictProxy(headers))  # raw headers would have to be text
    return web.Request(message, content, _protocol, plain._payload_writer, _task, loop)


def _compressed(body: bytes, encoding: str) -> bytes:
    if encoding in ("gzip", "x-gzip"):
        return gzip.compress(body, 1, mtime=0)
    return zlib.compress(body, 1) if encoding == "deflate" else body


def seeds() -> Iterator[bytes]:
    """Events and batches of both formats, compressed, in envelopes, with odd headers; and deliveries."""
    from tests.fuzz.targets.decoders import webhook_bodies
    from tests.sources.bad_input import VALID
    from tests.sources.openlineage_events import dataset, run_event

    native, lineage = orjson.dumps(VALID), orjson.dumps(run_event(outputs=[dataset("model", "1")]))
    assert list(event_routes.PATHS) == [OPENLINEAGE, NATIVE]
    json_type = b"Content-Type: application/json"
    for route, event in ((0, lineage), (2, native)):
        yield b"%c\0%s\n\n%s" % (route, json_type, event)
        batches = (b"[]", b"[" + event + b"]", b"[" + event + b', {"a": 1}, ' + event + b"]", b"[" + event + b",NaN]")
        for batch in batches:
            yield b"%c\0%s\n\n%s" % (route + 1, json_type, batch)
            yield b"%c\4Content-Type: application/cloudevents-batch+json\n\n%s" % (route, batch)
        envelope = orjson.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {}})
        envelope = envelope.replace(b"{}", event)
        yield b"%c\0Content-Type: application/cloudevents+json\n\n%s" % (route, envelope)
        for encoding in (b"gzip", b"x-gzip", b"deflate", b"gzip, deflate", b"identity", b"br", b"gzip,gzip,gzip,gzip"):
            for bits in (0, 1):
                yield b"%c%c%s\nContent-Encoding: %s\n\n%s" % (route, bits, json_type, encoding, event)
        yield b"%c\0%s\nContent-Length: 99999999\n\n%s" % (route, json_type, event)
        yield b"%c\x08%s\n\n%s" % (route, json_type, event)
        yield b"%c\x10%s\n\n%s" % (route, json_type, event)
    yield b"\0\0Content-Type: text/plain; charset=x\n\n{}"
    for body in webhook_bodies():
        yield b"\4\2%s\n\n%s" % (json_type, body)
        yield b"\4\0%s\nX-MLflow-Signature: v1,x\nX-MLflow-Timestamp: 1\n\n%s" % (json_type, body)
