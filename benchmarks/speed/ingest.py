"""Decoding, next to a bare JSON parser; and posting to the embedded service, next to the same without durability."""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson
from aiohttp import ClientSession, TCPConnector, web
from prometheus_client import CollectorRegistry

from benchmarks.results import median, publish, table
from stream_app.service.detector_thread import Embedded
from stream_app.service.event_log import EventLog
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources import native, openlineage
from stream_app.web.serving import embedded_app

URL = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs"


def facet(name: str, **fields: Any) -> dict[str, Any]:
    return {"_producer": "https://example.com/producer", "_schemaURL": f"{URL}/{name}", **fields}


def lineage(number: int, columns: int, datasets: int) -> bytes:
    """A COMPLETE event of a training; `columns` in the schema and the column lineage of each dataset."""

    def dataset(kind: str, index: int) -> dict[str, Any]:
        facets = {"version": facet("DatasetVersionDatasetFacet", datasetVersion=str(number))}
        if columns:
            fields = [
                {"name": f"column_{c}", "type": "VARCHAR", "description": f"what {c} says"} for c in range(columns)
            ]
            facets["schema"] = facet("SchemaDatasetFacet", fields=fields)
            inputs = [{"namespace": "s3://bucket", "name": "raw", "field": f"column_{c}"} for c in range(2)]
            lines = {f"column_{c}": {"inputFields": inputs} for c in range(columns)}
            facets["columnLineage"] = facet("ColumnLineageDatasetFacet", fields=lines)
        return {"namespace": "s3://bucket", "name": f"{kind}/{index}", "facets": facets}

    event = {
        "eventType": "COMPLETE",
        "eventTime": f"2026-03-01T06:{number // 60 % 60:02}:{number % 60:02}.000Z",
        "run": {
            "runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"run {number}")),
            "facets": {
                "parent": facet(
                    "ParentRunFacet",
                    run={"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"parent {number // 5}"))},
                    job={"namespace": "prod", "name": f"pipeline{number % 50}"},
                )
            },
        },
        "job": {"namespace": "prod", "name": f"pipeline{number % 50}.train", "facets": {}},
        "inputs": [dataset("examples", index) for index in range(datasets)],
        "outputs": [dataset("model", index) for index in range(datasets)],
        "producer": "https://example.com/producer",
        "schemaURL": f"{URL}/RunEvent",
    }
    return orjson.dumps(event)


def rate(decode: Callable[[bytes], object], messages: list[bytes]) -> float:
    """Messages a second of CPU time."""
    began = time.process_time()
    for message in messages:
        decode(message)
    return len(messages) / (time.process_time() - began)


def decoding(count: int, repeats: int) -> list[list[str]]:
    """A row for each kind of message."""
    fleet = Fleet(FleetOptions(pipelines=20, days=10, seed=0)).events()
    kinds = (
        ("native", native.decode, [orjson.dumps(event) for event, _ in zip(fleet, range(count), strict=False)]),
        ("OpenLineage, small", openlineage.decode, [lineage(n, 0, 1) for n in range(count)]),
        ("OpenLineage, many facets", openlineage.decode, [lineage(n, 25, 2) for n in range(count // 10)]),
    )
    rows = []
    for name, decode, messages in kinds:
        pairs = [(rate(decode, messages), rate(orjson.loads, messages)) for _ in range(repeats)]
        ours, bare = zip(*pairs, strict=True)
        shares = [a / b for a, b in pairs]
        rows.append(
            [
                name,
                f"{sum(map(len, messages)) / len(messages):,.0f}",
                median(ours),
                f"{statistics.median(bare):,.0f}",
                median(shares, ".2f"),
            ]
        )
    return rows


def service(folder: str, durable: bool, connection: Connection) -> None:
    """The embedded service in a process of its own; it sends its port, and ends when it receives a message."""

    async def serve() -> None:
        log = EventLog(Path(folder) / "events.sqlite")
        if not durable:
            log._db.execute("PRAGMA synchronous=OFF")
        embedded = Embedded(log)
        embedded.start()
        runner = web.AppRunner(embedded_app(embedded, CollectorRegistry(), None), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        connection.send(runner.addresses[0][1])
        await asyncio.to_thread(connection.recv)
        await runner.cleanup()
        embedded.stop()
        log.close()

    asyncio.run(serve())


@contextmanager
def running(durable: bool) -> Iterator[str]:
    """The address of a service over a new log."""
    here, there = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("spawn").Process(target=service, args=(folder, durable, there))
        process.start()
        yield f"http://127.0.0.1:{here.recv()}"
        here.send(None)
        process.join()


async def post(url: str, clients: int, messages: list[bytes]) -> tuple[float, list[float]]:
    """Requests a second and the seconds each took, of clients that post one after the other over kept connections."""
    waiting = iter(messages)
    took: list[float] = []

    async def client(session: ClientSession) -> None:
        for message in waiting:
            began = time.perf_counter()
            async with session.post(
                f"{url}/api/v1/lineage", data=message, headers={"Content-Type": "application/json"}
            ) as answer:
                assert answer.status == 201, await answer.text()
            took.append(time.perf_counter() - began)

    async with ClientSession(connector=TCPConnector(limit=clients)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(clients)))
        return len(messages) / (time.perf_counter() - began), took


def posting(count: int, repeats: int) -> list[list[str]]:
    """A row for one client and for 32, each durable and not."""
    rows = []
    for clients in (1, 32):
        for durable in (True, False):
            rates, p50, p99 = [], [], []
            for _ in range(repeats):
                with running(durable) as url:
                    number = count if clients > 1 else count // 4
                    asyncio.run(post(url, clients, [lineage(n, 0, 1) for n in range(100)]))
                    found, took = asyncio.run(post(url, clients, [lineage(n, 0, 1) for n in range(100, 100 + number)]))
                took.sort()
                rates.append(found)
                p50.append(took[len(took) // 2] * 1000)
                p99.append(took[len(took) * 99 // 100] * 1000)
            rows.append(
                [
                    str(clients),
                    "yes" if durable else "no",
                    median(rates),
                    f"{statistics.median(p50):.1f}",
                    median(p99, ".1f"),
                ]
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="messages of each kind to decode")
    parser.add_argument(
        "--requests", type=int, default=8_000, help="requests of 32 clients; one client sends a quarter"
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    lines = [
        f"One process, CPU time, median of {options.repeats} runs with the spread.",
        "",
        *table(
            ["", "bytes", "events/s", "`orjson.loads` of the same", "share of it"],
            decoding(options.events, options.repeats),
        ),
        "",
        (
            "`POST /api/v1/lineage` of small events to the embedded service, models on; the clients are a process "
            "of their own on the same machine. Durable: on disk (`synchronous=FULL`) before the 201; requests that "
            "come together share a write."
        ),
        "",
        *table(["clients", "durable", "requests/s", "p50 ms", "p99 ms"], posting(options.requests, options.repeats)),
    ]
    publish("ingest", "Taking events in", lines)


if __name__ == "__main__":
    main()
