"""How long a worker takes until it serves again when it has many open graphlets to restore."""

from __future__ import annotations

import asyncio
import shutil
from argparse import Namespace
from pathlib import Path

import orjson

from benchmarks.results import median, table, times
from benchmarks.workers.kafka import ends, fill
from benchmarks.workers.service import MIB, PARTITIONS, Process, Service
from stream_app.times import text_to_time, time_to_text

PIPELINES = 500
START = "2026-06-01T00:00:00Z"


def run(options: Namespace, bootstrap: str, folder: Path) -> list[str]:
    """Lines of the section."""
    messages = open_graphlets(options.graphlets)
    service = Service(bootstrap, folder)
    asyncio.run(fill(bootstrap, service.names.events, PARTITIONS, messages))
    worker = service.start()
    service.follow(len(messages))
    worker.stop()
    rows = asyncio.run(ends(bootstrap, service.names.changelog, PARTITIONS))
    kept, lost, empty = [], [], []
    for _ in range(options.repeats):
        kept.append(restart(worker))
        shutil.rmtree(worker.folder)
        lost.append(restart(worker))
    fresh = Service(bootstrap, folder)
    nothing = fresh.start()
    nothing.stop()
    for _ in range(options.repeats):
        empty.append(restart(nothing))
    return [
        (
            f"{options.graphlets:,} open graphlets of {PIPELINES} pipelines (a training that runs, on data that "
            f"another execution wrote, one verdict said of each): {sum(rows):,} records in the changelog, not "
            "compacted. From the start of the process until it is ready, all partitions restored and taken over; "
            f"{times(options.repeats)}."
        ),
        "",
        *table(
            ["", "s", "s of CPU", "MiB resident"],
            [
                ["folder deleted, restored from the changelog", *cells(lost)],
                ["folder kept, restored from the local copy", *cells(kept)],
                ["nothing to restore", *cells(empty)],
            ],
        ),
    ]


def cells(restarts: list[tuple[float, float, float]]) -> list[str]:
    seconds, cpu_seconds, resident = zip(*restarts, strict=True)
    return [median(seconds, ".1f"), median(cpu_seconds, ".1f"), median(resident)]


def restart(worker: Process) -> tuple[float, float, float]:
    """Seconds until a worker is ready, those of CPU by then, and MiB resident."""
    worker.start()
    seconds = worker.ready_after()
    metrics = worker.metrics()
    worker.stop()
    return seconds, metrics["process_cpu_seconds_total"], metrics["process_resident_memory_bytes"] / MIB


def open_graphlets(count: int) -> list[bytes]:
    """Two events for each: its data is there, and its trainer runs."""
    start_ms, messages = text_to_time(START), []
    for number in range(count):
        pipeline, run, span = f"p{number % PIPELINES}", f"run{number}", [{"id": f"span{number}", "type": "Examples"}]
        common = {"pipeline": pipeline, "run": run}
        at = time_to_text(start_ms + number * 1000)
        read = {"id": f"read{number}", "type": "ExampleGen", "state": "COMPLETE"}
        train = {"id": f"train{number}", "type": "Trainer", "state": "RUNNING"}
        messages.append(orjson.dumps({**common, "time": at, "execution": read, "outputs": span}))
        messages.append(orjson.dumps({**common, "time": at, "execution": train, "inputs": span}))
    return messages
