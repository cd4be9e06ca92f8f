"""How long a worker takes until it serves again when it has many open graphlets to restore."""

from __future__ import annotations

import asyncio
import shutil
from argparse import Namespace
from pathlib import Path

import orjson

from benchmarks.results import table
from benchmarks.worker_kafka import ends, fill
from benchmarks.worker_service import MIB, PARTITIONS, Process, Service
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
    kept = restart(worker)
    shutil.rmtree(worker.folder)
    lost = restart(worker)
    fresh = Service(bootstrap, folder)
    nothing = fresh.start()
    nothing.stop()
    empty = restart(nothing)
    return [
        (
            f"{options.graphlets:,} open graphlets of {PIPELINES} pipelines (a training that runs, on data that "
            f"another execution wrote, one verdict said of each): {sum(rows):,} records in the changelog, not "
            "compacted. From the start of the process until it is ready, all partitions restored and taken over; one "
            "run each."
        ),
        "",
        *table(
            ["", "s", "s of CPU", "MiB resident"],
            [
                ["folder deleted, restored from the changelog", *lost],
                ["folder kept, restored from the local copy", *kept],
                ["nothing to restore", *empty],
            ],
        ),
    ]


def restart(worker: Process) -> list[str]:
    """Seconds until a worker is ready, its CPU by then, and its memory."""
    worker.start()
    seconds = worker.ready_after()
    metrics = worker.metrics()
    worker.stop()
    return [
        f"{seconds:.1f}",
        f"{metrics['process_cpu_seconds_total']:.1f}",
        f"{metrics['process_resident_memory_bytes'] / MIB:,.0f}",
    ]


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
