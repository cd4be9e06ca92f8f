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
from stream_app.alerts.sinks.making import SinkMaker
from stream_app.alerts.sinks.slack import Bot, IncomingWebhook
from stream_app.alerts.subscriptions import SubscriptionError, make_subscription
from tests.alerts.records import NOW
from tests.alerts.sinks.servers import client, outgoing, serving

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
    assert isinstance(maker(registered), kind)


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
