"""The reader's words: what is missing has its time, and no reason is the name of a column."""

from __future__ import annotations

import pytest

from stream_app.analysis.summary import Act, Because
from stream_app.core.features.descriptions import UNKNOWN, WORDS, describe
from stream_app.figures.numbers import day
from stream_app.figures.wording import ACTS, BECAUSE, missing


@pytest.mark.parametrize(
    ("pushes", "days", "words"),
    [
        (15, 36.6, "15 more labelled pushes: about 37 days at your rate"),
        (1, 1.0, "1 more labelled push: about 1 day at your rate"),
        (4, 0.3, "4 more labelled pushes: less than a day at your rate"),
        (194, 1100.0, "194 more labelled pushes: about 3 years at your rate"),
        (15, None, "15 more labelled pushes: no rate of pushes is known yet, so nobody can say how long that takes"),
    ],
)
def test_what_is_missing_has_its_time(pushes: int, days: float | None, words: str) -> None:
    """At the rate so far; where there is no rate, that is said."""
    assert missing(pushes, days) == words


@pytest.mark.parametrize("name", sorted(WORDS))
def test_a_feature_that_is_not_known_is_described_too(name: str) -> None:
    """By what would be known, not by its name."""
    words = describe(name, None)

    assert words == f"not known: {UNKNOWN[name]}"
    assert "_" not in words
    assert len(words.split()) >= 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gain.train.pushed", "not known: how much better the model is than the last push (train metrics)"),
        ("last_gain.validate.mean", "not known: how much better the last model is than the usual (validate metrics)"),
        ("train.auc.to_mean", "not known: how far train.auc is off its mean"),
        ("train.auc.to_pushed", "not known: how far train.auc is off the last push's"),
        ("model_type.3", "the model's type"),
        ("train.loss", "not known: train.loss"),
    ],
)
def test_measurements_that_are_not_known_keep_the_name_that_their_owner_gave(name: str, words: str) -> None:
    """It is the reader's own word."""
    assert describe(name, None) == words


def test_everything_that_is_recommended_has_words() -> None:
    """No act and no objection is printed as its code."""
    assert (set(ACTS), set(BECAUSE)) == (set(Act), set(Because))


def test_a_day_is_written_without_its_year() -> None:
    """Below a column there is no room for more."""
    assert [day("2026-03-02"), day("2025-12-29")] == ["2 Mar", "29 Dec"]
