"""The model of one stage: river's logistic regressions over two views of the features, blended.

Both members minimise log loss without reweighting, so that few pushes among many runs leave the
probabilities what they are; AdaGrad gives the rare indicator the large step that imbalance calls for. The
blend starts at the baseline, hence so does the model, and learns how far to trust each member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from river import linear_model, optim

from stream_app.core.blending import Blend
from stream_app.core.encoding import FeatureSpace, View, log_odds, probability

#: Labels, and among them pushes and others, before a stage answers with more than the baseline.
READY_LABELS, READY_EACH = 50, 5
#: No label counts for more than this in a model, whatever its propensity.
WEIGHT_MAX = 3.0

_LEARNING_RATE = 0.1
#: Log-odds at which an empty member starts: pushes are rare.
_INTERCEPT = -2.0


class Member:
    """A river logistic regression that refuses an update which would leave the finite numbers."""

    def __init__(self) -> None:
        self.regression = linear_model.LogisticRegression(
            optim.AdaGrad(_LEARNING_RATE), intercept_init=_INTERCEPT, intercept_lr=0.01
        )

    def log_odds(self, view: View) -> float:
        # river's public answer is a probability, from which large log-odds cannot be had back.
        return float(self.regression._raw_dot_one(view))

    def learn(self, view: View, label: bool, weight: float) -> bool:
        """Learn a label; False when that is refused, or ended in a weight that is not finite.

        From finite log-odds a step of AdaGrad is at most its learning rate, so the first check alone keeps
        the weights finite. Should some be lost all the same, those of them in this view start anew.
        """
        if math.isfinite(self.log_odds(view)):
            intercept = self.regression.intercept
            self.regression.learn_one(view, label, weight)
            if math.isfinite(self.log_odds(view)):
                return True
            self.regression.intercept = intercept
        self._repair(view)
        return False

    def _repair(self, view: View) -> None:
        weights, squares = self.regression._weights, self.regression.optimizer.g2
        if not math.isfinite(self.regression.intercept):
            self.regression.intercept = _INTERCEPT
        for key in view:
            if not math.isfinite(weights.get(key, 0.0)) or not math.isfinite(squares.get(key, 0.0)):
                weights[key] = squares[key] = 0.0

    def weight(self, key: int) -> float:
        """The weight of one key of a view."""
        return float(self.regression._weights.get(key, 0.0))


@dataclass(slots=True)
class Prediction:
    """The probability of a push at one stage. Ask for reasons before the model learns again."""

    #: Calibrated, finite, strictly inside (0, 1).
    p: float
    _model: StageModel
    #: None when the answer is the baseline itself, which has no reasons.
    _vector: list[float] | None

    def reasons(self, k: int) -> list[tuple[str, float]]:
        """The `k` features that move the answer most, with what they add to its log-odds.

        The effect of a feature is the log-odds as they are less the log-odds with this feature at its typical
        value (missing, where it mostly is). `encoding.BASELINE` stands for the past push rate.
        """
        return [] if self._vector is None else self._model.effects(self._vector)[:k]


class StageModel:
    """Predicts pushes at one stage and learns from their labels, one at a time, in the order of the log."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.space = FeatureSpace(names)
        self.members = (Member(), Member())
        self.blend = Blend(1 + len(self.members))
        self.labels = 0
        self.pushes = 0
        #: Updates that were refused because they would have left the finite numbers.
        self.discarded = 0

    @property
    def ready(self) -> bool:
        others = self.labels - self.pushes
        return self.labels >= READY_LABELS and min(self.pushes, others) >= READY_EACH

    def predict(self, features: Mapping[str, float], baseline: float) -> Prediction:
        """The calibrated probability; the baseline until `ready`. Changes nothing."""
        if not self.ready:
            return self.fallback(baseline)
        vector = self.space.vector(features, baseline)
        return Prediction(self.p(vector), self, vector)

    def fallback(self, baseline: float) -> Prediction:
        """The baseline as an answer."""
        return Prediction(probability(log_odds(baseline)), self, None)

    def p(self, vector: list[float]) -> float:
        """The probability for a vector of `space`; its baseline when the model has no finite answer."""
        answer = self.blend.log_odds(self._inputs(vector, self.space.views(vector)))
        return probability(answer if math.isfinite(answer) else vector[0])

    def _inputs(self, vector: list[float], views: tuple[View, View]) -> list[float]:
        return [vector[0], *(m.log_odds(v) for m, v in zip(self.members, views, strict=True))]

    def learn(self, vector: list[float], label: bool, weight: float) -> None:
        """Learn a label of a vector of `space`: first how far to trust the members, then they themselves."""
        weight = min(weight, WEIGHT_MAX)
        views = self.space.views(vector)
        kept = self.blend.learn(self._inputs(vector, views), label, weight)
        for member, view in zip(self.members, views, strict=True):
            kept &= member.learn(view, label, weight)
        self.space.learn(vector, views[1])
        self.discarded += not kept
        self.labels += 1
        self.pushes += label

    def effects(self, vector: list[float]) -> list[tuple[str, float]]:
        """Every feature that is not at its typical value, with its effect on the log-odds, largest first."""
        found = []
        for i, (value, typical) in enumerate(zip(vector, self.space.typical, strict=False)):
            if value != typical and (value == value or typical == typical):
                found.append((self.space.names[i], self._part(i, value) - self._part(i, typical)))
        return sorted(found, key=lambda each: (-abs(each[1]), each[0]))

    def _part(self, index: int, value: float) -> float:
        """What feature `index` adds to the log-odds at this value."""
        curve, cell = self.space.parts(index, value)
        direct, bend, step, _ = self.blend.weights
        bent = sum(amount * self.members[0].weight(key) for key, amount in curve.items())
        return bend * bent + step * self.members[1].weight(cell) + (direct * value if index == 0 else 0.0)
