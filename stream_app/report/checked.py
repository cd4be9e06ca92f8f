"""The result of a check as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stream_app.core.operators import DEPLOY
from stream_app.figures.numbers import count, plural
from stream_app.replay.check import Checked, Job
from stream_app.replay.survey import Graph, SplitExecution, SpreadRun, Unended, UnwrittenRead

#: Jobs listed; `--json` has all.
_JOBS = 50
#: Examples listed of each finding.
_EXAMPLES = 3


def lines_of(found: Checked) -> Iterable[str]:
    """The result of a check, for a person.

    Parameters
    ----------
    found
        The result.

    Yields
    ------
    str
        One line after another.
    """
    period = f" from {found.first} to {found.last}" if found.first else ""
    yield f"{plural(found.events, 'event')} of {plural(found.pipelines, 'pipeline')}{period}"
    if found.executions:
        yield "executions by group and type:"
    for group, types in found.executions.items():
        yield f"  {group:<12}{', '.join(f'{name} ({count(number)})' for name, number in types.items())}"
    if found.jobs:
        yield from _jobs(found.jobs)
    if found.events:
        yield from _graph(found.graph, found.why)
    yield from _unwritten(found.unwritten)
    yield from _split(found.split)
    yield from _spread(found.spread)
    yield from _unended(found.unended)
    for events, side in ((found.late, "after"), (found.early, "before")):
        if events:
            yield f"a clock was probably wrong: these are dated more than a day {side} all others:"
        for each in events:
            yield f"  {each.time} at {each.place}: {each.execution} of {each.pipeline}"
    if found.duplicates:
        repeat = "repeats" if found.duplicates == 1 else "repeat"
        yield f"{plural(found.duplicates, 'message')} {repeat} another one, which changes nothing"
    for warning in found.warnings:
        yield f"note: {warning}"
    if found.rules:
        yield "settings to add, if the names mean what they say (--write-rules FILE writes them):"
        yield from (f"  {line}".rstrip() for line in found.rules.rstrip("\n").split("\n"))
    if found.ignored:
        are = "is about no execution and is" if found.ignored == 1 else "are about no execution and are"
        yield f"{plural(found.ignored, 'message')} {are} ignored"
    yield from _faults(found)


def _jobs(jobs: dict[str, Job]) -> Iterable[str]:
    yield "jobs:"
    for job, became in list(jobs.items())[:_JOBS]:
        guessed = ", guessed from its name" if became.guessed else ""
        yield f"  {job}: {became.group} ({became.type}{guessed}) of {became.pipeline}, {plural(became.events, 'event')}"
    if len(jobs) > _JOBS:
        yield f"  and {count(len(jobs) - _JOBS)} more"


def _graph(graph: Graph, why: str | None) -> Iterable[str]:
    ends = ", ".join(
        f"{count(number)} {outcome.replace('_', ' ')}" for outcome, number in sorted(graph.outcomes.items())
    )
    yield f"{plural(graph.graphlets, 'graphlet')}{f': {ends}' if ends else ''}"
    if graph.graphlets:
        yield f"  {_share(graph.with_inputs, graph.graphlets)} have anything before their trainer"
        yield f"  {_share(graph.with_deploy, graph.graphlets)} have an execution of group deploy after it"
        yield f"  {_share(graph.in_graphlets, graph.executions)} of the executions are in a graphlet"
    if graph.loose_deploys:
        yield f"  {plural(graph.loose_deploys, 'execution')} of group deploy in no graphlet"
    if why is not None:
        yield f"  {why}"


def _share(part: int, whole: int) -> str:
    if not whole:
        return "0"
    share = f"{part / whole:.0%}"
    if part < whole and share == "100%":
        share = "over 99%"
    return f"{count(part)} of {count(whole)} ({share})"


def _unwritten(reads: Sequence[UnwrittenRead]) -> Iterable[str]:
    if not reads:
        return
    yield "outside of every graphlet, these read only what no execution of their pipeline wrote:"
    for each in sorted(reads, key=lambda read: (read.group != DEPLOY, read.near is None))[: 2 * _EXAMPLES]:
        near = ""
        if each.near == each.artifact:
            near = f"; it was written in another {each.differs}"
        elif each.near is not None:
            near = f"; written was {each.near}, which differs in {each.differs}"
        yield f"  {each.execution} ({each.group}) of {each.pipeline} read {each.artifact}{near}"


def _split(found: Sequence[SplitExecution]) -> Iterable[str]:
    if not found:
        return
    yield "these started under one id and probably ended under another:"
    for each in found[:_EXAMPLES]:
        yield f"  {each.type} of {each.pipeline}: {each.started_as}, then {each.ended_as}"


def _spread(found: Sequence[SpreadRun]) -> Iterable[str]:
    if not found:
        return
    yield "these runs are in two pipelines, neither of which knows the whole run:"
    for each in found[:_EXAMPLES]:
        what = "what runs in it is" if each.is_named else "some of its events are"
        yield f"  {each.run} ({each.job}) is in {each.pipeline}, {what} in {each.other}"


def _unended(found: Sequence[Unended]) -> Iterable[str]:
    if found:
        listed = ", ".join(
            f"{each.type} ({count(each.executions)}, such as {each.example})" for each in found[:_EXAMPLES]
        )
        yield f"executions without an end: {listed}"


def _faults(found: Checked) -> Iterable[str]:
    if found.dead_letters:
        yield (
            "1 message is not an event:"
            if found.dead_letters == 1
            else f"{count(found.dead_letters)} messages are not events:"
        )
        for fault in found.faults:
            yield f"  {count(fault.messages)} x {fault.kind}"
            yield f"      first at {fault.place}: {fault.reason}"
    elif found.events and not found.broken_off:
        yield "all messages are events"
    elif not found.events:
        yield "there are no events" if found.ignored else "there are no messages"
