"""Figures of a fleet's truth: how much was pushed and wasted, and how well that can be predicted at best."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stream_app.core.outputs import STAGES


@dataclass(frozen=True)
class FleetSummary:
    """Figures of one fleet."""

    #: Events handed out; 0 where only truth was looked at.
    events: int
    #: Trainers that started, and those whose model was pushed.
    trained: int
    pushed: int
    #: Node-seconds of all that led to a trainer, and the share of it that led to no push.
    cost_node_seconds: float
    wasted_share: float
    #: Stage -> the best balanced accuracy that any threshold on the hidden chances reaches.
    best_balanced_accuracy: dict[str, float]

    @property
    def pushed_share(self) -> float:
        """Pushed models per trained one."""
        return self.pushed / self.trained if self.trained else 0.0


class TruthSums:
    """Sums over truth rows, in 17 bytes a row and stage."""

    def __init__(self) -> None:
        self.trained = self.pushed = 0
        self.cost = self.wasted = 0.0
        self._chances = {stage: (array("d"), bytearray()) for stage in STAGES}

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row."""
        pushed, cost = bool(row["pushed"]), float(row["cost_node_seconds"])
        self.trained += 1
        self.pushed += pushed
        self.cost += cost
        self.wasted += 0.0 if pushed else cost
        for stage, p in row["p"].items():
            chances, labels = self._chances[stage]
            chances.append(p)
            labels.append(pushed)

    def summary(self, events: int = 0) -> FleetSummary:
        """The figures so far."""
        return FleetSummary(
            events=events,
            trained=self.trained,
            pushed=self.pushed,
            cost_node_seconds=self.cost,
            wasted_share=self.wasted / self.cost if self.cost else 0.0,
            best_balanced_accuracy={
                stage: best_balanced_accuracy(chances, labels) for stage, (chances, labels) in self._chances.items()
            },
        )


def summarise(rows: Iterable[Mapping[str, Any]]) -> FleetSummary:
    """The figures of truth rows, such as those of `Fleet.truth`."""
    sums = TruthSums()
    for row in rows:
        sums.add(row)
    return sums.summary()


def best_balanced_accuracy(chances: Iterable[float], pushed: Iterable[int]) -> float:
    """The balanced accuracy of the best threshold; 0.5 where one of the two classes is empty.

    >>> best_balanced_accuracy([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0])
    0.75
    """
    pairs = sorted(zip(chances, pushed, strict=True), reverse=True)
    positives = sum(label for _, label in pairs)
    negatives = len(pairs) - positives
    if not positives or not negatives:
        return 0.5
    best, hits, alarms = 0.5, 0, 0
    for place, (chance, label) in enumerate(pairs):
        hits += label
        alarms += not label
        if place + 1 == len(pairs) or pairs[place + 1][0] != chance:
            best = max(best, (hits / positives + 1.0 - alarms / negatives) / 2.0)
    return best
