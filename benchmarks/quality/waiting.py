"""What a ladder costs: how much of the compute ahead of a flagged run is still ahead after its owner was waited for."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable

import orjson

from benchmarks.results import publish, table
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.learning.learner import Learner
from stream_app.core.operators import RUN
from stream_app.core.outputs import PRUNE, Verdict
from stream_app.core.state.entities import Execution
from stream_app.core.units import HOUR_MS
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

#: Minutes from the flag to the stop.
WAITS = (0, 10, 30, 60, 120, 240, 480)
BUDGET = 0.05


def ahead_ms(executions: Iterable[Execution], when_ms: int) -> float:
    """Node-ms that the executions of a run used after a time; a step uses its compute evenly."""
    found = 0.0
    for execution in executions:
        end_ms = execution.end_ms
        if execution.group == RUN or end_ms is None or end_ms <= when_ms:
            continue
        length_ms = max(1, end_ms - execution.start_ms)
        found += execution.node_ms(1.0) * min(1.0, (end_ms - when_ms) / length_ms)
    return found


def after_waiting(options: FleetOptions) -> list[float]:
    """Node-hours that the flagged runs of a fleet still used after each of `WAITS`; no run is stopped."""
    policy = Policy(budget=BUDGET, budgets=(BUDGET,))
    learner = Learner(policy.budgets)
    detector = Detector(Settings(policy=policy), learner)
    flagged: dict[tuple[str, str], int] = {}

    def decide(verdict: Verdict) -> None:
        if verdict.run is not None and verdict.decision == PRUNE:
            flagged.setdefault((verdict.pipeline, verdict.run), verdict.time_ms)

    handlers = Handlers(decide)
    for event in Fleet(options).events():
        dispatch(detector.step(decode(orjson.dumps(event))), learner, handlers)
    totals = [0.0] * len(WAITS)
    for (pipeline, run), flagged_ms in flagged.items():
        executions = detector.pipelines[pipeline].runs[run].executions
        for place, minutes in enumerate(WAITS):
            totals[place] += ahead_ms(executions, flagged_ms + minutes * 60_000) / HOUR_MS
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=60)
    parser.add_argument("--days", type=float, default=30.0, help="at most 37: nothing is evicted")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    garbage.tune()
    fleets = [
        after_waiting(FleetOptions(pipelines=options.pipelines, days=options.days, seed=seed))
        for seed in range(options.seeds)
    ]
    shares = [[each[place] / each[0] for each in fleets] for place in range(len(WAITS))]
    rows = [
        [f"{minutes} min", f"{statistics.median(found):.1%}", f"{min(found):.1%} to {max(found):.1%}"]
        for minutes, found in zip(WAITS, shares, strict=True)
    ]
    first = [each[0] for each in fleets]
    lines = [
        (
            f"{options.seeds} fleets of {options.pipelines} pipelines over {options.days:g} days in `observe` at "
            f"{BUDGET:.0%}. Of the compute that the flagged runs used after their flag ({min(first):,.0f} to "
            f"{max(first):,.0f} node-hours a fleet), the share that was still ahead when so much time had passed: what "
            "a stop at that moment saves, of what one at once would. A ladder that ends with `act` waits twice its "
            "`between_hours`. Medians over the fleets, and the spread."
        ),
        "",
        *table(["time from flag to stop", "still ahead", "spread"], rows),
    ]
    publish("waiting", "What waiting for the owner costs", lines)


if __name__ == "__main__":
    main()
