"""T1: what one worker takes, and how late its verdicts are below that; the amount is seconds of the sustained load.

The unit of the saturation curve is a fifth of that long, each on a worker of its own that has caught up before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from benchmarks.workers.catchup import VERDICT_PARTITIONS, latencies, quantile
from benchmarks.workers.kafka import ends, fill, fleet, pace
from benchmarks.workers.service import LOOK_SECONDS, MIB, PARTITIONS, Sample, Service
from tests.reliability.deployment import broker

NAME = "throughput of one worker with models on, and latency along the saturation curve"
AMOUNT = 600
PIPELINES, DAY = 200, 94 * 200
#: Shares of the sustained rate.
SHARES = (25, 50, 75, 90, 100)
#: Events/s at most: what is written for a second of the sustained load.
MOST = 6_000
#: Events on which a worker has caught up before a load, for each second of it and at most.
WARM_PER_SECOND, WARM_MOST = 500, 50_000
#: The promises: events/s sustained, and ms of the 99th percentile of delays at half of that rate.
RATE, P99_MS = 2_000, 1_000


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    if all(str(share) in so_far for share in SHARES):
        return
    with broker() as bootstrap:
        if "events_per_second" not in so_far:
            so_far = {**so_far, **sustained(bootstrap, work, amount)}
            yield so_far
        for share in SHARES:
            if str(share) not in so_far:
                rate = so_far["events_per_second"] * share / 100
                so_far = {**so_far, str(share): loaded(bootstrap, work, rate, max(10, amount // 5))}
                yield so_far
    broken = []
    if so_far["events_per_second"] < RATE:
        broken.append(f"{so_far['events_per_second']} events/s, promised {RATE}")
    if so_far["50"]["p99_ms"] > P99_MS:
        broken.append(f"99 % of the verdicts within {so_far['50']['p99_ms']} ms at half of the rate, promised {P99_MS}")
    yield {**so_far, "broken": broken}


def sustained(bootstrap: str, work: Path, seconds: int) -> dict[str, Any]:
    """One worker on a backlog that it cannot finish, for so long: rate, and the slowest tenth."""
    service = Service(bootstrap, work)
    asyncio.run(fill(bootstrap, service.names.events, PARTITIONS, events(MOST * seconds)))
    service.start()
    samples = service.follow(1)[-1:]
    while samples[-1].at < samples[0].at + seconds and samples[-1].events < MOST * seconds:
        time.sleep(LOOK_SECONDS)
        samples.append(service.sample())
    service.stop()
    tenth = max(1, len(samples) // 10)
    tenths = samples[::tenth]
    return {
        "events_per_second": round(rate_of(samples[0], samples[-1])),
        "slowest_tenth": round(min(map(rate_of, tenths, tenths[1:]))),
        "seconds": round(samples[-1].at - samples[0].at),
        "mib": round(samples[-1].rss_bytes / MIB),
    }


def loaded(bootstrap: str, work: Path, rate: float, seconds: int) -> dict[str, Any]:
    """A worker that has caught up, at a steady rate: delays from event to verdict, and events left behind."""
    service = Service(bootstrap, work)
    warm = min(WARM_MOST, WARM_PER_SECOND * seconds)
    messages = events(warm + int(rate * seconds))
    asyncio.run(fill(bootstrap, service.names.events, PARTITIONS, messages[:warm]))
    service.start()
    service.follow(warm)
    tail = sorted(messages[warm:], key=lambda message: str(orjson.loads(message)["time"]))
    event_ends = asyncio.run(ends(bootstrap, service.names.events, PARTITIONS))
    verdict_ends = asyncio.run(ends(bootstrap, service.names.verdicts, VERDICT_PARTITIONS))
    began = time.monotonic()
    asyncio.run(pace(bootstrap, service.names.events, tail, rate))
    written = time.monotonic() - began
    left = len(messages) - service.sample().events
    service.follow(len(messages))
    delays = asyncio.run(latencies(service, event_ends, verdict_ends))
    service.stop()
    return {
        "events_per_second": round(len(tail) / written),
        "left_behind": round(left),
        "verdicts": len(delays),
        "p50_ms": quantile(delays, 0.5),
        "p99_ms": quantile(delays, 0.99),
        "largest_ms": delays[-1],
    }


def events(count: int) -> list[bytes]:
    return fleet(count, PIPELINES, 1 + 1.3 * count / DAY)


def rate_of(first: Sample, last: Sample) -> float:
    """Events a second between two looks."""
    return (last.events - first.events) / (last.at - first.at)
