"""The way from a training to the service: nothing that was kept is lost, whoever is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import orjson
import pytest
from aiohttp import web

from stream_app.errors import OptionsError
from stream_app.sidecar.forwarding import Forwarder, TargetUnavailableError
from stream_app.sidecar.http_target import HttpTarget
from stream_app.sidecar.spool import Message, Spool
from stream_app.sidecar.spool_thread import SpoolThread
from stream_app.wire import event_to_dict
from tests.support.builders import ran
from tests.support.nobody import nobody
from tests.web.served import Service, embedded_service

Act = Callable[[HttpTarget], Awaitable[object]]
R = TypeVar("R")


def native(*events: object) -> list[Message]:
    return [Message("native", orjson.dumps(event_to_dict(event))) for event in events]  # type: ignore[arg-type]


LINEAGE = Message(
    "openlineage",
    orjson.dumps(
        {
            "eventTime": "2026-01-02T00:00:00Z", "eventType": "START", "producer": "https://example.com",
            "run": {"runId": "01890000-0000-7000-8000-000000000001"}, "job": {"namespace": "n", "name": "ads.train"},
        }
    ),
)  # fmt: skip


def with_target(url: str, act: Act, token: str | None = None) -> None:
    async def body() -> None:
        target = HttpTarget(url, token)
        try:
            await act(target)
        finally:
            await target.close()

    asyncio.run(body())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with embedded_service(tmp_path / "events") as running:
        yield running


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool")
    yield made
    made.close()


def test_messages_of_both_formats_arrive(service: Service, spool: Spool) -> None:
    """Those that the service refuses are counted and said, and hold up no others."""
    spool.put(
        [
            *native(*ran(0, "t", "Trainer")),
            LINEAGE,
            Message("native", b'{"id":"none"}'),
            *native(*ran(9, "u", "Trainer")),
        ]
    )
    counted: list[tuple[int, int]] = []

    async def act(target: HttpTarget) -> None:
        await Forwarder(SpoolThread(spool), target, lambda *counts: counted.append(counts)).deliver()

    with_target(service.url, act)

    assert (spool.count, counted) == (0, [(5, 1)])
    assert [service.get(f"/v1/graphlets/p/{trainer}").status for trainer in ("t", "u")] == [200, 200]


def test_a_batch_of_nothing_but_faults_is_refused_one_by_one(service: Service) -> None:
    """The service answers 422 to all of them together."""

    async def act(target: HttpTarget) -> None:
        refused = await target.send([Message("native", b"{}"), Message("openlineage", b"{}")])
        assert sorted(each.place for each in refused) == [0, 1]
        assert all(each.reason for each in refused)

    with_target(service.url, act)


def test_what_cannot_be_delivered_waits(spool: Spool, service: Service) -> None:
    """Until the service is there."""
    spool.put(native(*ran(0, "t", "Trainer")))

    async def act(target: HttpTarget) -> None:
        with pytest.raises(TargetUnavailableError, match=r"cannot reach http://127\.0\.0\.1:.*: Connection refused"):
            await Forwarder(SpoolThread(spool), target).deliver()

    with nobody() as address:
        with_target(f"http://{address}", act)
    assert spool.count == 2

    with_target(service.url, lambda target: Forwarder(SpoolThread(spool), target).deliver())
    assert (spool.count, service.get("/v1/graphlets/p/t").status) == (0, 200)


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 302, 200])
def test_an_answer_that_is_none_of_the_service_loses_nothing(spool: Spool, status: int) -> None:
    """A wrong token, a proxy, another program: the events wait, and one line says why."""
    spool.put([LINEAGE])

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="<html>")

    async def act(url: str) -> str:
        target = HttpTarget(url, "a-token")
        try:
            with pytest.raises(TargetUnavailableError) as raised:
                await Forwarder(SpoolThread(spool), target).deliver()
        finally:
            await target.close()
        return str(raised.value)

    said = serving(answer, act)
    assert spool.count == 1
    assert ("needs another token" if status in (401, 403) else f"takes no events: {status}") in said
    assert "a-token" not in said


def test_what_is_too_large_together_is_sent_in_parts() -> None:
    """A proxy may take less than the service; what is too large by itself is refused, and said."""
    taken: list[int] = []
    small, large = (Message("native", b'{"id":"%s"}' % (b"x" * size)) for size in (10, 5_000))

    async def answer(request: web.Request) -> web.Response:
        events = await request.json()
        if len(await request.read()) > 2_000:
            return web.Response(status=413)
        taken.append(len(events))
        return web.json_response({"summary": {}, "failed_events": []})

    async def act(url: str) -> list[int]:
        target = HttpTarget(url, None)
        refused = await target.send([small] * 300 + [large] + [small] * 99)
        await target.close()
        return [each.place for each in refused]

    assert serving(answer, act) == [300]
    assert sum(taken) == 399


def test_an_answer_in_pieces_is_read_to_its_end() -> None:
    """A long list of refused events comes in many packets."""
    reasons = [{"index": index, "reason": "x" * 2_000} for index in range(100)]
    body = orjson.dumps({"summary": {}, "failed_events": reasons})

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for start in range(0, len(body), 5_000):
            await response.write(body[start : start + 5_000])
            await asyncio.sleep(0)
        return response

    async def act(url: str) -> int:
        target = HttpTarget(url, None)
        refused = await target.send([LINEAGE] * 100)
        await target.close()
        return len(refused)

    assert serving(answer, act) == 100


def test_it_pauses_longer_and_longer_and_goes_on(spool: Spool) -> None:
    """A target that is away is not pressed, and its return is noticed."""
    failures = [True] * 4
    sent: list[Sequence[Message]] = []
    said: list[str] = []

    class Target:
        async def send(self, messages: Sequence[Message]) -> list[object]:
            if failures:
                failures.pop()
                raise TargetUnavailableError("it is away")
            sent.append(messages)
            return []

    async def body() -> None:
        forwarder = Forwarder(SpoolThread(spool), Target(), on_pause=said.append, pause_seconds=0.001)  # type: ignore[arg-type]
        running = asyncio.create_task(forwarder.run())
        spool.put([LINEAGE])
        forwarder.wake()
        while not sent:
            await asyncio.sleep(0.001)
        spool.put([LINEAGE])
        forwarder.wake()
        while len(sent) < 2:
            await asyncio.sleep(0.001)
        running.cancel()

    asyncio.run(body())
    assert (said, [list(each) for each in sent]) == (["it is away", ""], [[LINEAGE], [LINEAGE]])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "detector:8484",
        "ftp://detector",
        "http://",
        "http://me:secret@detector",
        "http://d/?a=b",
        "http://[::1",
        "http://d:0",
    ],
)
def test_a_wrong_address_is_told_at_once(url: str) -> None:
    with pytest.raises(OptionsError) as raised:
        with_target(url, lambda target: target.send([]))

    assert "secret" not in str(raised.value)


def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]], act: Callable[[str], Awaitable[R]]) -> R:
    """What `act` returns, given the address of a server that answers all requests with `answer`."""

    async def body() -> R:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            return await act(f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    return asyncio.run(body())
