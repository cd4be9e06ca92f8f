"""What following the fleet costs the detector of `stream-app serve`, and how long it takes to make its figures.

python -m benchmarks.workers.serve_fleet
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import orjson

from benchmarks.results import median, publish, table
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.following import follow_fleet
from stream_app.core.detector import Detector
from stream_app.runtime import garbage
from stream_app.service import detector_thread
from stream_app.service.event_log import Entry, EventLog
from stream_app.service.fleet import FleetQueries
from stream_app.service.settings import EmbeddedSettings
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode


def messages(pipelines: int, days: float) -> list[bytes]:
    """The events of a simulated fleet."""
    return [orjson.dumps(each) for each in Fleet(FleetOptions(pipelines=pipelines, days=days, seed=0)).events()]


def applied(given: list[bytes], *, following: bool) -> float:
    """Events that the thread applies for each second of CPU time, saves of the state included."""
    follow = follow_fleet if following else lambda *_: FleetAnalysis()
    vars(detector_thread)["follow_fleet"] = follow
    with tempfile.TemporaryDirectory() as folder:
        log = EventLog(Path(folder) / "events.sqlite")
        log.append(Entry(0, 1_800_000_000_000, message, "native") for message in given)
        embedded = detector_thread.Embedded(log)
        began = time.process_time()
        embedded.start()
        embedded.stop()
        spent = time.process_time() - began
        log.close()
    return len(given) / spent


class _Held:
    """A lock that knows for how long it was held at most."""

    def __init__(self) -> None:
        self._lock, self._since, self.longest = threading.Lock(), 0.0, 0.0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.longest = max(self.longest, time.perf_counter() - self._since)
        self._lock.release()


def figures(pipelines: int, days: float) -> list[list[str]]:
    """Of a large fleet: seconds to make its figures, and for how long the detector waits at most."""
    settings = EmbeddedSettings()
    detector = Detector(settings.detector)
    fleet = follow_fleet(detector, settings.fleet, {})
    now, lock, rows = [0.0], _Held(), []
    last = b""
    for last in messages(pipelines, days):
        detector.step(decode(last))
    queries = FleetQueries(settings, lambda: fleet, lock, lambda: 0)  # type: ignore[arg-type]
    for what in ("for the first time, all pipelines new", "again, nothing has changed"):
        lock.longest, queries._answers._answer, began = (
            0.0,
            None,
            time.perf_counter(),
        )  # what is kept is not what is measured
        answer = queries.answer()
        now[0] = time.perf_counter() - began
        body = orjson.dumps([answer.document.figures, answer.document.redundant, answer.document.findings])
        rows.append([what, f"{now[0]:.2f}", f"{lock.longest * 1e3:.0f}", f"{len(body) / 1e6:.2f}"])
    return rows


def bytes_kept(given: list[bytes]) -> tuple[float, int]:
    """Bytes that the follower keeps for each graphlet that is kept, and how many there are."""
    settings = EmbeddedSettings()
    detector = Detector(settings.detector)
    for message in given:
        detector.step(decode(message))
    tracemalloc.start()
    fleet = follow_fleet(detector, settings.fleet, {})
    fleet.pipelines()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    graphlets = sum(len(pipeline.graphlets) for pipeline in detector.pipelines.values())
    return used / graphlets, graphlets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=10)
    parser.add_argument("--days", type=float, default=50.0)
    parser.add_argument("--large", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    garbage.tune(garbage.YOUNG_OF_SERVICES)
    given = messages(options.pipelines, options.days)
    without, following = [], []
    for _ in range(options.repeats):  # in turn, so that what else the machine does meets both
        without.append(applied(given, following=False))
        following.append(applied(given, following=True))
    shares = sorted(one / other - 1 for one, other in zip(following, without, strict=True))
    kept, graphlets = bytes_kept(given[: len(given) // 4])
    lines = [
        (
            f"The detector's thread over a log of {len(given):,} events ({options.pipelines} pipelines, "
            f"{options.days:g} days, so that work is evicted), models on, "
            f"state saved once a second; CPU time, {options.repeats} pairs."
        ),
        "",
        *table(["", "events/s"], [["without", median(without)], ["following the fleet", median(following)]]),
        "",
        (
            f"Following changes the events/s by {100 * shares[len(shares) // 2]:+.0f} % (pairs: "
            f"{100 * shares[0]:+.0f} to {100 * shares[-1]:+.0f} %), and {kept:,.0f} bytes for each of {graphlets:,} "
            "kept graphlets, its executions included."
        ),
        "",
        f"The figures of {options.large:,} pipelines over 2 days:",
        "",
        *table(["", "seconds", "longest wait of the detector, ms", "MB of `/v1/fleet`"], figures(options.large, 2.0)),
    ]
    publish("serve-fleet", "The fleet in `stream-app serve`", lines)


if __name__ == "__main__":
    main()
