"""Graphlet membership, kept up to date edge by edge.

The rules are those of docs/decisions/0001-graphlets.md. Membership of one graphlet depends on no other graphlet's,
and while facts only add edges it only grows. So there are two ways in:

* the fast path: a new edge, or a new trainer, spreads what lies on one side of it to the other (`spread`);
* the slow path: where a fact stops a rule from holding (another type or run, a trainer that ends CACHED, another
  version of an unversioned artifact, a baseline told from a model after the fact), the graphlets concerned are
  cleared, the fact is applied, and they spread anew from their trainers (`rebuild`).

A version remembers which graphlets have already passed it, so a hub (one schema read by every run) costs each of
them once, not once a reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stream_app.core.operators import ANALYSIS, DEPLOY, INGEST, RUN, TRAIN
from stream_app.core.state.entities import DOWN, NOTHING, SIDE, UP, Execution, Graphlet, Version, has_graphlet
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.small_sets import with_graphlet, without_graphlet

#: A graphlet with more members gets no verdicts and keeps none of them.
MEMBERS_MAX = 10_000


def connect_read(artifact_id: str, version: Version, reader: Execution) -> None:
    """Registers the edge from a version to its reader without spreading anything."""
    version.readers.setdefault(reader.run, []).append(reader)
    if reader.reads is NOTHING:
        reader.reads = {}
    reader.reads[artifact_id] = version


def connect_write(artifact_id: str, version: Version, writer: Execution) -> None:
    """Registers the edge from a writer to a version without spreading anything."""
    version.writers.append(writer)
    if writer.writes is NOTHING:
        writer.writes = {}
    writer.writes[artifact_id] = version


def spread_read(pipeline: Pipeline, version: Version, reader: Execution) -> None:
    """Spreads over a registered edge from a version to its reader."""
    if reader.group == TRAIN:
        if reader.graphlet is not None:
            spread_up(pipeline, reader.graphlet, version)
            spread_reach(pipeline, reader.graphlet, version)
        return
    if reader.members_of:
        for graphlet, bits in list(reader.members_of.items()):
            if bits & UP:
                spread_up(pipeline, graphlet, version)
    if version.down:
        for graphlet in list(version.down):
            add_down(pipeline, graphlet, reader)
    if reader.group != ANALYSIS:
        return
    if reader.run is None:
        for graphlet in ingested_for(version):
            add_side(pipeline, graphlet, reader)
    elif version.reach:
        for graphlet in list(pipeline.graphlets_of_run.get(reader.run, ())):
            if graphlet in version.reach:
                add_side(pipeline, graphlet, reader)


def spread_write(pipeline: Pipeline, writer: Execution, version: Version) -> None:
    """Spreads over a registered edge from a writer to a version."""
    if writer.group == TRAIN:
        if writer.graphlet is not None:
            spread_down(pipeline, writer.graphlet, version)
        return
    if version.up:
        for graphlet in list(version.up):
            add_up(pipeline, graphlet, writer)
    if not writer.members_of:
        return
    for graphlet, bits in list(writer.members_of.items()):
        if bits & DOWN:
            spread_down(pipeline, graphlet, version)
        if bits & (UP | SIDE):
            spread_reach(pipeline, graphlet, version)
        if bits & UP and writer.group == INGEST:
            spread_ingested(pipeline, graphlet, version)


def spread_from_trainer(pipeline: Pipeline, graphlet: Graphlet) -> None:
    """Finds all members of a graphlet, starting from its trainer."""
    trainer = graphlet.trainer
    if trainer.run is not None:
        add_run(pipeline, graphlet, trainer.run)
    for version in trainer.reads.values():
        spread_up(pipeline, graphlet, version)
        spread_reach(pipeline, graphlet, version)
    for version in trainer.writes.values():
        spread_down(pipeline, graphlet, version)


def spread_up(pipeline: Pipeline, graphlet: Graphlet, version: Version) -> None:
    """The version leads to the trainer: so do its writers, and what they read."""
    if graphlet in version.up:
        return
    versions = [version]
    while versions:
        version = versions.pop()
        if graphlet in version.up or graphlet.oversized:
            continue
        version.up = with_graphlet(version.up, graphlet) if version.up else (graphlet,)
        for writer in version.writers:
            if add_member(pipeline, graphlet, writer, UP):
                versions.extend(writer.reads.values())
                entered_up(pipeline, graphlet, writer)


def add_up(pipeline: Pipeline, graphlet: Graphlet, writer: Execution) -> None:
    """The writer leads to the trainer, and so does all it reads."""
    if add_member(pipeline, graphlet, writer, UP):
        entered_up(pipeline, graphlet, writer)
        for version in writer.reads.values():
            spread_up(pipeline, graphlet, version)


def entered_up(pipeline: Pipeline, graphlet: Graphlet, execution: Execution) -> None:
    """What an execution in the up set wrote is where the side set starts; its run may hold side members."""
    if execution.run is not None and execution.run not in graphlet.runs:
        add_run(pipeline, graphlet, execution.run)
    for version in execution.writes.values():
        if graphlet not in version.reach:
            spread_reach(pipeline, graphlet, version)
        if execution.group == INGEST:
            spread_ingested(pipeline, graphlet, version)


def spread_down(pipeline: Pipeline, graphlet: Graphlet, version: Version) -> None:
    """The trainer leads to the version: so it does to the readers that it may enter, and what they write."""
    versions = [version]
    while versions:
        version = versions.pop()
        if graphlet in version.down or graphlet.oversized:
            continue
        version.down = with_graphlet(version.down, graphlet) if version.down else (graphlet,)
        for reader in list(version.all_readers()):
            if may_enter(graphlet, reader) and add_member(pipeline, graphlet, reader, DOWN):
                versions.extend(reader.writes.values())


def add_down(pipeline: Pipeline, graphlet: Graphlet, reader: Execution) -> None:
    """The trainer leads to the reader, if it may enter, and to all that writes."""
    if may_enter(graphlet, reader) and add_member(pipeline, graphlet, reader, DOWN):
        for version in reader.writes.values():
            spread_down(pipeline, graphlet, version)


def may_enter(graphlet: Graphlet, reader: Execution) -> bool:
    """An execution that judges a model of its own run is not entered from another run's trainer."""
    return not reader.own_trainer or graphlet.trainer.run == reader.run


def spread_reach(pipeline: Pipeline, graphlet: Graphlet, version: Version) -> None:
    """The side set starts or passes at the version: analysis readers of the graphlet's runs enter."""
    versions = [version]
    while versions:
        version = versions.pop()
        if graphlet in version.reach or graphlet.oversized:
            continue
        version.reach = with_graphlet(version.reach, graphlet) if version.reach else (graphlet,)
        if not version.readers:
            continue
        for reader in readers_of_runs(version, graphlet.runs):
            if reader.group == ANALYSIS and add_member(pipeline, graphlet, reader, SIDE):
                versions.extend(reader.writes.values())


def readers_of_runs(version: Version, runs: tuple[str, ...]) -> list[Execution]:
    """The readers of a version that are of some runs, found over whichever index is shorter."""
    readers = version.readers
    if len(readers) <= len(runs):
        return [reader for run, listed in readers.items() if run in runs for reader in listed]
    return [reader for run in runs if run in readers for reader in readers[run]]


def add_side(pipeline: Pipeline, graphlet: Graphlet, reader: Execution) -> None:
    """An analysis execution enters the side set; what it wrote is reached."""
    if add_member(pipeline, graphlet, reader, SIDE):
        for version in reader.writes.values():
            spread_reach(pipeline, graphlet, version)


def spread_ingested(pipeline: Pipeline, graphlet: Graphlet, version: Version) -> None:
    """An ingest execution of the up set wrote the version: its analysis readers without a run enter the side set."""
    for reader in list(version.readers.get(None, ())):
        if reader.group == ANALYSIS:
            add_side(pipeline, graphlet, reader)


def ingested_for(version: Version) -> list[Graphlet]:
    """The graphlets in whose up set an ingest execution wrote this version."""
    return [
        graphlet
        for writer in version.writers
        if writer.group == INGEST and writer.members_of
        for graphlet, bits in writer.members_of.items()
        if bits & UP
    ]


def add_run(pipeline: Pipeline, graphlet: Graphlet, run: str) -> None:
    """A run joins the graphlet's runs: its analysis executions may enter from every version reached so far."""
    if run in graphlet.runs:
        return
    graphlet.runs = (*graphlet.runs, run)
    pipeline.graphlets_of_run[run] = with_graphlet(pipeline.graphlets_of_run.get(run, ()), graphlet)
    entity = pipeline.runs.get(run)
    if entity is None:
        return
    for execution in entity.executions:
        if execution.group == ANALYSIS:
            for version in execution.reads.values():
                if graphlet in version.reach:
                    add_side(pipeline, graphlet, execution)
                    break


def add_member(pipeline: Pipeline, graphlet: Graphlet, execution: Execution, bit: int) -> bool:
    """Adds one bit of membership; False when it was there, or the execution can be no member."""
    if execution.group in (TRAIN, RUN) or graphlet.oversized:
        return False
    bits = graphlet.members.get(execution, 0)
    if bits & bit:
        return False
    if not bits and len(graphlet.members) >= MEMBERS_MAX:
        clear(pipeline, graphlet)
        graphlet.oversized = True
        pipeline.oversized[graphlet] = None
        return False
    graphlet.members[execution] = bits | bit
    if execution.members_of is None:
        execution.members_of = {}
    execution.members_of[graphlet] = bits | bit
    pipeline.work.rebook_one(execution)
    if bit == DOWN and execution.group == DEPLOY:
        graphlet.deploys = (*graphlet.deploys, execution)
        pipeline.work.settle_one(graphlet)
    return True


def clear(pipeline: Pipeline, graphlet: Graphlet) -> None:
    """Takes all members out of a graphlet, and it off every version it passed."""
    trainer = graphlet.trainer
    versions = {*trainer.reads.values(), *trainer.writes.values()}
    for execution in graphlet.members:
        assert execution.members_of is not None
        del execution.members_of[graphlet]
        pipeline.work.rebook_one(execution)
        versions.update(execution.reads.values())
        versions.update(execution.writes.values())
    for version in versions:
        version.up = without_graphlet(version.up, graphlet)
        version.down = without_graphlet(version.down, graphlet)
        version.reach = without_graphlet(version.reach, graphlet)
    for run in graphlet.runs:
        of_run = without_graphlet(pipeline.graphlets_of_run.pop(run), graphlet)
        if of_run:
            pipeline.graphlets_of_run[run] = of_run
    graphlet.members.clear()
    graphlet.runs = ()
    graphlet.deploys = ()
    graphlet.oversized = False
    pipeline.oversized.pop(graphlet, None)
    pipeline.work.settle_one(graphlet)
    pipeline.work.rebook_one(trainer)


def rebuild(pipeline: Pipeline, changed: Iterable[Execution], change: Callable[[], None]) -> None:
    """The slow path: applies a change after which rules may stop holding around the executions named."""
    executions = neighbourhood(changed)
    concerned: dict[Graphlet, None] = dict(pipeline.oversized)
    for execution in executions:
        concerned.update(dict.fromkeys(execution.members_of or ()))
        if execution.graphlet is not None:
            concerned[execution.graphlet] = None
    for graphlet in concerned:
        clear(pipeline, graphlet)
    change()
    for execution in neighbourhood(changed):
        executions[execution] = None
    for execution in executions:
        execution.own_trainer = reads_own_trainer(execution)
        refresh_graphlet(pipeline, execution)
    for graphlet in concerned:
        if graphlet.trainer.graphlet is graphlet:
            spread_from_trainer(pipeline, graphlet)
    for execution in executions:
        respread(pipeline, execution)


def neighbourhood(changed: Iterable[Execution]) -> dict[Execution, None]:
    """The executions with the readers of what they wrote: whose own-run trainer may come or go with the change."""
    executions = dict.fromkeys(changed)
    for execution in list(executions):
        for version in execution.writes.values():
            executions.update(dict.fromkeys(version.all_readers()))
    return executions


def respread(pipeline: Pipeline, execution: Execution) -> None:
    """Spreads over every edge of an execution, as if all were new."""
    if execution.group == RUN:
        return
    if execution.graphlet is not None:
        spread_from_trainer(pipeline, execution.graphlet)
    for version in execution.reads.values():
        spread_read(pipeline, version, execution)
    for version in execution.writes.values():
        spread_write(pipeline, execution, version)


def reads_own_trainer(execution: Execution) -> bool:
    """Whether the execution reads a version written by a trainer of its own run that is not CACHED."""
    if execution.eviction is not None and execution.eviction.own_trainer:
        return True
    run = execution.run
    if run is None:
        return False
    for version in execution.reads.values():
        for writer in version.writers:
            if writer.group == TRAIN and writer.run == run and has_graphlet(writer):
                return True
    return False


def refresh_graphlet(pipeline: Pipeline, execution: Execution) -> None:
    """Gives a trainer its graphlet, or takes it from what is none (any more). Its members must be cleared before."""
    graphlet = execution.graphlet
    if has_graphlet(execution):
        if graphlet is None:
            graphlet = pipeline.retired.pop(execution.id, None) or Graphlet(pipeline.name, execution)
            execution.graphlet = graphlet
            pipeline.graphlets[execution.id] = graphlet
            pipeline.work.settle_one(graphlet)
            pipeline.work.rebook_one(execution)
    elif graphlet is not None:
        assert not graphlet.members
        execution.graphlet = None
        graphlet.horizon_ms = None
        pipeline.retired[execution.id] = graphlet
        del pipeline.graphlets[execution.id]
        pipeline.work.rebook_one(execution)
        pipeline.work.settle_one(graphlet)


def listed(graphlet: Graphlet) -> tuple[list[str], list[str], list[str]]:
    """The ids of a graphlet's up, down and side sets, sorted, each execution in the first of the sets it is in."""
    up = sorted(e.id for e, bits in graphlet.members.items() if bits & UP)
    down = sorted(e.id for e, bits in graphlet.members.items() if bits & DOWN and not bits & UP)
    side = sorted(e.id for e, bits in graphlet.members.items() if bits == SIDE)
    return up, down, side
