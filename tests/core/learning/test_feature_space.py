"""Whatever is sent as a feature becomes a bounded, finite, small set of weights."""

from __future__ import annotations

import math
import random

import pytest

from stream_app.core.learning.feature_space import (
    BASELINE,
    MISSING,
    NAMES_MAX,
    SLOTS,
    FeatureSpace,
    compressed,
    log_odds,
    probability,
)


def seen(values: list[float], name: str = "a") -> FeatureSpace:
    """A space that has learned one feature's values."""
    space = FeatureSpace([name])
    for value in values:
        space.learn(space.vector({name: value}, 0.2))
    return space


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "7", None, [], {}, b"1"], ids=str)
def test_what_is_no_finite_number_is_missing(value: object) -> None:
    """It becomes NaN, the mark of an absent feature."""
    assert math.isnan(compressed(value))


@pytest.mark.parametrize("value", [1e308, -1e308, 10**400, -(10**400)], ids=lambda value: str(value)[:6])
def test_what_is_too_large_is_cut(value: float) -> None:
    """It becomes a number that a mean, a weight and a sum survive."""
    assert 40.0 < abs(compressed(value)) < 41.0


def test_squashing_keeps_the_order() -> None:
    """Larger values stay larger, and signs stay."""
    values = [-1e9, -5.0, -0.1, 0.0, 0.1, 5.0, 1e9]

    assert [compressed(value) for value in values] == sorted(compressed(value) for value in values)


def encoded(space: FeatureSpace, features: dict[str, float], baseline: float = 0.2) -> dict[int, float]:
    """What a vector puts on which places, where it puts anything."""
    found = space.encode(space.vector(features, baseline))
    return {
        encode: amount for encode, amount in zip(found.slots.tolist(), found.amounts.tolist(), strict=True) if amount
    }


def test_a_value_lies_on_neighbouring_knots_in_full() -> None:
    """Present features put a weight of 1 on their knots in all, absent ones 1 on their absence."""
    draw = random.Random(1)
    space = FeatureSpace(["a", "b"])
    for _ in range(100):
        space.learn(space.vector({"a": draw.gauss(0, 1), "b": draw.random()}, draw.random()))
    found = encoded(space, {"a": 0.3}, 0.4)
    knots = {encode % SLOTS: amount for encode, amount in found.items() if encode // SLOTS == 1}

    assert sum(knots.values()) == pytest.approx(1.0)
    assert len(knots) == 2
    assert max(knots) - min(knots) == 1
    assert found[2 * SLOTS + MISSING] == 1.0


def test_a_value_at_a_knot_or_beyond_the_ends_lies_on_one() -> None:
    """Curves are level beyond their ends."""
    space = seen([i / 10 for i in range(100)])
    knots = space.knots(1)

    for value, knot in ((float(knots[2]), 2), (-1e9, 0), (1e9, len(knots) - 1)):
        assert {encode: amount for encode, amount in encoded(space, {"a": value}).items() if encode >= SLOTS} == {
            SLOTS + knot: 1.0
        }


def test_what_is_always_so_says_nothing() -> None:
    """A constant, and the absence of what is mostly absent, put nothing; the rare presence does."""
    space = FeatureSpace(["constant", "rare"])
    for _ in range(100):
        space.learn(space.vector({"constant": 7.0}, 0.2))

    assert {encode // SLOTS for encode in encoded(space, {"constant": 7.0})} <= {0}
    assert {encode for encode in encoded(space, {"rare": 1.0}) if encode >= SLOTS} == {SLOTS + MISSING, 2 * SLOTS}


def test_knots_follow_heavy_tails() -> None:
    """Quantiles put knots where the values are, so one enormous value takes no room from the rest."""
    draw = random.Random(1)
    space = seen([draw.lognormvariate(0.0, 2.0) for _ in range(2000)] + [1e9])

    assert sum(1 for knot in space.knots(1) if knot < compressed(20.0)) >= 6


def test_a_flag_has_two_knots_and_a_constant_one() -> None:
    """A feature gets no more knots than it has values."""
    assert len(seen([float(i % 3 == 0) for i in range(300)]).knots(1)) == 2
    assert len(seen([4.0] * 300).knots(1)) == 1


def test_the_typical_value_is_the_median_or_missing() -> None:
    """A rare flag is typically 0; a feature mostly absent is typically absent."""
    assert seen([float(i % 5 == 0) for i in range(300)]).typical[1] == 0.0

    space = FeatureSpace(["a"])
    for number in range(300):
        space.learn(space.vector({"a": 1.0} if number % 3 == 0 else {}, 0.2))

    assert math.isnan(space.typical[1])


def test_names_are_bounded_and_keep_their_places() -> None:
    """New names go behind the old, so old vectors stay valid; beyond the bound they are ignored."""
    space = FeatureSpace(["m"])
    assert space.admit({"z": 1.0, "a": 1.0})
    assert not space.admit({"a": 1.0})
    assert space.names == [BASELINE, "m", "a", "z"]

    space.admit([f"n{i}" for i in range(1000)])

    assert len(space.names) == NAMES_MAX
    assert len(space.vector({"n999": 1.0}, 0.2)) == NAMES_MAX


def test_log_odds_and_probabilities_stay_finite() -> None:
    """At the ends, beyond them and for no number at all."""
    assert all(math.isfinite(log_odds(p)) for p in (0.0, 1.0, -3.0, 7.0, math.nan))
    assert all(0.0 < probability(odds) < 1.0 for odds in (-1e9, 0.0, 1e9))
    assert probability(log_odds(0.37)) == pytest.approx(0.37)
