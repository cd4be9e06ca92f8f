"""Whether the interval of verified savings covers the truth: what the holdout's draw would give, salt by salt.

Fleets are replayed in `observe` at 5 %, so that every run shows what it used. Then the draw of `enforce` is made for
each salt: a flagged run is stopped, and its compute from there on counts as saved but is hidden, or it is held out.
Savings see what they would see in `enforce`; the truth is known beside them. What pruning does to later runs is left
out here: that is what the closed loop shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace

import orjson

from benchmarks.results import publish, table
from stream_app.core.decisions.policy import ENFORCE, Decision, Policy, Question, hold_out
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.ids import run_graphlet_id
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.savings import Savings
from stream_app.core.outputs import CONTINUE, PRUNE, Example, StageRecord, Verdict
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

BUDGET = 0.05
Thresholds = dict[tuple[str, str, str | None], float | None]


def replayed(options: FleetOptions) -> tuple[list[Example], Thresholds]:
    """The first labels of all flagged graphlets, runs before their trainers, and the thresholds of their time."""
    garbage.tune()
    learner = Learner()
    detector = Detector(Settings(policy=Policy(budget=BUDGET)), learner)
    examples: list[Example] = []
    thresholds: Thresholds = {}

    def predict(verdict: Verdict) -> None:
        thresholds[verdict.graphlet, verdict.stage, verdict.validator] = verdict.threshold

    def label(example: Example) -> None:
        if example.pushed is not None and example.label_revision == 1 and flagged(example):
            examples.append(example)

    handlers = Handlers(predict, label)
    for document in Fleet(options).events():
        dispatch(detector.step(decode(orjson.dumps(document))), learner, handlers)
    return sorted(examples, key=lambda example: example.trainer is not None), thresholds


def flagged(example: Example) -> bool:
    return any(BUDGET in record.flagged for record in (*example.inherited, *example.stages))


def drawn(policy: Policy, examples: Iterable[Example], thresholds: Thresholds) -> tuple[Savings, float]:
    """What the draw of one salt shows, and what it truly saved."""
    savings, saved, stopped = Savings(), 0.0, set()
    for example in examples:
        subject = example.run or example.trainer or ""
        if example.trainer is not None and (example.pipeline, subject) in stopped:
            continue
        before, open_flag = 1.0, False
        shown: list[list[StageRecord]] = [[], []]
        pruned: StageRecord | None = None
        for place, records in enumerate((example.inherited, example.stages)):
            for record in records:
                open_flag = open_flag or BUDGET in record.flagged
                if pruned is None and open_flag:
                    graphlet = example.graphlet if place else run_graphlet_id(example.pipeline, example.run or "")
                    threshold = thresholds.get((graphlet, record.stage, record.validator))
                    decision = Decision(PRUNE, threshold, None, [])
                    question = Question(
                        record.stage, record.score, None, False, example.pipeline, subject, record.time_ms
                    )
                    hold_out(decision, policy, question)
                    before = min(before, decision.propensity)
                    record = replace(record, decision=decision.decision, propensity=before)
                    if decision.decision == PRUNE:
                        pruned = record
                        saved += record.actual_left
                else:
                    record = replace(record, decision=CONTINUE, propensity=before)
                shown[place].append(record)
                if pruned is not None:
                    break
        if pruned is not None and example.trainer is None:
            stopped.add((example.pipeline, subject))
        savings.add(
            replace(example, pushed=None if pruned is not None else example.pushed, inherited=shown[0], stages=shown[1])
        )
    return savings, saved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleets", type=int, default=5)
    parser.add_argument("--salts", type=int, default=200)
    parser.add_argument("--pipelines", type=int, default=80)
    parser.add_argument("--days", type=float, default=20.0)
    options = parser.parse_args()
    rows = []
    for seed in range(options.fleets):
        examples, thresholds = replayed(FleetOptions(pipelines=options.pipelines, days=options.days, seed=seed))
        covered, ratios, widths, held = 0, [], [], 0
        for salt in range(options.salts):
            policy = Policy(mode=ENFORCE, budget=BUDGET, salt=f"salt {salt}")
            savings, truth = drawn(policy, examples, thresholds)
            savings_seen = savings.saved()
            held += savings_seen.held_out
            if savings_seen.verified is not None and savings_seen.low is not None and savings_seen.high is not None:
                covered += savings_seen.low <= truth <= savings_seen.high
                ratios.append(savings_seen.verified / truth)
                widths.append(savings_seen.high / savings_seen.low if savings_seen.low > 0.0 else float("inf"))
        ordered, mid = sorted(ratios), len(ratios) // 2
        rows.append(
            [
                str(seed),
                f"{len(examples):,}",
                f"{held / options.salts:.0f}",
                f"{covered / options.salts:.1%}",
                f"{sum(ratios) / len(ratios):.2f}",
                f"{ordered[len(ordered) // 20]:.2f} to {ordered[-len(ordered) // 20]:.2f}",
                f"{sorted(widths)[mid]:.2f}",
            ]
        )
    lines = [
        (
            f"{options.fleets} fleets of {options.pipelines} pipelines over {options.days:g} days at a budget of "
            f"{BUDGET:.0%}, {options.salts} salts each. An interval should cover the truth in 95 % of draws."
        ),
        "",
        *table(
            [
                "fleet", "flagged graphlets", "held out on average", "covered", "verified over true, mean",
                "9 in 10 within", "upper over lower end, median",
            ],
            rows,
        ),
    ]  # fmt: skip
    publish("holdout", "Verified savings: does the interval cover the truth?", lines)


if __name__ == "__main__":
    main()
