"""Prequential metrics equal their textbook definitions, and corrections leave no trace."""

from __future__ import annotations

import math
import random

import pytest

from stream_app.core.learning.prequential import Quality, Scoring


def labels(count: int, seed: int = 1, slope: float = 1.0) -> list[tuple[float, bool]]:
    """Probabilities and outcomes drawn from them; `slope` below 1 makes the probabilities too sure."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        x = draw.gauss(-1.0, 1.5)
        rows.append((1 / (1 + math.exp(-x)), draw.random() < 1 / (1 + math.exp(-slope * x))))
    return rows


def scored(rows: list[tuple[float, bool]], weight: float = 1.0) -> Quality:
    """The quality of these labels."""
    scoring = Scoring()
    for p, pushed in rows:
        scoring.add(p, pushed, weight)
    return scoring.quality()


def test_losses_and_auc_are_the_textbook_ones() -> None:
    """Log loss and Brier score exactly; AUC to within the width of a bin."""
    rows = labels(2000)
    yes, no = [p for p, pushed in rows if pushed], [p for p, pushed in rows if not pushed]
    auc = sum((a > b) + (a == b) / 2 for a in yes for b in no) / (len(yes) * len(no))
    quality = scored(rows)

    assert quality.log_loss == pytest.approx(-sum(math.log(p if pushed else 1 - p) for p, pushed in rows) / len(rows))
    assert quality.brier == pytest.approx(sum((p - pushed) ** 2 for p, pushed in rows) / len(rows))
    assert quality.auc == pytest.approx(auc, abs=1e-3)


def test_balanced_accuracy_in_hindsight_is_the_best_of_any_threshold() -> None:
    """It equals a search over all thresholds to within a bin, and the prequential one is not above it by more."""
    rows = labels(2000)
    pushed = sum(label for _, label in rows)
    best = max(
        (
            sum(label for p, label in rows if p >= cut) / pushed
            + sum(not label for p, label in rows if p < cut) / (len(rows) - pushed)
        )
        / 2
        for cut in [i / 200 for i in range(200)]
    )
    quality = scored(rows)

    assert quality.best_balanced_accuracy == pytest.approx(best, abs=0.005)
    assert quality.balanced_accuracy is not None
    assert best - 0.03 < quality.balanced_accuracy < best + 0.005


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.5])
def test_the_calibration_slope_tells_who_is_too_sure(slope: float) -> None:
    """It is 1 for calibrated probabilities and lower for those too sure of themselves."""
    assert scored(labels(5000, slope=slope)).calibration_slope == pytest.approx(slope, abs=0.1)


def test_calibration_bins_hold_a_tenth_each_and_agree_with_what_happened() -> None:
    """Ten or so bins of rising prediction, each observed about as predicted."""
    bins = scored(labels(5000)).calibration

    assert 8 <= len(bins) <= 11
    assert sum(each.weight for each in bins) == pytest.approx(5000)
    assert all(abs(each.predicted - each.observed) < 0.08 for each in bins)


def test_weights_multiply_labels() -> None:
    """A label of weight three counts as three."""
    rows = labels(500)
    heavy, many = scored(rows, 3.0), scored([row for row in rows for _ in range(3)])

    assert heavy.log_loss == pytest.approx(many.log_loss)
    assert heavy.auc == pytest.approx(many.auc)


def test_a_label_taken_back_leaves_no_trace() -> None:
    """After removing what was added the metrics are those of the rest."""
    scoring = Scoring()
    rows = labels(300)
    for p, pushed in rows:
        scoring.add(p, pushed, 1.0)
    before = scoring.quality()
    said = scoring.add(0.9, False, 4.0)
    scoring.remove(0.9, False, 4.0, said)

    assert scoring.quality().auc == pytest.approx(before.auc)
    assert scoring.quality().balanced_accuracy == pytest.approx(before.balanced_accuracy)
    assert scoring.quality().log_loss == pytest.approx(before.log_loss)


def test_without_both_classes_there_is_nothing_to_compare() -> None:
    """No labels, or labels of one class, give None rather than a number that looks like one."""
    assert scored([]).log_loss is None

    one_class = scored([(0.2, False), (0.4, False)])

    assert one_class.auc is None
    assert one_class.balanced_accuracy is None
    assert one_class.calibration_slope is None
    assert one_class.log_loss is not None


def test_probabilities_of_zero_and_one_keep_the_losses_finite() -> None:
    """A certain miss costs as much as one in a million, not infinity."""
    quality = scored([(0.0, True), (1.0, False), (0.5, True)])

    assert quality.log_loss is not None
    assert math.isfinite(quality.log_loss)
