"""How good a series of probabilities was, and intervals over seeds."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

#: 97.5 % quantiles of Student's t by the number of seeds.
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26}


@dataclass(frozen=True)
class Score:
    """Best-threshold balanced accuracy, AUC, log loss, log-odds slope, pushes over expected in the lowest tenth."""

    accuracy: float
    auc: float
    loss: float
    slope: float
    lowest: float


def score(pushed: NDArray[np.bool_], predicted: NDArray[np.float64]) -> Score:
    """Of labels of both kinds."""
    false_alarms, hits, _ = roc_curve(pushed, predicted)
    p = np.clip(predicted, 1e-6, 1.0 - 1e-6)
    odds = np.log(p / (1.0 - p))[:, None]
    slope = LogisticRegression(C=1e6).fit(odds, pushed).coef_[0][0] if odds.std() > 1e-6 else math.nan
    lowest = np.argsort(p, kind="stable")[: max(1, len(p) // 10)]
    return Score(
        float(np.max(hits + 1.0 - false_alarms) / 2.0),
        float(roc_auc_score(pushed, p)),
        log_loss(pushed, p),
        float(slope),
        float(pushed[lowest].sum() / p[lowest].sum()),
    )


def log_loss(pushed: NDArray[np.bool_], predicted: NDArray[np.float64]) -> float:
    p = np.clip(predicted, 1e-6, 1.0 - 1e-6)
    return float(-np.mean(np.where(pushed, np.log(p), np.log(1.0 - p))))


def interval(values: list[float], digits: int = 3, scale: float = 1.0, sign: bool = False) -> str:
    """Mean and half of the 95 % interval over seeds, by Student's t."""
    finite = [value * scale for value in values if math.isfinite(value)]
    if not finite:
        return "-"
    mean = f"{statistics.fmean(finite):{'+' if sign else ''}.{digits}f}"
    if len(finite) not in STUDENT:
        return mean
    return f"{mean} ± {STUDENT[len(finite)] * statistics.stdev(finite) / math.sqrt(len(finite)):.{digits}f}"
