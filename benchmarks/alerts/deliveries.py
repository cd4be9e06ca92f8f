"""Deliveries to local webhooks: how many a second one process makes, and how long the healthy wait beside dead ones.

python -m benchmarks.alerts.deliveries
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.results import median, publish, table, times
from stream_app.alerts.flags import Change, FlaggedGraphlet, FlagRecord
from stream_app.alerts.guard import AddressGuard
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.registered import Registered, register
from stream_app.alerts.saved import Changes
from stream_app.alerts.secrets import Vault
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.sink import Sink
from stream_app.alerts.sinks.webhook import Webhook
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscriptions import WebhookSink, make_subscription

RUNS = 3
_SUBSCRIPTIONS, _FLAGS = 100, 60
#: Of a hundred subscriptions these have a sink that never answers.
_DEAD = 10


def receive(pipe: Connection) -> None:
    """A receiver in a process of its own: answers `/ok` at once and `/dead` never, and keeps when messages came."""
    arrived: dict[str, float] = {}

    async def ok(request: web.Request) -> web.Response:
        await request.read()
        arrived.setdefault(request.headers["webhook-id"], time.time())
        return web.Response(status=204)

    async def dead(_: web.Request) -> web.Response:
        await asyncio.sleep(3_600)
        return web.Response()

    async def body() -> None:
        app = web.Application()
        app.add_routes([web.post("/ok", ok), web.post("/dead", dead)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.to_thread(pipe.recv)
        await runner.cleanup()

    asyncio.run(body())
    pipe.send(arrived)


def subscription(number: int, port: int, dead: int) -> Registered:
    """A subscription to everything, sent at once."""
    path = "dead" if number < dead else "ok"
    sink = {"kind": "webhook", "url": f"http://127.0.0.1:{port}/{path}"}
    given: dict[str, Any] = {"id": f"s{number}", "name": "s", "owner": "o", "sink": sink}
    return register(make_subscription({**given, "delivery": {"min_hold_seconds": 0}}), 0)


def record(number: int) -> FlagRecord:
    """The raising of a flag."""
    graphlet = FlaggedGraphlet("g", "t", None, "train", 0.02, 0.1, 0.1, "1", 1.0, 90_000.0, (), "v")
    now_ms = time.time_ns() // 1_000_000
    return FlagRecord(
        flag=f"p/run:{number}", revision=1, change=Change.RAISED, pipeline="p", run=str(number), owner="o", labels={},
        graphlets=(graphlet,), mode="observe", budget=0.05, raised_ms=now_ms, time_ms=now_ms,
    )  # fmt: skip


async def deliver(path: Path, port: int, dead: int, pause_seconds: float) -> tuple[float, dict[str, float], float]:
    """Delivers every flag to every subscription.

    Returns the seconds until the healthy ones had all, when each flag was handed over, and the CPU seconds.
    """
    store = AlertStore(path / "alerts.db", Vault(b"a key for the benchmark"))
    handed: dict[str, float] = {}

    async def save(changes: Changes) -> None:
        await asyncio.to_thread(store.save, changes)

    async with HttpClient(AddressGuard(["127.0.0.0/8"])) as http:

        def sink_of(registered: Registered) -> Sink:
            sink = registered.subscription.sink
            assert isinstance(sink, WebhookSink)
            return Webhook(http, sink.url, registered.secrets_at(0), {})

        notifier = Notifier(save, sink_of)
        for number in range(_SUBSCRIPTIONS):
            notifier.put(subscription(number, port, dead))
        running = asyncio.ensure_future(notifier.run())
        began, cpu = time.perf_counter(), time.process_time()
        for number in range(_FLAGS):
            made = record(number)
            handed[made.id] = time.time()
            notifier.accept(made, made.time_ms, number + 1)
            await asyncio.sleep(pause_seconds)
        healthy = [notifier.mailboxes[f"s{number}"] for number in range(dead, _SUBSCRIPTIONS)]
        while any(each.messages or each._holding for each in healthy):
            await asyncio.sleep(0.005)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        for task in notifier._tasks:
            task.cancel()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    store.close()
    return seconds, handed, cpu


def run(dead: int, pause_seconds: float) -> tuple[float, float, list[float]]:
    """Deliveries a second, microseconds of CPU a delivery, and the seconds from a flag to each of its receivers."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(theirs,))
    process.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        seconds, handed, cpu = asyncio.run(deliver(Path(folder), port, dead, pause_seconds))
    ours.send(None)
    arrived: dict[str, float] = ours.recv()
    process.join()
    delays = [at - handed[name.partition("@")[0]] for name, at in arrived.items()]
    return len(arrived) / seconds, cpu / len(arrived) * 1e6, delays


def quantile(values: list[float], share: float) -> float:
    """A quantile of some values."""
    return statistics.quantiles(values, n=1000)[round(share * 1000) - 1]


def main() -> None:
    """Measures, and publishes the section `alert-deliveries`."""
    rows = []
    for name, dead, pause in (
        ("as fast as it can", 0, 0.0),
        ("a flag each 0.2 s", 0, 0.2),
        (f"a flag each 0.2 s, {_DEAD} of 100 sinks dead", _DEAD, 0.2),
    ):
        runs = [run(dead, pause) for _ in range(RUNS)]
        rows.append(
            [
                name,
                median([rate for rate, _, _ in runs]),
                median([cpu for _, cpu, _ in runs]),
                *(median([1e3 * quantile(delays, share) for _, _, delays in runs]) for share in (0.5, 0.99)),
            ]
        )
    head = ["load", "deliveries/s", "us of CPU each", "flag to receiver p50 ms", "p99 ms"]
    publish(
        "alert-deliveries",
        "Alerts: deliveries",
        [
            f"{_FLAGS} flags to each of {_SUBSCRIPTIONS} subscriptions, as signed webhooks to another process; every",
            f"message is saved in SQLite before and after. {times(RUNS).capitalize()}.",
            "",
            *table(head, rows),
        ],
    )


if __name__ == "__main__":
    main()
