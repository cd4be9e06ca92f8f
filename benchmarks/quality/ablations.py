"""What each part of the model gives and costs: logs folded again without it, in the same order of questions and labels.

The parts are groups of features and the members of the blend. The fleets are simulated; the log is that of the whole
model, so that all variants answer the same questions at the same moments.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import orjson

from benchmarks.quality.counterfactual import Question, question_of
from benchmarks.quality.scores import Score, score
from benchmarks.results import publish, table
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.learning.feature_space import Encoded, Floats
from stream_app.core.learning.forest import Forest
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.model import StageModel
from stream_app.core.learning.regression import Regression
from stream_app.core.learning.window import Window
from stream_app.core.outputs import STAGES, Example, StageRecord, Verdict
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

#: The first fifth of the labels is left out of a score; a correction weighs as in the learner.
LEFT_OUT, CORRECTION = 0.2, 2.0
#: Groups of features by how their names begin.
GROUPS = {
    "the rhythm of pushes": (
        "weekday", "weekend", "hour", "starts_since", "taken_rate", "due_", "hazard_", "irregular_", "runs_to_least",
        "push_days",
    ),
    "what else is under way": ("before_", "under_way", "waiting", "lately_pushed", "others_", "open"),
    "gains over the served model": ("gain.", "last_gain."),
    "measurements": ("data.", "train.", "validate."),
    "data overlaps": ("data_",),
    "code": ("code_",),
    "past outcomes": (
        "labelled", "push_rate", "last_pushed", "runs_since_push", "failed_", "last_failed", "blessed_unpushed",
        "hours_since_push", "since_push", "runs_to_usual",
    ),
    "shape and cost": ("executions", "failed_steps", "cached_steps", "repeated_steps", "cost", "train_hours"),
}  # fmt: skip


class NoForest(Forest):
    """Grows nothing, says nothing."""

    def learn(self, labels: int, window: Window) -> None:
        """Nothing is learned."""


class NoRegression(Regression):
    """Says nothing."""

    def log_odds(self, encoded: Encoded) -> float:  # noqa: ARG002
        return 0.0

    def learn(self, encoded: Encoded, label: bool, weight: float, log_odds: float) -> bool:  # noqa: ARG002
        return True

    def move(self, feature: int, old: Floats, new: Floats) -> None:
        """There is nothing to move."""


@dataclass
class Log:
    """One stage's questions and labels, in order: a label is None where the question was asked."""

    order: list[tuple[int, bool | None, float]] = field(default_factory=list)
    numbers: dict[Question, int] = field(default_factory=dict)
    records: dict[int, StageRecord] = field(default_factory=dict)


def logs_of(options: FleetOptions) -> dict[str, Log]:
    """The logs of a fleet, replayed with the whole model."""
    garbage.tune()
    learner = Learner()
    detector = Detector(Settings(), learner)
    logs = {stage: Log() for stage in STAGES}

    def ask(verdict: Verdict) -> None:
        log = logs[verdict.stage]
        number = log.numbers.setdefault(question_of(verdict), len(log.numbers))
        log.order.append((number, None, 0.0))

    def label(example: Example) -> None:
        for record in example.stages if example.pushed is not None else ():
            if record.features:
                log = logs[record.stage]
                number = log.numbers[example.graphlet, record.stage, record.validator]
                log.records.setdefault(number, record)
                weight = 1.0 if example.label_revision == 1 else CORRECTION
                log.order.append((number, bool(example.pushed), weight))

    handlers = Handlers(ask, label)
    for document in Fleet(options).events():
        dispatch(detector.step(decode(orjson.dumps(document))), learner, handlers)
    return logs


def fold(log: Log, make: Callable[[], StageModel], without: tuple[str, ...]) -> tuple[Score, float]:
    """A model's score on a log, features that begin in one of some ways left out; and its us for each label."""
    kept = {
        number: {name: value for name, value in record.features.items() if not (without and name.startswith(without))}
        for number, record in log.records.items()
    }
    model, predicted, first = make(), {}, {}
    began = time.process_time()
    for number, label, weight in log.order:
        if number not in kept:
            continue
        baseline = log.records[number].baseline
        if label is None:
            predicted[number] = model.predict(kept[number], baseline).p
        else:
            first.setdefault(number, label)
            model.admit(kept[number])
            model.learn(model.space.vector(kept[number], baseline), label, weight)
    spent = time.process_time() - began
    chosen = list(first)[int(len(first) * LEFT_OUT) :]
    pushed = np.array([first[number] for number in chosen])
    return score(pushed, np.array([predicted[number] for number in chosen])), spent / len(first) * 1e6


def whole() -> StageModel:
    return StageModel()


def curves() -> StageModel:
    model = StageModel()
    model.forest = NoForest()
    return model


def trees() -> StageModel:
    model = StageModel()
    model.regression = NoRegression()
    return model


VARIANTS: dict[str, tuple[Callable[[], StageModel], tuple[str, ...]]] = {
    "the whole model": (whole, ()),
    "without the forest": (curves, ()),
    "without the regression": (trees, ()),
    **{f"without {name}": (whole, names) for name, names in GROUPS.items()},
}


def of_fleet(options: FleetOptions) -> dict[str, list[tuple[Score, float]]]:
    """Variant -> score and cost at each stage."""
    logs = logs_of(options)
    return {name: [fold(logs[stage], *variant) for stage in STAGES] for name, variant in VARIANTS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=40)
    parser.add_argument("--days", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    found: dict[str, list[list[tuple[Score, float]]]] = defaultdict(list)
    fleets = [FleetOptions(pipelines=options.pipelines, days=options.days, seed=seed) for seed in range(options.seeds)]
    with ProcessPoolExecutor(options.processes) as pool:
        for seen in pool.map(of_fleet, fleets):
            for name, stages in seen.items():
                found[name].append(stages)
    rows = []
    full = found["the whole model"]
    for name, fleets_seen in found.items():
        cells = [name]
        for place in range(len(STAGES)):
            gaps = [
                (ours[place][0].accuracy - theirs[place][0].accuracy, ours[place][0].auc - theirs[place][0].auc)
                for ours, theirs in zip(fleets_seen, full, strict=True)
            ]
            if name == "the whole model":
                scores = [stages[place][0] for stages in fleets_seen]
                gaps = [(each.accuracy, each.auc) for each in scores]
            sign = "" if name == "the whole model" else "+"
            cells.append(
                f"{statistics.fmean(a for a, _ in gaps):{sign}.3f} / {statistics.fmean(b for _, b in gaps):{sign}.3f}"
            )
        cells.append(f"{statistics.median(us for stages in fleets_seen for _, us in stages):.0f}")
        rows.append(cells)
    lines = [
        (
            f"{options.seeds} fleets of {options.pipelines} pipelines over {options.days:g} days. Best-threshold "
            "balanced accuracy / AUC, the first fifth of the labels left out: of the whole model, and what is "
            "gained (+) or lost (-) without a part. The last column: CPU for each label and stage, prediction and "
            "learning together, reasons and features not counted."
        ),
        "",
        *table(["", *STAGES, "us"], rows),
    ]
    publish("ablations", "What each part of the model gives and costs", lines)


if __name__ == "__main__":
    main()
