"""Waits that no push ends, and the pipelines that have them."""

from __future__ import annotations

import pytest

from stream_app.analysis.cadence import cadence_of, cadences, summary, worst
from tests.support.builders import HOUR, T0


def hours(*numbers: int) -> list[int]:
    """Times of pushes."""
    return [T0 + number * HOUR for number in numbers]


@pytest.mark.parametrize(
    ("times", "flagged", "never"),
    [
        ((0,), (1,), True),
        ((0,), (0,), False),
        ((0, 10, 20), (0, 0, 1), True),
        ((0, 10, 20), (1, 1, 0), False),
        ((20, 0, 10), (1, 0, 0), True),
        ((0, 10, 10), (0, 1, 0), False),
        ((0, 10, 10), (0, 1, 1), True),
    ],
)
def test_a_wait_has_no_end_when_the_last_push_was_flagged(
    times: tuple[int, ...], flagged: tuple[int, ...], never: bool
) -> None:
    """Or the only one, whatever the order in which they came; a push at the same time ends it."""
    assert cadence_of("p", hours(*times), flagged).never is never


def test_pipelines_that_never_push_again_are_the_worst() -> None:
    """Those with a single push among them; then come those whose waits grow most."""
    pushes = {
        "long": (hours(0, 1, 2, 3, 4), [0, 1, 1, 1, 0]),
        "only": (hours(5), [1]),
        "kept": (hours(0, 1, 2, 3), [0, 0, 0, 0]),
        "last": (hours(0, 1, 2, 3), [0, 0, 0, 1]),
        "none": (hours(), []),
    }

    found = cadences(pushes, 0)

    assert [(each.pipeline, each.never) for each in worst(found)] == [("last", True), ("only", True), ("long", False)]
    assert (summary(found).pipelines, summary(found).touched, summary(found).never) == (3, 2, 2)


def test_a_fleet_of_few_pushes_still_counts_those_lost_for_good() -> None:
    """There is no quantile of anything, but the loss is there."""
    found = summary(cadences({"only": (hours(5), [1])}, 0))

    assert (found.pipelines, found.never, found.longest_max) == (0, 1, None)
