"""T2: ten times the usual rate, after which everything is there; the amount is seconds of the burst."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient

from benchmarks.workers.kafka import fill, pace
from benchmarks.workers.service import MIB, PARTITIONS, Service
from tests.broker.cluster import Cluster
from tests.reliability.deployment import broker
from tests.reliability.steady import OPTIONS, WARM, check_steady, steady_fleet

NAME = "ten times the usual rate"
AMOUNT = 60
#: Events a second before the burst and in it, at most: a producer in this process takes part of a core.
RATE, TIMES = 400, 10
#: The promises: seconds until the lag has drained, and growth of memory.
DRAIN_SECONDS, GROWTH = 300, 1.5


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    if not so_far:
        with broker() as bootstrap:
            yield burst(bootstrap, work, amount)


def burst(bootstrap: str, work: Path, seconds: int) -> dict[str, Any]:
    """A usual load, the burst, and the end of its lag; no difference to the oracle."""
    service = Service(bootstrap, work, OPTIONS)
    messages = steady_fleet((1 + TIMES) * RATE * seconds)
    usual = WARM + RATE * seconds
    asyncio.run(fill(bootstrap, service.names.events, PARTITIONS, messages[:WARM]))
    service.start()
    service.follow(WARM)
    memory: list[float] = []

    def look() -> None:
        memory.append(service.sample().rss_bytes / MIB)

    asyncio.run(pace(bootstrap, service.names.events, messages[WARM:usual], RATE, look))
    before, at = max(memory), time.monotonic()
    asyncio.run(pace(bootstrap, service.names.events, messages[usual:], TIMES * RATE, look))
    written = time.monotonic() - at
    left = len(messages) - service.sample().events
    samples = service.follow(len(messages))
    drained = time.monotonic() - at - written
    metrics = service.workers[0].metrics()
    largest = max(*memory, *(sample.rss_bytes / MIB for sample in samples))
    service.stop()
    compared = asyncio.run(check(bootstrap, work, service, messages))
    return {
        "events": len(messages),
        "counted": int(metrics["stream_app_events_processed_total"]),
        "burst_events_per_second": round((len(messages) - usual) / written),
        "left_behind": round(left),
        "drain_seconds": round(drained, 1),
        "mib": [round(before), round(largest)],
        "graphlets_compared": compared,
        "broken": broken(len(messages), int(metrics["stream_app_events_processed_total"]), drained, largest / before),
    }


def broken(sent: int, counted: int, drained: float, growth: float) -> list[str]:
    """The promises that did not hold."""
    held = {
        f"I7: {counted} events counted, {sent} sent": counted == sent,
        f"the lag took {drained:.0f} s to drain, promised {DRAIN_SECONDS}": drained <= DRAIN_SECONDS,
        f"memory grew {growth:.2f} times, promised {GROWTH}": growth <= GROWTH,
    }
    return [line for line, holds in held.items() if not holds]


async def check(bootstrap: str, work: Path, service: Service, messages: list[bytes]) -> int:
    """The state of the worker is the oracle's; how many graphlets were compared."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    rows = await Cluster(bootstrap, admin, work, service.names, PARTITIONS).rows_of_core()
    admin.close()
    return check_steady(rows, messages)
