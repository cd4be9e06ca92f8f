"""Catching up on a backlog, models on; then, with the state and model that came of it, latency at half that load."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import orjson

from benchmarks.results import table
from benchmarks.worker_kafka import ends, fill, fleet, pace, records
from benchmarks.worker_service import MIB, PARTITIONS, Sample, Service
from stream_app.kafka.placement import TICK

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
    service = Service(bootstrap, folder)
    events = service.names.events
    asyncio.run(fill(bootstrap, events, PARTITIONS, messages[:backlog]))
    worker = service.start()
    samples = service.follow(backlog)
    examples = worker.metrics()["stream_app_examples_position"]
    rate = (samples[-1].events - samples[0].events) / (samples[-1].at - samples[0].at)
    print("\n".join(caught_up(samples, examples)), flush=True)
    load = min(rate / 2, options.most)
    tail = sorted(messages[backlog : backlog + int(load * options.seconds)], key=lambda m: str(orjson.loads(m)["time"]))
    event_ends = asyncio.run(ends(bootstrap, events, PARTITIONS))
    verdict_ends = asyncio.run(ends(bootstrap, service.names.verdicts, VERDICT_PARTITIONS))
    before = service.sample()
    asyncio.run(pace(bootstrap, events, tail, load))
    after = service.follow(backlog + len(tail))[-1]
    delays = asyncio.run(latencies(service, event_ends, verdict_ends))
    service.stop()
    return [
        *caught_up(samples, examples),
        "",
        (
            f"Then {len(tail):,} further events at {load:,.0f} events/s, in order of their times: from the append of "
            f"an event to the append of the verdict it led to, both by the broker's clock, {len(delays):,} verdicts "
            f"after the first {WARM_SECONDS} s; {cpu(before, after):.0f} us CPU an event at that load."
        ),
        "",
        *table(["p50, ms", "p90, ms", "p99, ms", "largest, ms"], [[f"{quantile(delays, q):,}" for q in QUANTILES]]),
    ]


QUANTILES = (0.5, 0.9, 0.99, 1.0)


def quantile(values: list[int], share: float) -> int:
    return values[min(len(values) - 1, int(share * len(values)))]


def cpu(first: Sample, last: Sample) -> float:
    """Microseconds of CPU an event between two samples."""
    return 1e6 * (last.cpu_seconds - first.cpu_seconds) / (last.events - first.events)


def caught_up(samples: list[Sample], examples: float) -> list[str]:
    """Rate and CPU of the whole and of each fifth."""
    cuts = [samples[round(part * (len(samples) - 1) / 5)] for part in range(6)]
    spans = [("all", samples[0], samples[-1])]
    spans += [(f"fifth {number}", first, last) for number, (first, last) in enumerate(pairwise(cuts), 1)]
    rows = [
        [
            name,
            f"{(last.events - first.events) / (last.at - first.at):,.0f}",
            f"{cpu(first, last):.0f}",
            f"{(last.cpu_seconds - first.cpu_seconds) / (last.at - first.at):.2f}",
            f"{last.rss_bytes / MIB:,.0f}",
        ]
        for name, first, last in spans
        if last.events > first.events
    ]
    return [
        (
            f"One worker, models on, catching up on {samples[-1].events:,.0f} events, "
            f"{examples:,.0f} examples learned meanwhile; one run, and its fifths by time:"
        ),
        "",
        *table(["", "events/s", "us CPU an event", "cores used", "MiB resident"], rows),
    ]


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
