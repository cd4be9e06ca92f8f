"""Whether reasons are true: the features named beside those whose move to their typical value changes the answer most.

Every sampled prediction of a replayed fleet is asked again once for each of its features, moved by itself.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping

import numpy as np
import orjson

from benchmarks.results import publish, table
from stream_app.core.decisions.verdicts import REASONS
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import dispatch
from stream_app.core.learning.feature_space import log_odds
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.model import Prediction, StageModel
from stream_app.core.outputs import STAGES
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode


class Asked(Learner):
    """A learner that checks the reasons of every so many predictions."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self._every, self._number = every, 0
        #: Stage -> for each checked prediction: whether the first named is the first, how many of those named are
        #: among as many that move most, and the moves of those named over the moves of those that move most.
        self.checked: dict[str, list[tuple[bool, float, float]]] = {stage: [] for stage in STAGES}

    def predict(self, stage: str, features: Mapping[str, float], baseline: float) -> Prediction:
        prediction = super().predict(stage, features, baseline)
        named = [name for name, _ in prediction.reasons(REASONS)]
        self._number += 1
        if named and self._number % self._every == 0:
            moves = moved(self._stages[stage].model, features, baseline)
            most = sorted(moves, key=lambda name: -moves[name])[: len(named)]
            total = sum(moves[name] for name in most)
            if total > 0.0:
                share = len(set(named) & set(most)) / len(most)
                named_share = sum(moves[name] for name in named) / total
                self.checked[stage].append((named[0] == most[0], share, named_share))
        return prediction


def moved(model: StageModel, features: Mapping[str, float], baseline: float) -> dict[str, float]:
    """Feature -> by how much the log-odds change when it has its typical value."""
    vector = model.space.vector(features, baseline)
    predicted, found = log_odds(model.p(vector)), {}
    for place, name in enumerate(model.space.names):
        changed = vector.copy()
        changed[place] = model.space.typical[place]
        same = changed[place] == vector[place] or (np.isnan(changed[place]) and np.isnan(vector[place]))
        found[name] = 0.0 if same else abs(predicted - log_odds(model.p(changed)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=40)
    parser.add_argument("--days", type=float, default=20.0)
    parser.add_argument("--every", type=int, default=20)
    options = parser.parse_args()
    garbage.tune()
    learner = Asked(options.every)
    detector = Detector(Settings(), learner)
    for document in Fleet(FleetOptions(pipelines=options.pipelines, days=options.days, seed=0)).events():
        dispatch(detector.step(decode(orjson.dumps(document))), learner)
    rows = [
        [
            stage,
            f"{len(seen):,}",
            f"{statistics.fmean(first for first, _, _ in seen):.1%}",
            f"{statistics.fmean(share for _, share, _ in seen):.1%}",
            f"{statistics.fmean(named_share for _, _, named_share in seen):.1%}",
        ]
        for stage, seen in learner.checked.items()
        if seen
    ]
    head = ["stage", "checked", "first is the first", f"of the {REASONS} named, among those that move most", "moves"]
    lines = [
        (
            f"A fleet of {options.pipelines} pipelines over {options.days:g} days, every {options.every}th prediction: "
            "each feature moved to its typical value by itself, the model asked again. The last column: what moving "
            f"those named changes, as a share of what moving the true {REASONS} changes (log-odds)."
        ),
        "",
        *table(head, rows),
    ]
    publish("reasons", "Are reasons true?", lines)


if __name__ == "__main__":
    main()
