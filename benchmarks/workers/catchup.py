"""Catching up on a backlog, models on; then, with the state and model that came of it, latency at half that load."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import orjson

from benchmarks.results import median, table, times
from benchmarks.workers.kafka import ends, fill, fleet, pace, records
from benchmarks.workers.service import MIB, PARTITIONS, Sample, Service
from stream_app.kafka.processing.partitioner import TICK


class Run(NamedTuple):
    """What one worker did."""

    #: While it caught up.
    samples: list[Sample]
    #: Learned by then.
    examples: float
    #: Events/s afterwards; milliseconds from events to verdicts under it, sorted; microseconds of CPU an event.
    load: float
    delays: list[int]
    cpu_us: float


#: Of the topic of verdicts.
VERDICT_PARTITIONS = 4
#: Seconds at the beginning of the load that do not count.
WARM_SECONDS = 5


def run(options: Namespace, bootstrap: str, folder: Path) -> list[str]:
    """Lines of the section."""
    backlog, per_day = options.events, 94 * options.pipelines
    # The fleet is made before anything is measured; the load takes what it needs of the rest.
    spare = options.seconds * options.most
    messages = fleet(backlog + spare, options.pipelines, 1 + 1.3 * (backlog + spare) / per_day)
    runs = []
    for number in range(options.repeats):
        runs.append(catch_up(options, messages, bootstrap, folder))
        print(f"{number + 1}: {cells([runs[-1]])}", flush=True)
    return [
        (
            f"One worker, models on, catching up on {backlog:,} events, {runs[0].examples:,.0f} examples learned "
            f"meanwhile; {times(len(runs))}, with fifths by time:"
        ),
        "",
        *table(["", "events/s", "us CPU an event", "cores used", "MiB resident"], cells(runs)),
        "",
        (
            f"Then {runs[0].load:,.0f} events/s for {options.seconds} s, in order of their times: from the append of "
            f"an event to the append of the verdict it led to, both by the broker's clock, {len(runs[0].delays):,} "
            f"verdicts after the first {WARM_SECONDS} s; {median([run.cpu_us for run in runs])} us CPU an event at "
            f"that load, which is half of the rate above, and at most {options.most:,}."
        ),
        "",
        *table(
            ["p50, ms", "p90, ms", "p99, ms", "largest, ms"],
            [[median([quantile(run.delays, q) for run in runs]) for q in QUANTILES]],
        ),
    ]


def catch_up(options: Namespace, messages: list[bytes], bootstrap: str, folder: Path) -> Run:
    """A worker of its own on the backlog, then under the load."""
    backlog = options.events
    service = Service(bootstrap, folder)
    events = service.names.events
    asyncio.run(fill(bootstrap, events, PARTITIONS, messages[:backlog]))
    worker = service.start()
    samples = service.follow(backlog)
    examples = worker.metrics()["stream_app_examples_position"]
    rate = (samples[-1].events - samples[0].events) / (samples[-1].at - samples[0].at)
    load = min(rate / 2, options.most)
    tail = sorted(messages[backlog : backlog + int(load * options.seconds)], key=lambda m: str(orjson.loads(m)["time"]))
    event_ends = asyncio.run(ends(bootstrap, events, PARTITIONS))
    verdict_ends = asyncio.run(ends(bootstrap, service.names.verdicts, VERDICT_PARTITIONS))
    before = service.sample()
    asyncio.run(pace(bootstrap, events, tail, load))
    after = service.follow(backlog + len(tail))[-1]
    delays = asyncio.run(latencies(service, event_ends, verdict_ends))
    service.stop()
    return Run(samples, examples, load, delays, cpu(before, after))


QUANTILES = (0.5, 0.9, 0.99, 1.0)


def quantile(values: list[int], share: float) -> int:
    return values[min(len(values) - 1, int(share * len(values)))]


def cpu(first: Sample, last: Sample) -> float:
    """Microseconds of CPU an event between two samples."""
    return 1e6 * (last.cpu_seconds - first.cpu_seconds) / (last.events - first.events)


def cells(runs: list[Run]) -> list[list[str]]:
    """Rate, CPU and memory of the whole and of each fifth."""
    spans = [spans_of(run.samples) for run in runs]
    return [
        [
            name,
            median([(last.events - first.events) / (last.at - first.at) for first, last in pairs]),
            median([cpu(first, last) for first, last in pairs]),
            median([(last.cpu_seconds - first.cpu_seconds) / (last.at - first.at) for first, last in pairs], ".2f"),
            median([last.rss_bytes / MIB for _, last in pairs]),
        ]
        for name, pairs in ((name, [each[name] for each in spans if name in each]) for name in spans[0])
    ]


def spans_of(samples: list[Sample]) -> dict[str, tuple[Sample, Sample]]:
    """The first and last sample of the whole and of each fifth in which anything was done."""
    cuts = [samples[round(part * (len(samples) - 1) / 5)] for part in range(6)]
    spans = {"all": (samples[0], samples[-1])}
    spans |= {f"fifth {number}": pair for number, pair in enumerate(pairwise(cuts), 1)}
    return {name: (first, last) for name, (first, last) in spans.items() if last.events > first.events}


async def latencies(service: Service, event_ends: list[int], verdict_ends: list[int]) -> list[int]:
    """Milliseconds from append to append, sorted: a verdict bears the time of the event that led to it."""
    appended: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in await records(service.bootstrap, service.names.events, event_ends):
        if TICK in dict(record.headers):
            continue
        event = orjson.loads(record.value)
        appended[event["pipeline"], instant(event["time"])].append(record.timestamp)
    begin = min(min(times) for times in appended.values()) + 1000 * WARM_SECONDS
    delays = []
    for record in await records(service.bootstrap, service.names.verdicts, verdict_ends):
        verdict = orjson.loads(record.value)
        times = sorted(appended.get((verdict["pipeline"], instant(verdict["time"])), ()))
        place = bisect_right(times, record.timestamp)
        if place and times[place - 1] >= begin:
            delays.append(record.timestamp - times[place - 1])
    return sorted(delays)


def instant(text: str) -> str:
    """A time in one of the forms that mean the same."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return f"{whole}.{fraction.ljust(3, '0')[:3]}"
