"""Each kind of sink is made of what the process has; what it lacks is a reason, at once and at each attempt."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream_app.alerts.guard import AddressGuard
from stream_app.alerts.registered import OVERLAP_MS, Registered, register
from stream_app.alerts.sinks import making
from stream_app.alerts.sinks.alertmanager import Alertmanager
from stream_app.alerts.sinks.apprise import Apprise
from stream_app.alerts.sinks.email import Email, MailServer
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.kafka import KafkaTopic
from stream_app.alerts.sinks.making import Discreet, SinkMaker
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.sinks.slack import Bot, IncomingWebhook
from stream_app.alerts.subscriptions import SubscriptionError, make_subscription
from tests.alerts.records import NOW
from tests.alerts.sinks.servers import client, outgoing, serving, talking

HTTP = HttpClient(AddressGuard())
MAIL = MailServer("localhost", 25, "s@example.com")


def subscribed(**sink: Any) -> Registered:
    """A subscription with a sink."""
    return register(make_subscription({"id": "s", "name": "n", "owner": "ann", "sink": sink}), NOW)


async def append(*_: object) -> None:
    """In the place of a producer."""


@pytest.mark.parametrize(
    ("sink", "kind"),
    [
        ({"kind": "slack", "webhook_url": "https://example.com"}, IncomingWebhook),
        ({"kind": "slack", "token": "x", "channel": "#c"}, Bot),
        ({"kind": "alertmanager", "url": "https://example.com"}, Alertmanager),
        ({"kind": "email", "to": ["ann@example.com"]}, Email),
        ({"kind": "kafka", "topic": "t"}, KafkaTopic),
        ({"kind": "apprise", "url": "json://localhost"}, Apprise),
    ],
)
def test_a_sink_is_of_the_kind_of_the_subscription(sink: dict[str, Any], kind: type) -> None:
    """Where the process has what it needs."""
    maker, registered = SinkMaker(HTTP, MAIL, append), subscribed(**sink)

    maker.check(registered.subscription)
    made = maker(registered)
    assert isinstance(made, Discreet)
    assert isinstance(made.sink, kind)


@pytest.mark.parametrize(
    ("sink", "reason"),
    [
        ({"kind": "email", "to": ["ann@example.com"]}, "alerts.mail_host"),
        ({"kind": "kafka", "topic": "t"}, "stream-app notify"),
        ({"kind": "apprise", "url": "json://localhost"}, "stream-app[apprise]"),
    ],
)
def test_a_sink_that_cannot_be_reached_says_why(
    sink: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been reached under other settings before."""
    monkeypatch.setattr(making.importlib.util, "find_spec", lambda _: None)
    maker, registered = SinkMaker(HTTP), subscribed(**sink)

    with pytest.raises(SubscriptionError) as refused:
        maker.check(registered.subscription)
    result = asyncio.run(maker(registered).send(outgoing()))

    assert refused.value.field == "sink.kind"
    assert reason in refused.value.reason
    assert result.reason == refused.value.reason


def test_a_former_secret_signs_no_longer_than_a_day() -> None:
    """Also where the sink was made while it did."""
    signatures: list[int] = []
    now_ms = NOW

    async def body() -> None:
        nonlocal now_ms

        async def take(request: Any) -> Any:
            from aiohttp import web

            signatures.append(len(request.headers["webhook-signature"].split()))
            return web.Response()

        async with serving(take) as url, client() as http:
            maker = SinkMaker(http, now=lambda: now_ms / 1000)
            sink = maker(subscribed(kind="webhook", url=url).rotated(NOW))
            assert (await sink.send(outgoing())).succeeded
            now_ms += OVERLAP_MS
            assert (await sink.send(outgoing())).succeeded

    asyncio.run(body())
    assert signatures == [2, 1]


ECHO = {"secret": "whsec_" + "c2Vj" * 8, "headers": {"Authorization": "Bearer a-secret-token", "X-Key": "another-one"}}


@pytest.mark.parametrize(
    ("sink", "secrets"),
    [
        ({"kind": "webhook", "url": "{}/hook", **ECHO}, ("a-secret-token", "another-one", "a-sec", "c2VjC2Vj")),
        ({"kind": "slack", "webhook_url": "{}/services/a-secret-path"}, ("a-secret-path",)),
    ],
)
@pytest.mark.parametrize("quoted", ["{head}", "{head:.190}", "Failed"])
def test_a_sink_that_quotes_what_it_was_sent_gives_no_secret_away(
    sink: dict[str, Any], secrets: tuple[str, ...], quoted: str
) -> None:
    """Not in its answer, in what is no answer, or where a quotation is cut; the rest of its words stay."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().replace("\r\n", " ")
        said = quoted.format(head=head)
        writer.write(
            f"HTTP/1.1 {'500 ' if said == 'Failed' else ''}{said}\r\nContent-Length: {len(head)}\r\n\r\n{head}".encode()
        )
        await writer.drain()

    async def body() -> Result:
        async with talking(echo) as address, client() as http:
            given = {
                name: value.replace("{}", address) if isinstance(value, str) else value for name, value in sink.items()
            }
            return await SinkMaker(http)(subscribed(**given)).send(outgoing())

    reason = asyncio.run(body()).reason
    assert "POST" in reason
    assert not [secret for secret in secrets if secret in reason], reason


@pytest.mark.parametrize("kind", ["nothing", "json"])
def test_the_logs_of_apprise_are_silent(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """They contain URLs, which are secrets: of kinds that are unknown, of requests, and of answers that are odd."""

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Failed\r\nno header\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def body() -> Result:
        async with talking(odd) as address:
            url = f"{address.replace('http', kind)}/a-secret"
            return await SinkMaker(HTTP)(subscribed(kind="apprise", url=url)).send(outgoing())

    with caplog.at_level("DEBUG"):
        result = asyncio.run(body())

    assert not result.succeeded
    assert "a-secret" not in caplog.text
