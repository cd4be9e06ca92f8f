"""What people have decided about a run, as far as their acts are known."""

from __future__ import annotations

from collections.abc import Iterator

from stream_app.core.acts import KEEP, PROLONG, UNTIL, VALUE, WRONG, ActOn, act_id
from stream_app.core.properties import is_true
from stream_app.core.state.entities import Execution, Subject
from stream_app.core.state.pipeline import Pipeline

#: Acts by which a run goes on, and the words for them; the first that holds names it.
WORDS = {WRONG: "wrong", KEEP: "keep"}


def acts_on(pipeline: Pipeline, subject: Subject, *kinds: str) -> Iterator[Execution]:
    """The acts of some kinds on the run of a subject, or on a trainer that is in no run.

    Parameters
    ----------
    pipeline
        The pipeline of the subject.
    subject
        The run or the trainer.
    kinds
        Kinds of acts.
    """
    run = subject.run_id
    key = ActOn(pipeline.name, run, subject.name if run is None else None).key
    for kind in kinds:
        act = pipeline.executions.get(act_id(kind, key))
        if act is not None:
            yield act


def word_on(pipeline: Pipeline, subject: Subject) -> str:
    """By which word somebody has decided that a run goes on: `wrong`, `keep`, or "" where nobody has."""
    for act in acts_on(pipeline, subject, *WORDS):
        if is_true(act.value_of(VALUE) or False):
            return WORDS[act.id.partition("/")[0]]
    return ""


def prolonged_ms(pipeline: Pipeline, subject: Subject) -> int | None:
    """Until when a run is prolonged, in ms since 1970 UTC; None where it is not."""
    found = (act.value_of(UNTIL) for act in acts_on(pipeline, subject, PROLONG))
    return next((int(until) for until in found if isinstance(until, int | float)), None)
