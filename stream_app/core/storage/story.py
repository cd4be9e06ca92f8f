"""The story of a graphlet, from the state that is kept of it, for errors and explanations."""

from __future__ import annotations

from typing import NamedTuple

from stream_app.core.events import Event
from stream_app.core.outputs import OPEN
from stream_app.core.state.entities import DOWN, SIDE, UP, Graphlet, Run, Subject
from stream_app.core.state.pipeline import Pipeline

#: The most entries of a story; of a longer one, the first half and the last half are given.
ENTRIES_MAX = 40
#: The most stories in the note of an error.
STORIES_MAX = 3


class StoryEntry(NamedTuple):
    """One event in a story."""

    #: Event time in ms since 1970 UTC; None where none is known.
    time_ms: int | None
    #: An execution's id, `stage`, `outcome`, `announced` or `members`.
    what: str
    detail: str


def story(subject: Subject) -> list[StoryEntry]:
    """Lists what happened to a graphlet or a run.

    Parameters
    ----------
    subject
        A graphlet, or a run whose trainer is not known.

    Returns
    -------
    list of StoryEntry
        In the order of time, at most `ENTRIES_MAX`; where some are omitted, an entry gives their number.
    """
    found = [*executions(subject), *predictions(subject)]
    found.sort(key=lambda entry: (entry.time_ms or 0, entry.what))
    if isinstance(subject, Graphlet):
        if subject.kind != OPEN:
            found.append(StoryEntry(subject.time_ms, "outcome", subject.cause or subject.kind))
        sizes = [sum(1 for bits in subject.members.values() if bits & bit) for bit in (UP, DOWN, SIDE)]
        found.append(StoryEntry(None, "members", "{} up, {} down, {} side".format(*sizes)))
    if subject.label_revision:
        detail = f"{subject.announced_kind}, label {subject.label_revision}"
        found.append(StoryEntry(None, "announced", detail))
    if len(found) > ENTRIES_MAX:
        half = ENTRIES_MAX // 2
        omitted = StoryEntry(None, "left out", f"{len(found) - 2 * half + 1} entries")
        found = [*found[: half - 1], omitted, *found[-half:]]
    return found


def executions(subject: Subject) -> list[StoryEntry]:
    """The states of the trainer and the members, or of the run's executions."""
    members = subject.executions if isinstance(subject, Run) else [subject.trainer, *getattr(subject, "members", ())]
    found = []
    for execution in members:
        if execution is not None:
            end = f", {execution.end_state}" if execution.end_ms is not None else ""
            found.append(StoryEntry(execution.start_ms, execution.id, f"{execution.type} began{end}"))
    return found


def predictions(subject: Subject) -> list[StoryEntry]:
    """The predicted stages."""
    record = subject.predictions
    return [
        StoryEntry(each.time_ms, "stage", f"{each.stage}: {each.decision}, chance {each.p:.3g}")
        for each in (record.stages if record is not None else ())
    ]


def story_line(subject: Subject) -> str:
    """The story of a graphlet or a run in one line.

    Parameters
    ----------
    subject
        A graphlet, or a run whose trainer is not known.

    Returns
    -------
    str
        Name, run and story.
    """
    entries = (f"{entry.time_ms or '-'} {entry.what}: {entry.detail}" for entry in story(subject))
    return f"{subject.name} of run {subject.run_id}: {'; '.join(entries)}"


def failure_note(pipeline: Pipeline, event: Event) -> str:
    """Describes an event on which the detector failed, with the stories of its execution's graphlets."""
    execution = pipeline.executions.get(event.execution_id)
    graphlets = [] if execution is None else [execution.graphlet, *(execution.members_of or ())]
    stories = [story_line(graphlet) for graphlet in graphlets if graphlet is not None][:STORIES_MAX]
    what = f"{event.execution_type} {event.execution_id!r} {event.state} at {event.time_ms}"
    return "\n".join([f"at the event {what} of pipeline {event.pipeline!r}, run {event.run!r}", *stories])
