"""Hands each output of a detector to its handler, and teaches the learner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Closed, Example, Output, Verdict


def ignore(_: object) -> None:
    """Does nothing with an output."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """The functions to call with each kind of output. Their results are ignored; a kind without a handler is dropped.

    Parameters
    ----------
    verdict
        Called with every revision of a verdict.
    example
        Called with every label and correction, after the learner has learned it.
    closed
        Called with the final record of every evicted graphlet.
    """

    verdict: Callable[[Verdict], object] = ignore
    example: Callable[[Example], object] = ignore
    closed: Callable[[Closed], object] = ignore


#: For callers that only want the learner taught.
NO_HANDLERS = Handlers()


def dispatch(outputs: Iterable[Output], learner: Learner | None, handlers: Handlers = NO_HANDLERS) -> None:
    """Calls the handler of every output, in order.

    Parameters
    ----------
    outputs
        What `Detector.step` or `Detector.tick` returned.
    learner
        Taught every example before its handler is called; None where examples are learned from a log.
    handlers
        What is called with each output.

    Raises
    ------
    TypeError
        An output is of no known type. The outputs before it have been handled.
    """
    for output in outputs:
        if type(output) is Verdict:
            handlers.verdict(output)
        elif type(output) is Example:
            if learner is not None:
                learner.learn(output)
            handlers.example(output)
        elif type(output) is Closed:
            handlers.closed(output)
        else:
            raise TypeError(f"no output of a detector: {type(output).__name__}")
