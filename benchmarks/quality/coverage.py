"""Whether budgets keep their promise: which pushes were flagged, when, at which stage, of which pipelines."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.quality.counterfactual import flags_of
from benchmarks.quality.scores import interval
from benchmarks.results import table
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import STAGES, Example
from stream_app.core.units import DAY_MS

#: A pipeline is young for so many labels.
YOUNG = 20
BUDGETS = (0.01, 0.02, 0.05, 0.1)
#: Days to a step over time; a pipeline with fewer pushes is not looked at by itself.
STEP_DAYS, PUSHES_LEAST = 4, 5


@dataclass
class Coverage:
    """The pushes of one fleet and the budgets that flagged them."""

    start_ms: int | None = None
    #: One for each push: the step it was asked in, whether its pipeline was young, its pipeline.
    pushes: list[tuple[int, bool, str]] = field(default_factory=list)
    #: Budget -> numbers of flagged pushes; and where each was flagged first.
    flagged: dict[float, list[int]] = field(default_factory=lambda: defaultdict(list))
    first_at: dict[tuple[float, str], int] = field(default_factory=lambda: defaultdict(int))
    labels: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    #: Labels while whose learning a budget's flags were stopped.
    stopped: dict[float, int] = field(default_factory=lambda: defaultdict(int))
    learned: int = 0

    def note(self, example: Example, learner: Learner) -> None:
        """Takes in one label."""
        self.learned += 1
        for budget in BUDGETS:
            self.stopped[budget] += learner.flags_stopped(budget)
        records = (*example.inherited, *example.stages)
        if example.label_revision == 1 and example.pushed is not None and example.trainer is not None:
            self.labels[example.pipeline] += 1
        if not (example.pushed and example.trainer is not None and records):
            return
        asked_ms = records[0].time_ms
        self.start_ms = asked_ms if self.start_ms is None else min(self.start_ms, asked_ms)
        step = (asked_ms - self.start_ms) // (STEP_DAYS * DAY_MS)
        for budget in flags_of(example):
            self.flagged[budget].append(len(self.pushes))
            self.first_at[budget, next(record.stage for record in records if budget in record.flagged)] += 1
        self.pushes.append((step, self.labels[example.pipeline] <= YOUNG, example.pipeline))

    def share(self, budget: float, step: int | None = None, young: bool | None = None) -> float:
        """Share of pushes flagged, of all or of some; NaN where there are fewer than ten."""
        chosen = {
            number
            for number, (at, is_young, _) in enumerate(self.pushes)
            if step in (None, at) and young in (None, is_young)
        }
        hits = sum(1 for number in self.flagged[budget] if number in chosen)
        return hits / len(chosen) if len(chosen) >= 10 else float("nan")

    def worst(self, budget: float) -> float:
        """The largest share of a pipeline's last 20 pushes that was flagged at any time; 0 where none has enough."""
        flagged, by_pipeline = set(self.flagged[budget]), defaultdict(list)
        for number, (_, _, pipeline) in enumerate(self.pushes):
            by_pipeline[pipeline].append(number in flagged)
        # The cap is on the last 20, absent ones counted as not flagged: a pipeline's first flags are no breach.
        return max(
            (
                sum(flags[max(0, end - 20) : end]) / 20
                for flags in by_pipeline.values()
                if len(flags) >= PUSHES_LEAST
                for end in range(1, len(flags) + 1)
            ),
            default=0.0,
        )


def coverage_lines(seen: list[Coverage]) -> list[str]:
    """Shares of pushes flagged, in per cent: all, young and other pipelines, by stage, over time."""
    rows = []
    steps = min(max((step for step, _, _ in each.pushes), default=0) + 1 for each in seen)
    for budget in BUDGETS:
        whole = [
            interval([each.share(budget) for each in seen], 2, 100),
            interval([each.share(budget, young=True) for each in seen], 1, 100),
            interval([each.share(budget, young=False) for each in seen], 1, 100),
        ]
        stages = [
            interval([each.first_at[budget, stage] / max(1, len(each.pushes)) for each in seen], 2, 100)
            for stage in STAGES[:3]
        ]
        rows.append(
            [
                f"{budget:.0%}",
                *whole,
                *stages,
                f"{max(each.worst(budget) for each in seen):.0%}",
                interval([each.stopped[budget] / max(1, each.learned) for each in seen], 1, 100),
            ]
        )
    over_time = [
        [f"{budget:.0%}", *(interval([each.share(budget, step) for each in seen], 1, 100) for step in range(steps))]
        for budget in BUDGETS
    ]
    return [
        (
            "Pushes flagged, in per cent of the pushes: of all, of pipelines with at most 20 labels, of the others; by "
            "the stage of the first flag; the most that any pipeline had among its last 20; and the share of "
            "time (in labels) during which the watch had stopped the flags."
        ),
        "",
        *table(
            ["budget", "all", "young", "others", *STAGES[:3], "worst pipeline", "stopped"],
            rows,
        ),
        "",
        "The same over time, by four days in which the pushed run began.",
        "",
        *table(["budget", *(f"{STEP_DAYS * n + 1}-{STEP_DAYS * (n + 1)}" for n in range(steps))], over_time),
    ]
