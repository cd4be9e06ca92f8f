"""What finding redundant work costs: an index over a rolling window, and beside a detector over a simulated fleet."""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tracemalloc
from collections import Counter, defaultdict

import orjson

from benchmarks.results import median, publish, table, times
from stream_app.analysis.redundancy import RedundancyIndex, Work, affected_by, work_of
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.units import DAY_MS
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

SPANS = 7


def window(day: int) -> Work:
    """A training on the last spans."""
    reads = tuple(sys.intern(f"span-{each:06d}") for each in range(max(0, day - SPANS + 1), day + 1))
    return Work(f"t{day}", day * DAY_MS, "Trainer", "train", "c1", (), reads, reads, 0, 6000, None, True)


def put_all(works: list[Work]) -> float:
    """Microseconds of CPU time for each execution."""
    gc.collect()
    index = RedundancyIndex()
    started = time.process_time()
    for each in works:
        index.put(each)
    return (time.process_time() - started) / len(works) * 1e6


def bytes_kept(works: list[Work]) -> float:
    """Bytes for each execution, without the ids of spans, which the core keeps."""
    tracemalloc.start()
    index = RedundancyIndex()
    for each in works:
        index.put(each)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(index)


def beside_detector(events: list[Event]) -> tuple[float, float, dict[str, RedundancyIndex]]:
    """Microseconds of CPU time for each event, of the core and of the indices; and the indices by pipeline."""
    detector, indices = Detector(Settings()), defaultdict[str, RedundancyIndex](RedundancyIndex)
    core = own = 0.0
    for event in events:
        started = time.process_time()
        detector.step(event)
        stepped = time.process_time()
        pipeline = detector.pipelines[event.pipeline]
        execution = pipeline.executions[event.execution_id]
        index = indices[event.pipeline]
        for each in (execution, *affected_by(pipeline, execution)):
            found = work_of(pipeline, each, each.node_ms(1.0), None)
            if found is None:
                index.remove(each.id)
            else:
                index.put(found)
        core += stepped - started
        own += time.process_time() - stepped
    return core / len(events) * 1e6, own / len(events) * 1e6, indices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=60)
    parser.add_argument("--days", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for runs in (2_000, 20_000):
        works = [window(day) for day in range(runs)]
        spent = [put_all(works) for _ in range(options.repeats)]
        rows.append([f"{runs:,}", median(spent, ".1f"), f"{bytes_kept(works):,.0f}"])
    fleet = Fleet(FleetOptions(pipelines=options.pipelines, days=options.days, seed=1))
    events = [decode(orjson.dumps(event)) for event in fleet.events()]
    passes = [beside_detector(events) for _ in range(options.repeats)]
    found: Counter[str] = Counter()
    started = time.process_time()
    figures = [index.figures() for index in passes[0][2].values()]
    asked_ms = (time.process_time() - started) * 1e3
    for each in figures:
        for row in each.rows:
            found[row.kind] += row.node_ms
    hours = ", ".join(f"{kind} {node_ms / 3.6e6:,.0f}" for kind, node_ms in sorted(found.items()))
    own = median([own for _, own, _ in passes], ".1f")
    core = median([core for core, _, _ in passes], ".1f")
    lines = [
        f"A rolling window of {SPANS} spans in one pipeline; CPU time, {times(options.repeats)}.",
        "",
        *table(["executions", "us an execution", "bytes kept an execution"], rows),
        "",
        (
            f"Beside a detector over {len(events):,} events of {options.pipelines} simulated pipelines over "
            f"{options.days:g} days: {own} us an event, where the core without models takes {core}. The figures of "
            f"all pipelines take {asked_ms:.1f} ms. Redundant node-hours: {hours}."
        ),
    ]
    publish("redundancy", "Redundant work", lines)


if __name__ == "__main__":
    main()
