"""What pruning does to pipelines that live on with it: pushes and their cadence, beside a twin never pruned."""

from __future__ import annotations

import argparse
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from unittest.mock import patch

import orjson

from benchmarks.results import publish, table
from stream_app.core.decisions import policy, verdicts
from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import PRUNE, Example, Guard, Verdict
from stream_app.core.state.history import History
from stream_app.core.units import HOUR_MS
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

BUDGETS = (0.01, 0.02, 0.05)


@dataclass
class Lived:
    """A fleet, in the end."""

    #: Pipeline -> times of its pushes.
    pushes: dict[str, list[int]]
    #: Node-hours used.
    cost: float
    #: When the first run was stopped; None: none was. And how many were.
    first_ms: int | None
    stopped: int


def live(options: FleetOptions, budget: float | None) -> Lived:
    """Lets a fleet live on with what a detector prunes under a budget; None: with no detector's word."""
    chosen = Policy(mode=ENFORCE, budget=budget or BUDGETS[0])
    learner = Learner(chosen.budgets) if budget is not None else None
    detector = Detector(Settings(policy=chosen), learner)
    prunes: dict[tuple[str, str | None], str | None] = {}
    first_ms: int | None = None
    fleet = Fleet(options)

    def decide(verdict: Verdict) -> None:
        if verdict.run is not None:
            prunes[verdict.pipeline, verdict.run] = verdict.id if verdict.decision == PRUNE else None

    def label(example: Example) -> None:
        nonlocal first_ms
        if example.pushed is None:
            first_ms = min(example.time_ms, first_ms or example.time_ms)

    handlers = Handlers(decide, label)
    for event in fleet.events(lambda pipeline, run: prunes.get((pipeline, run))):
        dispatch(detector.step(decode(orjson.dumps(event))), learner, handlers)
    pushes: dict[str, list[int]] = defaultdict(list)
    for graphlet in detector.graphlets():
        if graphlet["outcome"] == "pushed":
            pushes[graphlet["pipeline"]].append(graphlet["time_ms"])
    cost = sum(detector.ledger(name).total() for name in detector.pipelines) / HOUR_MS
    stopped = sum(1 for row in fleet.truth() if row["pruned_by"])
    return Lived({name: sorted(times) for name, times in pushes.items()}, cost, first_ms, stopped)


@contextmanager
def guarded(on: bool) -> Iterator[None]:
    """With the guards of cadence and of single pipelines, or without them."""
    if on:
        yield
        return

    def guard(history: History, now_ms: int, keep: bool, cost: float, cost_left: float) -> str | None:
        reason = policy.guard(history, now_ms, keep, cost, cost_left)
        return None if reason == Guard.DUE else reason

    with patch.object(verdicts, "guard", guard), patch.object(policy, "budget_guard", lambda *_: None):
        yield


def after(lived: Lived, first_ms: int) -> dict[str, list[int]]:
    """The pushes since a time, by pipeline."""
    return {name: [ms for ms in times if ms >= first_ms] for name, times in lived.pushes.items()}


def compared(lived: Lived, twin: Lived) -> dict[str, float]:
    """What became of the pushes since the first prune, as shares and hours."""
    first_ms = lived.first_ms
    if first_ms is None:
        return {"kept": 1.0, "cost": lived.cost / twin.cost, "stopped": 0.0}
    ours, theirs = after(lived, first_ms), after(twin, first_ms)
    gaps = [[(b - a) / HOUR_MS for times in pushes.values() for a, b in pairwise(times)] for pushes in (ours, theirs)]
    large = {name: len(times) for name, times in theirs.items() if len(times) >= 5}
    return {
        "kept": sum(map(len, ours.values())) / sum(map(len, theirs.values())),
        "cost": lived.cost / twin.cost,
        "stopped": float(lived.stopped),
        "median": statistics.median(gaps[0]) / statistics.median(gaps[1]),
        "p90": statistics.quantiles(gaps[0], n=10)[-1] / statistics.quantiles(gaps[1], n=10)[-1],
        "worst": min(len(ours.get(name, [])) / count for name, count in large.items()),
    }


def shown(values: list[float], percent: bool = True) -> str:
    """Mean, and its 95 % interval over the seeds (Student's t)."""
    mean = statistics.fmean(values)
    scale, unit, digits = (100.0, " %", 1) if percent else (1.0, "", 2)
    if len(values) < 2:
        return f"{mean * scale:.{digits}f}{unit}"
    quantile = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}.get(len(values), 2.26)
    reach = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean * scale:.{digits}f} ± {reach * scale:.{digits}f}{unit}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=60)
    parser.add_argument("--days", type=float, default=30.0, help="at most 37: nothing is evicted")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    garbage.tune()
    found: dict[tuple[float, bool], list[dict[str, float]]] = defaultdict(list)
    pushes = []
    for seed in range(options.seeds):
        fleet = FleetOptions(pipelines=options.pipelines, days=options.days, seed=seed)
        twin = live(fleet, None)
        pushes.append(sum(map(len, twin.pushes.values())))
        for budget in BUDGETS:
            for on in (True, False):
                with guarded(on):
                    found[budget, on].append(compared(live(fleet, budget), twin))
    rows = [
        [
            f"{budget * 100:g} %",
            "on" if on else "off",
            shown([each["kept"] for each in seen]),
            shown([1 - each["cost"] for each in seen]),
            f"{statistics.fmean(each['stopped'] for each in seen):,.0f}",
            *(shown([each.get(name, 1.0) for each in seen], percent=False) for name in ("median", "p90")),
            shown([each.get("worst", 1.0) for each in seen]),
        ]
        for (budget, on), seen in sorted(found.items(), key=lambda item: (item[0][0], not item[0][1]))
    ]
    lines = [
        (
            f"{options.seeds} fleets of {options.pipelines} pipelines over {options.days:g} days in `enforce`, each "
            f"with its twin of the same seed that is never pruned ({min(pushes)} to {max(pushes)} pushes). "
            "Counted from the first prune on; means over the fleets with 95 % intervals. Intervals between pushes "
            "are shares of the twin's; the worst pipeline is that with the smallest share kept, among those with "
            "5 pushes or more."
        ),
        "",
        *table(
            [
                "budget", "guards", "pushes kept", "compute saved, of all", "trainings stopped",
                "median interval", "90th percentile", "worst pipeline keeps",
            ],
            rows,
        ),
    ]  # fmt: skip
    publish("closed-loop", "The loop closed", lines)


if __name__ == "__main__":
    main()
