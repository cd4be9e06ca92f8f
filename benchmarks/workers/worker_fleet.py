"""What a worker spends on the analysis of its pipelines and on publishing it: CPU time for each event, and bytes.

python -m benchmarks.workers.worker_fleet
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from benchmarks.results import median, publish, table
from stream_app.core.detector import Detector, Settings
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.partition import Partition
from stream_app.kafka.records import Batch, Record
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import Restored
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions

#: Records of a batch.
BATCH = 500
#: The log time of all of them, in ms since 1970 UTC.
NOW_MS = 1_900_000_000_000


class Timed:
    """Counts the CPU time of some methods.

    Parameters
    ----------
    target, names
        The object, and its methods.
    """

    def __init__(self, target: object, *names: str) -> None:
        self.seconds = self.longest = 0.0
        for name in names:
            setattr(target, name, self._timed(getattr(target, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began = time.process_time()
            try:
                return method(*arguments)
            finally:
                spent = time.process_time() - began
                self.seconds += spent
                self.longest = max(self.longest, spent)

        return timed


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
    every
        Events between two publications.
    """

    def __init__(self, records: Sequence[Any], every: int) -> None:
        settings, table_ = Settings(), Memory()
        load = lambda rows: Detector.load(settings, rows, settings.learner())  # noqa: E731
        observe = lambda *_: None  # noqa: E731
        self.partition = Partition(0, 1, Names("g"), table_, load, send, Counts(), observe, renamed, fleet_seconds=0.0)  # type: ignore[arg-type]
        self.published: dict[bytes, bytes] = {}
        self.records = self.bytes = 0
        gc.collect()
        began = time.process_time()
        asyncio.run(self.partition.open())
        self.settling = Timed(self.partition._fleet, "before_eviction", "after_eviction", "take_rows")
        self.publishing = Timed(self.partition.publication, "collect")
        for first in range(0, len(records), BATCH):
            asyncio.run(self.partition.apply(Batch(records[first : first + BATCH]), lambda: True))
            if (first // BATCH + 1) % max(1, every // BATCH) == 0:
                self.publish()
        self.publish()
        self.micros = (time.process_time() - began) / len(records) * 1e6
        self.own = (self.settling.seconds + self.publishing.seconds) / len(records) * 1e6

    def publish(self) -> None:
        publication = self.partition.publication
        while True:
            messages = publication.collect(self.partition.origin)
            for message in messages:
                assert message.key is not None
                assert message.value is not None
                self.published[message.key] = message.value
                self.records, self.bytes = self.records + 1, self.bytes + len(message.value)
            if not publication.is_unfinished:
                return


def lines(runs: Sequence[Worked]) -> list[str]:
    """What is reported of some runs."""
    worked = runs[0]
    sizes = sorted(map(len, worked.published.values()))
    packed = sum(len(zlib.compress(value, 1)) for value in worked.published.values())
    share = median([100 * run.own / (run.micros - run.own) for run in runs], ".1f")
    rows = [
        ["all of it", median([run.micros for run in runs], ".1f")],
        ["the analysis, with what it publishes", median([run.own for run in runs], ".1f")],
    ]
    about = (
        f"The analysis adds {share} % to the rest. {worked.records:,} records were published, "
        f"{worked.bytes / worked.records / 1e3:.1f} kB on average. At the end a pipeline has "
        f"{sizes[len(sizes) // 2] / 1e3:.1f} kB in the median, {sizes[-1] / 1e3:.1f} kB at most, "
        f"{packed / sum(sizes):.0%} of that compressed. The longest call of `collect`: "
        f"{max(run.publishing.longest for run in runs) * 1e3:.0f} ms."
    )
    return [*table(["", "us an event"], rows), "", about]


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
    runs = [Worked(records, options.every) for _ in range(options.repeats)]
    about = (
        f"A partition in memory over {len(records):,} events ({options.pipelines} pipelines, {options.days:g} days), a "
        f"model that has learned nothing, a publication every {options.every:,} events (30 s at "
        f"{options.every / 30:,.0f} events/s); CPU time, {options.repeats} runs, each by itself a comparison. That the "
        "core lists what changed is not counted."
    )
    publish("worker-fleet", "The fleet in a worker", [about, "", *lines(runs)])


if __name__ == "__main__":
    main()
