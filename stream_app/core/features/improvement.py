"""Features of how much better a model measures than the one that serves, turned so that more is better.

Pipelines measure different things, but in all of them a pushed model is better by the pipeline's own measure. Which way
is better is read off the metric's name; a metric whose name does not tell is ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from stream_app.core.state.history import History, Spread

_MORE = re.compile(r"acc|auc|f1|precision|recall|ndcg|score|r2|bleu|hit")
_LESS = re.compile(r"loss|err|rmse|mse|mae|mape|perplex|entropy|brier")
#: The prefix of a metric of the served model, which a validator measured beside the new one.
BASELINE = "baseline_"
PREFIXES = ("train", "validate")


def improvement_features(found: dict[str, float], history: History, numbers: Mapping[str, float]) -> None:
    """Adds the gain of this graphlet, and of the last labelled one, in units of the metric's own spread."""
    served = history.last_pushed.numbers if history.last_pushed is not None else {}
    last = history.last.numbers if history.last is not None else {}
    for name, measured in (("gain", numbers), ("last_gain", last)):
        sums: dict[str, list[float]] = {}
        for key, value in measured.items():
            prefix, _, metric = key.partition(".")
            spread = history.numbers.get(key)
            sign = direction(metric) if prefix in PREFIXES else 0
            if not sign or spread is None or spread.count < 2:
                continue
            unit = deviation(spread) * sign
            sums.setdefault(f"{name}.{prefix}.mean", []).append((value - spread.mean) / unit)
            if key in served:
                sums.setdefault(f"{name}.{prefix}.pushed", []).append((value - served[key]) / unit)
            baseline = measured.get(f"{prefix}.{BASELINE}{metric}")
            if baseline is not None:
                sums.setdefault(f"{name}.{prefix}.baseline", []).append((value - baseline) / unit)
        found.update({feature: math.fsum(values) / len(values) for feature, values in sums.items()})


@lru_cache(maxsize=10_000)
def direction(metric: str) -> int:
    """1 where more is better, -1 where less is, 0 where the name does not tell or the metric is the served model's.

    >>> direction("val_accuracy"), direction("log_loss"), direction("steps"), direction("baseline_auc")
    (1, -1, 0, 0)
    """
    name = metric.lower()
    if name.startswith(BASELINE):
        return 0
    if _LESS.search(name):
        return -1
    return 1 if _MORE.search(name) else 0


def deviation(spread: Spread) -> float:
    """Standard deviation, kept off zero relative to the mean."""
    return math.sqrt(spread.variance) + 1e-6 * abs(spread.mean) + 1e-9
