"""Cost per event from the first tenth of a log to the last, and memory, with all invariants on.

Two logs: the Google cluster trace of 2011 as native events (real; see --google), and a simulated pipeline of 5,000
runs with one schema, a baseline and a resolver: the hubs that make a naive graph slower run by run.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from benchmarks.results import publish, table
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import dispatch
from stream_app.core.learning.learner import Learner
from stream_app.runtime import garbage
from stream_app.sources.native import decode
from stream_app.times import time_to_text

GOOGLE = Path(__file__).parents[3] / "shared" / "data" / "google-2011-jobs.jsonl.gz"
START_MS = 1_767_225_600_000
MINUTE_MS = 60_000


def hub_events(runs: int) -> Iterator[bytes]:
    """One pipeline: every run reads one schema, validates against the last pushed model, and one in ten pushes."""
    yield event(0, None, "schema", "SchemaGen", "COMPLETE", [], ["schema"])
    pushed = None
    for number in range(runs):
        run, at = f"r{number}", number * 10 * MINUTE_MS
        yield event(at, run, run, "PipelineRun", "RUNNING")
        steps = [
            ("gen", "ExampleGen", [], [f"examples{number}"]),
            ("stats", "StatisticsGen", [f"examples{number}"], [f"stats{number}"]),
            ("check", "ExampleValidator", [f"stats{number}", "schema"], [f"anomalies{number}"]),
            ("transform", "Transform", [f"examples{number}", "schema"], [f"graph{number}"]),
            ("train", "Trainer", [f"examples{number}", f"graph{number}", "schema"], [f"model{number}"]),
            ("resolve", "Resolver", [pushed] if pushed else [], [pushed] if pushed else []),
            ("eval", "Evaluator", [f"model{number}", *([pushed] if pushed else [])], [f"blessing{number}"]),
        ]
        if number % 10 == 0:
            steps.append(("push", "Pusher", [f"model{number}", f"blessing{number}"], [f"pushed{number}"]))
        for position, (name, kind, reads, writes) in enumerate(steps):
            begun = at + (position + 1) * MINUTE_MS // 2
            yield event(begun, run, f"{run}.{name}", kind, "RUNNING", reads)
            yield event(begun + MINUTE_MS // 3, run, f"{run}.{name}", kind, "COMPLETE", reads, writes)
        if number % 10 == 0:
            pushed = f"model{number}"
        yield event(at + 9 * MINUTE_MS, run, run, "PipelineRun", "COMPLETE")


def event(
    at_ms: int, run: str | None, name: str, kind: str, state: str, reads: Iterable[str] = (), writes: Iterable[str] = ()
) -> bytes:
    document: dict[str, object] = {
        "time": time_to_text(START_MS + at_ms),
        "pipeline": "hub",
        "execution": {"id": name, "type": kind, "state": state},
        "inputs": [{"id": artifact, "type": "Artifact"} for artifact in reads],
        "outputs": [{"id": artifact, "type": "Artifact"} for artifact in writes],
    }
    if run is not None:
        document["run"] = run
    return orjson.dumps(document)


def tenths(messages: Iterable[bytes], count: int) -> tuple[list[float], Detector]:
    """Microseconds of CPU an event in each tenth, models, learning and invariants on."""
    garbage.tune()
    learner = Learner()
    detector = Detector(Settings(invariants=True), learner)
    spent, last = [], time.process_time()
    for number, message in enumerate(messages, 1):
        dispatch(detector.step(decode(message)), learner)
        if number % (count // 10) == 0 and len(spent) < 10:
            now = time.process_time()
            spent.append((now - last) / (count // 10) * 1e6)
            last = now
    detector.validate()
    return spent, detector


def report(name: str, messages: Iterable[bytes], count: int) -> list[str]:
    spent, detector = tenths(messages, count)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    executions = sum(len(pipeline.executions) for pipeline in detector.pipelines.values())
    return [
        (
            f"{name}: {count:,} events, {len(detector.pipelines):,} pipelines, {executions:,} executions kept, "
            f"at most {memory:,.0f} MiB resident; all invariants held."
        ),
        "",
        *table(["tenth", *map(str, range(1, 11))], [["us an event", *(f"{us:.0f}" for us in spent)]]),
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", choices=["google", "hub"])
    parser.add_argument("--google", type=Path, default=GOOGLE, help="path of google-2011-jobs.jsonl.gz")
    parser.add_argument("--runs", type=int, default=5000)
    options = parser.parse_args()
    if options.log == "hub":
        count = sum(1 for _ in hub_events(options.runs))
        lines = report(f"One pipeline of {options.runs:,} runs with one schema", hub_events(options.runs), count)
        publish("flat-hub", "Flat cost: hubs", lines)
        return
    if not options.google.exists():
        sys.exit(f"{options.google} is not there: say where google-2011-jobs.jsonl.gz is with --google")
    with gzip.open(options.google) as stream:
        count = sum(1 for _ in stream)
    with gzip.open(options.google) as stream:
        lines = report("Google cluster trace 2011, job events", stream, count)
    publish("flat-google", "Flat cost and memory: a real stream", lines)


if __name__ == "__main__":
    main()
