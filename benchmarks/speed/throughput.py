"""Events a second on one core over a simulated fleet, decoding included, and where the time goes."""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import statistics
import time
from collections import defaultdict
from pathlib import Path

import orjson

from benchmarks.results import publish, table
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import dispatch
from stream_app.core.learning.learner import Learner
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode


def decode_all(messages: list[bytes]) -> None:
    for message in messages:
        decode(message)


def detect(messages: list[bytes], models: bool) -> Detector:
    """Decodes and steps every message; with models, examples are learned at once."""
    learner = Learner() if models else None
    detector = Detector(Settings(), learner)
    for message in messages:
        dispatch(detector.step(decode(message)), learner)
    for pipeline in detector.pipelines:
        detector.ledger(pipeline)
    return detector


def rate(job: object, messages: list[bytes], *arguments: bool) -> float:
    """Events per second of CPU time."""
    gc.collect()
    started = time.process_time()
    job(messages, *arguments)  # type: ignore[operator]
    return len(messages) / (time.process_time() - started)


def shares(messages: list[bytes], models: bool) -> list[list[str]]:
    """Share of the profiled time by module, the ten largest."""
    profile = cProfile.Profile()
    profile.runcall(detect, messages, models)
    spent: dict[str, float] = defaultdict(float)
    for (file, _, _), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        path = Path(file)
        named = "river" if "river" in path.parts else f"{path.parent.name}/{path.stem}" if path.suffix else "built-in"
        spent[named] += own
    total = sum(spent.values())
    largest = sorted(spent.items(), key=lambda item: -item[1])[:10]
    return [[name, f"{100 * own / total:.0f} %"] for name, own in largest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=200)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    fleet = Fleet(FleetOptions(pipelines=options.pipelines, days=options.days, seed=0))
    messages = [orjson.dumps(event) for event in fleet.events()]
    garbage.tune()
    rows = []
    for name, job, arguments in (
        ("decoding alone", decode_all, ()),
        ("core without models", detect, (False,)),
        ("everything on, learning included", detect, (True,)),
    ):
        rates = sorted(rate(job, messages, *arguments) for _ in range(options.repeats))
        middle = statistics.median(rates)
        rows.append([name, f"{middle:,.0f}", f"{rates[0]:,.0f} to {rates[-1]:,.0f}", f"{1e6 / middle:.1f}"])
    sample = messages[: len(messages) // 4]
    lines = [
        (
            f"{len(messages):,} events of {options.pipelines} pipelines over {options.days:g} days, "
            f"{sum(map(len, messages)) / len(messages):.0f} bytes each; one process, CPU time, "
            f"median of {options.repeats} runs; all but the first line include decoding."
        ),
        "",
        *table(["", "events/s", "spread", "us an event"], rows),
        "",
        "Where the time goes (profiled on the first quarter; the profiler inflates small functions):",
        "",
        *table(["without models", ""], shares(sample, False)),
        "",
        *table(["everything on", ""], shares(sample, True)),
    ]
    publish("throughput", "Throughput of the core", lines)


if __name__ == "__main__":
    main()
