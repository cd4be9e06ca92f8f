"""The model of one stage: a regression over curves of the features, a forest, and the baseline, combined by stacking.

The regression learns quickly what each feature says by itself; the forest, renewed from the last labels, captures
interactions. The stacking starts at the baseline, and so does the model; it learns the weight of each member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stream_app.core.learning import feature_space
from stream_app.core.learning.feature_space import Encoded, FeatureSpace, Floats, Ints, probability
from stream_app.core.learning.forest import Forest
from stream_app.core.learning.regression import Regression
from stream_app.core.learning.stacking import StackingCalibrator
from stream_app.core.learning.window import Window

#: Labels, and among them pushes and others, before a stage answers with more than the baseline.
READY_LABELS, READY_EACH = 50, 5
#: The largest weight of a label in a model, whatever its propensity.
WEIGHT_MAX = 3.0
#: Number of features tested beyond the number of reasons asked for.
_TESTED = 2


@dataclass(slots=True)
class Prediction:
    """The probability of a push at one stage. Reasons must be asked for before the model learns again."""

    #: Calibrated, finite, strictly inside (0, 1).
    p: float
    _model: StageModel
    #: None when the probability is the baseline itself, which has no reasons.
    _asked: Asked | None

    def reasons(self, k: int) -> list[tuple[str, float]]:
        """The features that move the probability most.

        The effect of a feature is the log-odds as they are minus the log-odds with this feature at its typical value
        (missing, where it mostly is). The name `feature_space.BASELINE` stands for the past push rate.

        Parameters
        ----------
        k
            The most features to return.

        Returns
        -------
        list of tuple
            Names and effects in log-odds, the largest effects first.
        """
        return [] if self._asked is None else self._model.effects(self._asked, k)


@dataclass(slots=True)
class Asked:
    """A vector with its encodings for the regression and the forest, and their answers."""

    vector: Floats
    encoded: Encoded
    leaves: Ints
    #: Log-odds of the baseline, the regression, the forest.
    members: tuple[float, float, float]


class StageModel:
    """Predicts pushes at one stage and learns from their labels, one at a time, in the order of the log.

    Parameters
    ----------
    names
        Names of features known beforehand.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.space = FeatureSpace(names)
        self.regression = Regression()
        self.regression.widen(len(self.space.names))
        self.forest = Forest()
        self.stacking = StackingCalibrator(3)
        #: The last labels.
        self.window = Window()
        self.labels = 0
        self.pushes = 0
        #: Updates refused because they would have made numbers infinite.
        self.discarded = 0

    @property
    def ready(self) -> bool:
        """Whether it has seen enough labels of both classes to answer."""
        others = self.labels - self.pushes
        return self.labels >= READY_LABELS and min(self.pushes, others) >= READY_EACH

    def admit(self, names: Mapping[str, float]) -> bool:
        """Adds names of features not known yet; returns whether there were any."""
        grew = self.space.admit(names)
        if grew:
            self.regression.widen(len(self.space.names))
        return grew

    def predict(self, features: Mapping[str, float], baseline: float) -> Prediction:
        """The calibrated probability; the baseline until `ready`. It changes nothing."""
        if not self.ready:
            return self.fallback(baseline)
        asked = self.ask(self.space.vector(features, baseline))
        return Prediction(self._answer(asked), self, asked)

    def fallback(self, baseline: float) -> Prediction:
        """The baseline as a prediction."""
        return Prediction(probability(feature_space.log_odds(baseline)), self, None)

    def ask(self, vector: Floats) -> Asked:
        """The answers of the members for a vector of `space`."""
        encoded, leaves = self.space.encode(vector), self.forest.leaves(vector)
        members = (float(vector[0]), self.regression.log_odds(encoded), self.forest.log_odds(leaves))
        return Asked(vector, encoded, leaves, members)

    def _answer(self, asked: Asked) -> float:
        answer = self.stacking.log_odds(asked.members)
        return probability(answer if math.isfinite(answer) else asked.members[0])

    def p(self, vector: Floats) -> float:
        """The probability for a vector of `space`; its baseline when the answer is not finite."""
        return self._answer(self.ask(vector))

    def learn(self, vector: Floats, label: bool, weight: float) -> None:
        """Learns the label of a vector of `space`: first the weights of the members, then the members."""
        weight = min(weight, WEIGHT_MAX)
        for feature, old, new in self.space.learn(vector):
            self.regression.move(feature, old, new)
        asked = self.ask(vector)
        kept = self.stacking.learn(asked.members, label, weight)
        kept &= self.regression.learn(asked.encoded, label, weight, asked.members[1])
        self.discarded += not kept
        self.labels += 1
        self.pushes += label
        self.window.add(vector, label, weight)
        self.forest.learn(self.labels, self.window)

    def effects(self, asked: Asked, k: int) -> list[tuple[str, float]]:
        """The `k` features whose return to their typical value would change the log-odds most.

        The features with the largest estimated effect are tested one by one.
        """
        direct, curves, trees, _ = self.stacking.weights
        vector, typical, forest_odds = asked.vector, self.space.typical, asked.members[2]
        moved = curves * (self.regression.parts(asked.encoded) - self.regression.parts(self.space.usual()))
        if typical[0] == typical[0]:
            moved[0] += direct * (vector[0] - typical[0])
        per_share = trees / (probability(forest_odds) * probability(-forest_odds))
        tested = self.forest.tested(asked.leaves)
        about = np.abs(moved + per_share * self.forest.shares(asked.leaves, tested, len(vector)))
        about[(vector == typical) | (np.isnan(vector) & np.isnan(typical))] = -1.0
        first = np.argsort(-about, kind="stable")[: k + _TESTED]
        first = first[about[first] >= 0.0]
        effects = moved[first].tolist()
        if self.forest.trees:
            without = self.forest.without(vector, asked.leaves, tested, first, typical[first])
            effects = [effect + trees * (forest_odds - other) for effect, other in zip(effects, without, strict=True)]
        names = [self.space.names[i] for i in first.tolist()]
        return sorted(zip(names, effects, strict=True), key=lambda each: (-abs(each[1]), each[0]))[:k]
