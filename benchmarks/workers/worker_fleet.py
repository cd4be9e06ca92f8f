"""What a worker spends on the analysis of its pipelines and on publishing it: CPU time for each event, and bytes.

python -m benchmarks.workers.worker_fleet
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from benchmarks.results import median, publish, table
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.core.detector import Detector, Settings
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing import partition as module
from stream_app.kafka.processing.partition import Partition
from stream_app.kafka.records import Batch, Record
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import Restored
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions

FOLLOW = module.follow_fleet
#: Records of a batch.
BATCH = 500
#: The log time of all of them, in ms since 1970 UTC.
NOW_MS = 1_900_000_000_000


class Memory:
    """A table that keeps nothing: what a commit costs is measured elsewhere."""

    damaged, epoch, position = 0, 1, 0

    async def restore(self) -> Restored:
        return Restored({}, [])

    async def commit(self, rows: Sequence[Row], outbox: Sequence[Message], position: int) -> None:  # noqa: ARG002
        self.position = position


async def send(_: Iterable[Message]) -> None:
    """What sending costs is measured elsewhere."""


async def renamed(_: object) -> list[Message]:
    return []


class Worked:
    """A partition that has read all events.

    Parameters
    ----------
    records
        The events.
    following
        Whether it has the analysis.
    every
        Events between two publications.
    """

    def __init__(self, records: Sequence[Any], every: int, *, following: bool) -> None:
        vars(module)["follow_fleet"] = FOLLOW if following else lambda *_: FleetAnalysis()
        settings, table_ = Settings(), Memory()
        load = lambda rows: Detector.load(settings, rows, settings.learner())  # noqa: E731
        observe = lambda *_: None  # noqa: E731
        self.partition = Partition(0, 1, Names("g"), table_, load, send, Counts(), observe, renamed, fleet_seconds=0.0)  # type: ignore[arg-type]
        self.longest = 0.0
        self.published: dict[bytes, bytes] = {}
        self.records = self.bytes = 0
        gc.collect()
        began = time.process_time()
        asyncio.run(self.partition.open())
        for first in range(0, len(records), BATCH):
            asyncio.run(self.partition.apply(Batch(records[first : first + BATCH]), lambda: True))
            if (first // BATCH + 1) % max(1, every // BATCH) == 0:
                self.publish()
        self.publish()
        self.micros = (time.process_time() - began) / len(records) * 1e6

    def publish(self) -> None:
        publication = self.partition.publication
        while True:
            began = time.process_time()
            messages = publication.collect(self.partition.origin)
            self.longest = max(self.longest, time.process_time() - began)
            for message in messages:
                assert message.key is not None
                assert message.value is not None
                self.published[message.key] = message.value
                self.records, self.bytes = self.records + 1, self.bytes + len(message.value)
            if not publication.is_unfinished:
                return


def lines(worked: Worked, costs: dict[str, list[float]]) -> list[str]:
    """What is reported, given one run with everything, and the costs of all runs."""
    (alone, *_), sizes = costs.values(), sorted(map(len, worked.published.values()))
    packed = sum(len(zlib.compress(value, 1)) for value in worked.published.values())
    rows = []
    for name, micros in costs.items():
        shares = [100 * (each / base - 1) for each, base in zip(micros, alone, strict=True)]
        rows.append([name, median(micros, ".1f"), "" if micros is alone else median(shares, ".1f")])
    about = (
        f"{worked.records:,} records were published, {worked.bytes / worked.records / 1e3:.1f} kB on average. At the "
        f"end a pipeline has {sizes[len(sizes) // 2] / 1e3:.1f} kB in the median, {sizes[-1] / 1e3:.1f} kB at most, "
        f"{packed / sum(sizes):.0%} of that compressed. The longest call of `collect`: {worked.longest * 1e3:.0f} ms."
    )
    return [*table(["", "us an event", "more, %"], rows), "", about]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=30)
    parser.add_argument("--days", type=float, default=50.0)
    parser.add_argument("--every", type=int, default=12_000, help="events between two publications")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    garbage.tune()
    fleet = Fleet(FleetOptions(pipelines=options.pipelines, days=options.days, seed=0))
    records = [
        Record("g-events", 0, number, NOW_MS, 0, event["pipeline"].encode(), orjson.dumps(event), None, 0, 0, ())
        for number, event in enumerate(fleet.events())
    ]
    costs: dict[str, list[float]] = {"without the analysis": [], "with it": [], "with it, and publishing": []}
    for _ in range(options.repeats):  # in turn, so that what else the machine does meets all
        costs["without the analysis"].append(Worked(records, len(records), following=False).micros)
        costs["with it"].append(Worked(records, len(records), following=True).micros)
        worked = Worked(records, options.every, following=True)
        costs["with it, and publishing"].append(worked.micros)
    about = (
        f"A partition in memory over {len(records):,} events ({options.pipelines} pipelines, {options.days:g} days), a "
        f"model that has learned nothing, a publication every {options.every:,} events (30 s at "
        f"{options.every / 30:,.0f} events/s), or one at the end; CPU time, {options.repeats} runs each."
    )
    publish("worker-fleet", "The fleet in a worker", [about, "", *lines(worked, costs)])


if __name__ == "__main__":
    main()
