"""What was learned is remembered for the retention, and no longer."""

from __future__ import annotations

from array import array

import pytest

from stream_app.core.learning import seen_examples
from stream_app.core.learning.seen_examples import RETENTION_MS, SeenExamples
from stream_app.core.units import DAY_MS
from tests.support.labelled import example

NOTHING = array("d")


def test_a_label_is_known_once_kept_and_so_are_earlier_ones() -> None:
    """The correction overtakes the first label; the next revision is news."""
    memory = SeenExamples()
    memory.keep(example(1, True, revision=2), NOTHING)

    assert memory.known(example(1, True, revision=2))
    assert memory.known(example(1, False, revision=1))
    assert not memory.known(example(1, True, revision=3))
    assert not memory.known(example(2, True))


def test_what_was_counted_comes_back() -> None:
    """The numbers kept with a label are there for its correction."""
    memory = SeenExamples()
    memory.keep(example(1, False), array("d", [1.0, 2.0]))

    assert memory.counted(example(1, True, revision=2)) == array("d", [1.0, 2.0])
    assert memory.counted(example(2, True)) is None


def test_a_corrected_graphlet_is_kept_for_the_retention_after_its_correction() -> None:
    """The first label's age does not take the correction with it."""
    memory = SeenExamples()
    memory.keep(example(1, False, time_ms=0), NOTHING)
    memory.keep(example(1, True, time_ms=RETENTION_MS, revision=2), NOTHING)
    memory.keep(example(2, True, time_ms=RETENTION_MS + 1), NOTHING)

    assert memory.known(example(1, True, revision=2))


def test_a_memory_is_as_long_as_it_is_told() -> None:
    """A label of the first minute is known until the whole day that it was said on is older than the retention."""
    memory = SeenExamples(60 * DAY_MS)
    memory.keep(example(1, False, time_ms=0), NOTHING)
    memory.keep(example(2, False, time_ms=61 * DAY_MS - 1), NOTHING)
    before = memory.known(example(1, False))
    memory.keep(example(3, False, time_ms=62 * DAY_MS), NOTHING)

    assert before
    assert not memory.known(example(1, False))
    assert memory.known(example(2, False))


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the pipeline silent longest is forgotten whole, and its graphlets are counted."""
    monkeypatch.setattr(seen_examples, "GRAPHLETS_MAX", 10)
    memory = SeenExamples()
    for number in range(30):
        memory.keep(example(number, False, pipeline=f"p{number // 3}"), NOTHING)

    assert memory.known(example(29, False, pipeline="p9"))
    assert not memory.known(example(0, False, pipeline="p0"))
    assert memory.forgotten == 21


def test_what_is_older_than_the_retention_is_not_counted_as_forgotten() -> None:
    """Nothing corrects it any more."""
    memory = SeenExamples(DAY_MS)
    memory.keep(example(1, False, time_ms=0), NOTHING)
    memory.keep(example(2, False, time_ms=9 * DAY_MS), NOTHING)

    assert not memory.known(example(1, False))
    assert memory.forgotten == 0
