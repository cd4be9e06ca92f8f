"""What the analysis of a fleet costs beside the core without models: CPU time for each event, and memory kept."""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable

import orjson

from benchmarks.results import median, publish, table
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.core.detector import Detector, Settings
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

#: Figures are asked for so often in the last column, as by a page that somebody keeps open.
ASKED = 20


def core(messages: list[bytes]) -> Detector:
    """Decodes and steps every message; ledgers are brought up to date at the end."""
    detector = Detector(Settings())
    for message in messages:
        detector.step(decode(message))
    for pipeline in detector.pipelines:
        detector.ledger(pipeline)
    return detector


def followed(messages: list[bytes], asked: int) -> FleetAnalysis:
    """The same with the analysis, which is asked so many times, the last time at the end."""
    detector, fleet = Detector(Settings()), FleetAnalysis()
    detector.follow(fleet)
    every = len(messages) // asked + 1
    for number, message in enumerate(messages, 1):
        detector.step(decode(message))
        if number % every == 0:
            fleet.pipelines()
    fleet.pipelines()
    return fleet


def spent(job: Callable[[], object], events: int) -> float:
    """Microseconds of CPU time for each event."""
    gc.collect()
    started = time.process_time()
    job()
    return (time.process_time() - started) / events * 1e6


def bytes_kept(messages: list[bytes]) -> tuple[float, int]:
    """Bytes that the analysis keeps for each graphlet, and how many there are."""
    detector = core(messages)
    tracemalloc.start()
    fleet = FleetAnalysis()
    detector.follow(fleet)
    graphlets = sum(len(each.order.graphlets) for each in fleet.pipelines().values())
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / graphlets, graphlets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=60)
    parser.add_argument("--days", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    fleet = Fleet(FleetOptions(pipelines=options.pipelines, days=options.days, seed=0))
    messages = [orjson.dumps(event) for event in fleet.events()]
    garbage.tune()
    alone, once, often = [], [], []
    for _ in range(options.repeats):  # in turn, so that what else the machine does meets all
        alone.append(spent(lambda: core(messages), len(messages)))
        once.append(spent(lambda: followed(messages, 1), len(messages)))
        often.append(spent(lambda: followed(messages, ASKED), len(messages)))
    share = sorted(with_it / without - 1 for with_it, without in zip(once, alone, strict=True))
    kept, graphlets = bytes_kept(messages[: len(messages) // 4])
    lines = [
        (
            f"{len(messages):,} events of {options.pipelines} pipelines over {options.days:g} days, decoding included; "
            f"one process, CPU time, {options.repeats} runs in turn. Redundant work is part of the analysis."
        ),
        "",
        *table(
            ["", "us an event"],
            [
                ["core without models", median(alone, ".1f")],
                ["with the analysis, asked once at the end", median(once, ".1f")],
                [f"with the analysis, asked {ASKED} times", median(often, ".1f")],
            ],
        ),
        "",
        (
            f"Asked once, the analysis adds {100 * share[len(share) // 2]:.0f} % (pairs: {100 * share[0]:.0f} to "
            f"{100 * share[-1]:.0f} %). It keeps {kept:,.0f} bytes a graphlet, its executions included "
            f"({graphlets:,} graphlets)."
        ),
    ]
    publish("fleet-analysis", "Analysis of a fleet", lines)


if __name__ == "__main__":
    main()
