"""What becomes of a model that learns only from what was left to run, with the holdout and without it.

Fleets live on in `enforce`: the outcome of what is stopped is never seen. The simulator knows the chances of every run,
stopped or not, so what the model says can be held against them. Beside it stands the same model in `observe`, which
sees every outcome.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import orjson

from benchmarks.quality.counterfactual import chances_of
from benchmarks.quality.scores import interval
from benchmarks.results import publish, table
from stream_app.core.decisions import policy
from stream_app.core.decisions.policy import ENFORCE, OBSERVE, Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import PRUNE, Example, Verdict
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

BUDGET = 0.05
ARMS = ("every outcome seen", "holdout", "no holdout")
#: The last part of the questions, in which the model has had time to drift; chances are kept off certainty.
LATE, SURE = 0.5, 1e-4
#: Of an arm: divergence from the chances; what it says over the chances, of all; less them, of what is flagged; labels;
#: runs stopped.
ArmFigures = tuple[float, float, float, int, int]


@contextmanager
def no_holdout() -> Iterator[None]:
    """Every flagged run is stopped, and no week is free."""
    with patch.object(policy, "hold_out", lambda *_: None):
        yield


def live(options: FleetOptions, mode: str) -> ArmFigures:
    """A fleet to its end; in `enforce` with what is pruned."""
    learner = Learner()
    detector = Detector(Settings(policy=Policy(mode=mode, budget=BUDGET)), learner)
    prunes: dict[tuple[str, str | None], str | None] = {}
    asked: list[tuple[str, str, float, bool]] = []
    labels, fleet = 0, Fleet(options)
    stopped: set[tuple[str, str | None]] = set()
    hook = (lambda pipeline, run: prunes.get((pipeline, run))) if mode == ENFORCE else None

    def decide(verdict: Verdict) -> None:
        below = verdict.threshold is not None and verdict.score < verdict.threshold
        asked.append((verdict.graphlet, verdict.stage, verdict.p_push, below))
        if verdict.run is not None:
            prunes[verdict.pipeline, verdict.run] = verdict.id if verdict.decision == PRUNE else None

    def label(example: Example) -> None:
        nonlocal labels
        if example.pushed is None:
            stopped.add((example.pipeline, example.run))
        labels += example.pushed is not None and example.trainer is not None

    handlers = Handlers(decide, label)
    for event in fleet.events(hook):
        dispatch(detector.step(decode(orjson.dumps(event))), learner, handlers)
    chances = chances_of(fleet.truth())
    late = [
        (chances[graphlet, stage], p, below)
        for graphlet, stage, p, below in asked[int(len(asked) * LATE) :]
        if (graphlet, stage) in chances
    ]
    flagged = [(chance, p) for chance, p, below in late if below]
    return (
        sum(divergence(chance, p) for chance, p, _ in late) / len(late),
        sum(p for _, p, _ in late) / sum(chance for chance, _, _ in late),
        sum(p - chance for chance, p in flagged) / max(1, len(flagged)),
        labels,
        len(stopped),
    )


def divergence(chance: float, p: float) -> float:
    """Kullback and Leibler's, in nats: the log loss above the least possible."""
    chance, p = (min(1.0 - SURE, max(SURE, each)) for each in (chance, p))
    return chance * math.log(chance / p) + (1.0 - chance) * math.log((1.0 - chance) / (1.0 - p))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=60)
    parser.add_argument("--days", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    garbage.tune()
    found: dict[str, list[ArmFigures]] = defaultdict(list)
    for seed in range(options.seeds):
        fleet = FleetOptions(pipelines=options.pipelines, days=options.days, seed=seed)
        found[ARMS[0]].append(live(fleet, OBSERVE))
        found[ARMS[1]].append(live(fleet, ENFORCE))
        with no_holdout():
            found[ARMS[2]].append(live(fleet, ENFORCE))
    rows = []
    for arm, seen in found.items():
        less = [ours[0] - full[0] for ours, full in zip(seen, found[ARMS[0]], strict=True)]
        rows.append(
            [
                arm,
                interval([each[0] for each in seen], 4),
                "" if arm == ARMS[0] else interval(less, 4, sign=True),
                interval([each[1] for each in seen], 2),
                interval([each[2] for each in seen], 2, 100, sign=True),
                f"{sum(each[3] for each in seen) / len(seen):,.0f}",
                f"{sum(each[4] for each in seen) / len(seen):,.0f}",
            ]
        )
    lines = [
        (
            f"{options.seeds} fleets of {options.pipelines} pipelines over {options.days:g} days at a budget of "
            f"{BUDGET:.0%}; the second half of the questions. Divergence: log loss above that of the hidden "
            "chances, in nats; "
            "less that of the same fleet with every outcome seen. Said over true: the sum of the probabilities "
            "over that of the hidden chances; below the threshold, the mean probability less the mean chance, in "
            "percentage points. Means ± half of the 95 % interval over fleets."
        ),
        "",
        *table(
            ["", "divergence", "less all seen", "said over true", "below the threshold", "labels", "runs stopped"], rows
        ),
    ]
    publish("unlabelled", "Learning from what is left", lines)


if __name__ == "__main__":
    main()
