"""How throughput grows with workers on one machine."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import median, table, times
from benchmarks.workers.kafka import fill, fleet
from benchmarks.workers.service import PARTITIONS, Service


class Grown(NamedTuple):
    """What some workers did together."""

    rate: float
    cpu_us: float
    #: Cores that the workers used, and that all on this machine used.
    cores: float
    machine: float
    #: Share of the events that the busiest worker took.
    busiest: float


def run(options: Namespace, bootstrap: str, folder: Path) -> list[str]:
    """Lines of the section."""
    messages = fleet(options.events, options.pipelines, 1 + 1.3 * options.events / (94 * options.pipelines))
    found: dict[int, list[Grown]] = {workers: [] for workers in options.workers}
    for _ in range(options.repeats):
        for workers, runs in found.items():
            runs.append(grow(messages, workers, bootstrap, folder))
            print(f"{workers}: {runs[-1]}", flush=True)
    alone = [run.rate for run in found[options.workers[0]]]
    rows = [
        [
            str(workers),
            median([run.rate for run in runs]),
            median([run.rate / one for run, one in zip(runs, alone, strict=True)], ".2f"),
            median([run.cpu_us for run in runs]),
            median([run.cores for run in runs], ".2f"),
            median([run.machine for run in runs], ".2f"),
            median([run.busiest for run in runs], ".0%"),
        ]
        for workers, runs in found.items()
    ]
    head = ["workers", "events/s", "growth", "us CPU an event", "cores of workers", "cores of all", "busiest worker's"]
    return [
        (
            f"{len(messages):,} events of {options.pipelines} pipelines in {PARTITIONS} partitions, models on, written "
            "at once when all workers held partitions. Rate and CPU from the last write to the last event applied, "
            "over all workers; every worker learns every example. The machine has two cores, which the "
            f"broker and everything else that ran shared with the workers. {times(options.repeats).capitalize()}."
        ),
        "",
        *table(head, rows),
    ]


def grow(messages: list[bytes], workers: int, bootstrap: str, folder: Path) -> Grown:
    """Workers that wait for work, then get all of it."""
    service = Service(bootstrap, folder)
    service.start(workers)
    asyncio.run(fill(bootstrap, service.names.events, PARTITIONS, messages))
    busy, samples = busy_seconds(), [service.sample()]
    samples += service.follow(len(messages))
    busy = busy_seconds() - busy
    shares = [worker.metrics()["stream_app_events_processed_total"] for worker in service.workers]
    service.stop()
    assert all(before.events <= after.events for before, after in pairwise(samples))
    events = samples[-1].events - samples[0].events
    seconds = samples[-1].at - samples[0].at
    cpu_seconds = samples[-1].cpu_seconds - samples[0].cpu_seconds
    return Grown(
        events / seconds, 1e6 * cpu_seconds / events, cpu_seconds / seconds, busy / seconds, max(shares) / sum(shares)
    )


def busy_seconds() -> float:
    """CPU seconds that all processes of this machine have used since it started (Linux)."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    return (user + nice + system + irq + softirq) / 100
