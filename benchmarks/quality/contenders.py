"""Who the model is compared with, on the same features, labels and delays: daily forests, past rates, last outcomes."""

from __future__ import annotations

import time
import warnings
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import orjson
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.isotonic import IsotonicRegression

from benchmarks.quality.counterfactual import Question
from stream_app.core.outputs import Example
from stream_app.core.units import DAY_MS

#: Probabilities of a forest are kept this far from certainty.
SURE = 1e-3


@dataclass
class StageLog:
    """One stage's labelled predictions, in the order of their labels."""

    features: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    pushed: array[int] = field(default_factory=lambda: array("b"))
    asked_ms: array[int] = field(default_factory=lambda: array("q"))
    announced_ms: array[int] = field(default_factory=lambda: array("q"))
    ours: array[float] = field(default_factory=lambda: array("d"))
    rate: array[float] = field(default_factory=lambda: array("d"))
    #: The pipeline's newest outcome, as far as it was known; the past rate before any.
    last: array[float] = field(default_factory=lambda: array("d"))
    graphlets: list[str] = field(default_factory=list)
    #: At stage `validate`, which validator.
    validators: list[str | None] = field(default_factory=list)

    def note(self, example: Example, position: int) -> None:
        """Adds one stage of an example."""
        record = example.stages[position]
        self.features.append(orjson.dumps(record.features))
        self.names.append(example.pipeline)
        self.pushed.append(int(bool(example.pushed)))
        self.asked_ms.append(record.time_ms)
        self.announced_ms.append(example.announced_ms)
        self.ours.append(record.p)
        self.rate.append(record.baseline)
        known = record.features.get("last_pushed")
        self.last.append(record.baseline if known is None else 0.05 + 0.9 * known)
        self.graphlets.append(example.graphlet)
        self.validators.append(record.validator)

    def questions(self, stage: str) -> Iterator[Question]:
        """What the rows are known by."""
        return ((graphlet, stage, who) for graphlet, who in zip(self.graphlets, self.validators, strict=True))


@dataclass
class ForestAnswers:
    """The predictions of the forests: raw scores, isotonic probabilities, and the seconds of CPU they took."""

    raw: NDArray[np.float64]
    calibrated: NDArray[np.float64]
    seconds: float


def daily_forest(log: StageLog, window_ms: int | None = None, rows_most: int | None = None) -> ForestAnswers:
    """Forests fitted at each midnight on the labels until then, asked about the next day.

    100 trees, leaves of 3, balanced; probabilities by isotonic regression on out-of-bag scores; the past rate before
    the first fit. Balanced by sample, not by `class_weight="balanced"`: with that, scikit-learn 1.9 draws pushes so
    often that hardly a tree is left out of the bag for them, and the out-of-bag scores are worth nothing (AUC 0.48).

    Parameters
    ----------
    window_ms
        Older labels are left out; None: none are.
    rows_most
        At most so many of the last labels; None: all.
    """
    matrix = DictVectorizer(sparse=False, dtype=np.float32).fit_transform(map(orjson.loads, log.features))
    pushed = np.frombuffer(log.pushed, dtype=np.int8).astype(bool)
    asked, said_at = np.frombuffer(log.asked_ms, dtype=np.int64), np.frombuffer(log.announced_ms, dtype=np.int64)
    raw = np.array(np.frombuffer(log.rate))
    calibrated, began = raw.copy(), time.process_time()
    for midnight in range(int(asked.min()) // DAY_MS * DAY_MS + DAY_MS, int(asked.max()) + 1, DAY_MS):
        questions = (asked >= midnight) & (asked < midnight + DAY_MS)
        known = np.flatnonzero((said_at < midnight) & (said_at >= midnight - window_ms if window_ms else True))
        known = known[-rows_most:] if rows_most else known
        if not questions.any() or min(pushed[known].sum(), (~pushed[known]).sum()) < 2:
            continue
        forest = RandomForestClassifier(
            100, min_samples_leaf=3, class_weight="balanced_subsample", random_state=0, oob_score=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            forest.fit(matrix[known], pushed[known])
        raw[questions] = forest.predict_proba(matrix[questions])[:, 1]
        calibrated[questions] = isotonic(forest, pushed[known], raw[questions])
    return ForestAnswers(raw, calibrated, time.process_time() - began)


def isotonic(
    forest: RandomForestClassifier, pushed: NDArray[np.bool_], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scores as probabilities, by how the out-of-bag scores of the labels turned out."""
    out_of_bag = forest.oob_decision_function_[:, 1]
    finite = np.isfinite(out_of_bag)
    curve = IsotonicRegression(out_of_bounds="clip", y_min=SURE, y_max=1.0 - SURE)
    return np.asarray(curve.fit(out_of_bag[finite], pushed[finite]).predict(scores))
