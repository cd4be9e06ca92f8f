"""Outputs of a detector reach their handlers in order, and the learner is taught first."""

from __future__ import annotations

from typing import Any, cast

import pytest

from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Closed, Example, Output, Verdict
from tests.support.labelled import example
from tests.support.simulated import usual_outputs

CLOSED = Closed({"graphlet": "p/1"})


def verdict() -> Verdict:
    return next(output for output in usual_outputs() if isinstance(output, Verdict))


def recording(calls: list[Output]) -> Handlers:
    return Handlers(verdict=calls.append, example=calls.append, closed=calls.append)


def test_each_output_reaches_the_handler_of_its_type() -> None:
    verdicts: list[Verdict] = []
    examples: list[Example] = []
    closed: list[Closed] = []
    one, two = verdict(), example(1, True)

    dispatch([one, two, CLOSED], None, Handlers(verdicts.append, examples.append, closed.append))

    assert (verdicts, examples, closed) == ([one], [two], [CLOSED])


def test_handlers_are_called_in_the_order_of_the_outputs() -> None:
    outputs: list[Output] = [CLOSED, example(1, True), verdict(), example(2, False), CLOSED]
    calls: list[Output] = []

    dispatch(outputs, None, recording(calls))

    assert calls == outputs


def test_the_learner_learns_an_example_before_its_handler_is_called() -> None:
    learner = Learner()
    learned: list[int] = []

    dispatch(
        [example(1, True), verdict(), example(2, False)],
        learner,
        Handlers(example=lambda _: learned.append(learner.records)),
    )

    assert learned == [1, 2]


def test_the_learner_learns_only_what_comes_before_a_verdict() -> None:
    """A verdict between two examples is handled when one of them is learned."""
    learner = Learner()
    learned: list[int] = []

    dispatch(
        [example(1, True), verdict(), example(2, False)],
        learner,
        Handlers(verdict=lambda _: learned.append(learner.records)),
    )

    assert learned == [1]


def test_without_handlers_examples_are_still_learned() -> None:
    learner = Learner()

    dispatch([verdict(), example(1, True), CLOSED], learner)

    assert learner.records == 1


def test_an_unknown_output_is_an_error() -> None:
    """A new kind of output cannot be lost in silence; what came before it has been handled."""
    calls: list[Output] = []

    with pytest.raises(TypeError, match="no output of a detector: str"):
        dispatch([CLOSED, cast(Any, "a verdict"), CLOSED], None, recording(calls))

    assert calls == [CLOSED]
