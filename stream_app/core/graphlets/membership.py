"""Graphlet membership, kept up to date edge by edge.

The rules are those of docs/decisions/0001-graphlets.md. Membership of one graphlet does not depend on any other
graphlet's, and while facts only add edges it only grows. There are two ways to update it:

* the fast path: a new edge, or a new trainer, spreads the graphlets on one side of the edge to the other (`spread_*`);
* the slow path: where a fact stops a rule from holding (another type or run, a trainer that ends CACHED, another
  version of an unversioned artifact), the graphlets concerned are cleared, the fact is applied, and they spread again
  from their trainers (`rebuilding`).

A version remembers which graphlets have passed it. An artifact that every run reads, such as a schema, is therefore
passed once by each graphlet, not once by each reader.
"""

from __future__ import annotations

from stream_app.core.operators import ANALYSIS, DEPLOY, INGEST, RUN, TRAIN
from stream_app.core.state.entities import DOWN, NOTHING, SIDE, UP, Execution, Graphlet, Version
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.small_sets import with_graphlet, without_graphlet

#: A graphlet with more members gets no verdicts and keeps none of them.
MEMBERS_MAX = 10_000


def connect_read(artifact_id: str, version: Version, reader: Execution) -> None:
    """Registers the edge from a version to its reader, without spreading."""
    version.readers.setdefault(reader.run, []).append(reader)
    if reader.reads is NOTHING:
        reader.reads = {}
    reader.reads[artifact_id] = version


def connect_write(artifact_id: str, version: Version, writer: Execution) -> None:
    """Registers the edge from a writer to a version, without spreading."""
    version.writers.append(writer)
    if writer.writes is NOTHING:
        writer.writes = {}
    writer.writes[artifact_id] = version


def spread_read(pipeline: Pipeline, version: Version, reader: Execution) -> None:
    """Spreads graphlets over a registered edge from a version to its reader."""
    if reader.group == TRAIN:
        spread_read_of_trainer(pipeline, version, reader)
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


def spread_read_of_trainer(pipeline: Pipeline, version: Version, trainer: Execution) -> None:
    """Spreads a trainer's graphlet, or that of its last try, over a registered edge from a version to the trainer."""
    if trainer.graphlet is not None:
        spread_up(pipeline, trainer.graphlet, version)
        spread_reach(pipeline, trainer.graphlet, version)
    for graphlet in list(trainer.members_of or ()):
        spread_up(pipeline, graphlet, version)


def spread_write(pipeline: Pipeline, writer: Execution, version: Version) -> None:
    """Spreads graphlets over a registered edge from a writer to a version."""
    if writer.group == TRAIN:
        if writer.graphlet is not None:
            spread_down(pipeline, writer.graphlet, version)
            for reader in list(version.all_readers()):
                if reader.group == DEPLOY:  # kept out while this trainer led to the version only through others
                    add_down(pipeline, writer.graphlet, reader)
        for graphlet in list(writer.members_of or ()):  # of an earlier try
            spread_reach(pipeline, graphlet, version)
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
    """Finds all members of a graphlet, starting from its trainer.

    Parameters
    ----------
    pipeline
        The pipeline of the graphlet.
    graphlet
        The graphlet, whose members are added in place.
    """
    trainer = graphlet.trainer
    if trainer.run is not None:
        add_run(pipeline, graphlet, trainer.run)
    for version in trainer.reads.values():
        spread_up(pipeline, graphlet, version)
        spread_reach(pipeline, graphlet, version)
    for version in trainer.writes.values():
        spread_down(pipeline, graphlet, version)
    run = pipeline.runs.get(trainer.run) if trainer.run is not None else None
    for each in run.tasks.trainers(run.tasks.of(trainer)) if run is not None else ():
        if each.last_try is trainer:
            add_up(pipeline, graphlet, each)


def spread_up(pipeline: Pipeline, graphlet: Graphlet, version: Version) -> None:
    """Adds the writers of a version that leads to the trainer, and all that leads to them, to the up set."""
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
    """Adds a writer that leads to the trainer, and all that leads to it, to the up set."""
    if add_member(pipeline, graphlet, writer, UP):
        entered_up(pipeline, graphlet, writer)
        for version in writer.reads.values():
            spread_up(pipeline, graphlet, version)


def entered_up(pipeline: Pipeline, graphlet: Graphlet, execution: Execution) -> None:
    """Starts the side set at the outputs of an execution that entered the up set, and adds its run to the graphlet."""
    if execution.run is not None and execution.run not in graphlet.runs:
        add_run(pipeline, graphlet, execution.run)
    for version in execution.writes.values():
        if graphlet not in version.reach:
            spread_reach(pipeline, graphlet, version)
        if execution.group == INGEST:
            spread_ingested(pipeline, graphlet, version)


def spread_down(pipeline: Pipeline, graphlet: Graphlet, version: Version) -> None:
    """Adds the readers of a version that the trainer leads to, and all that they lead to, where they may enter."""
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
    """Adds a reader, and all that it leads to, to the down set if it may enter."""
    if may_enter(graphlet, reader) and add_member(pipeline, graphlet, reader, DOWN):
        for version in reader.writes.values():
            spread_down(pipeline, graphlet, version)


def may_enter(graphlet: Graphlet, reader: Execution) -> bool:
    """Whether an execution may enter the down set of a graphlet.

    An execution that reads a model of its own run may enter graphlets of that run only. A deploy execution pushes what
    it reads: one that reads models of trainers, none of them of its own run, may enter the graphlets of these trainers
    only, and not that of a baseline against which a validator judged them.

    Parameters
    ----------
    graphlet
        The graphlet.
    reader
        The execution that reads what the graphlet's trainer leads to.

    Returns
    -------
    bool
        Whether the rules let it enter.
    """
    if reader.own_trainer:
        return graphlet.trainer.run == reader.run
    return reader.group != DEPLOY or not reader.reads_trainer or reads_from(reader, graphlet.trainer)


def reads_from(reader: Execution, writer: Execution) -> bool:
    """Whether an execution reads an output of another, found over the shorter of the two lists."""
    shorter, longer = sorted((reader.reads, writer.writes), key=len)
    return any(longer.get(artifact_id) is version for artifact_id, version in shorter.items())


def spread_reach(pipeline: Pipeline, graphlet: Graphlet, version: Version) -> None:
    """Adds the analysis readers of the graphlet's runs to the side set, from a version that the side set reaches."""
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
    """The readers of a version in some runs, found over the shorter of the two indices."""
    readers = version.readers
    if len(readers) <= len(runs):
        return [reader for run, listed in readers.items() if run in runs for reader in listed]
    return [reader for run in runs if run in readers for reader in readers[run]]


def add_side(pipeline: Pipeline, graphlet: Graphlet, reader: Execution) -> None:
    """Adds an analysis execution, and all that follows from its outputs, to the side set."""
    if add_member(pipeline, graphlet, reader, SIDE):
        for version in reader.writes.values():
            spread_reach(pipeline, graphlet, version)


def spread_ingested(pipeline: Pipeline, graphlet: Graphlet, version: Version) -> None:
    """Adds analysis readers without a run to the side set, from a version that an ingest of the up set wrote."""
    for reader in list(version.readers.get(None, ())):
        if reader.group == ANALYSIS:
            add_side(pipeline, graphlet, reader)


def ingested_for(version: Version) -> list[Graphlet]:
    """The graphlets whose up set has an ingest execution that wrote this version."""
    return [
        graphlet
        for writer in version.writers
        if writer.group == INGEST and writer.members_of
        for graphlet, bits in writer.members_of.items()
        if bits & UP
    ]


def add_run(pipeline: Pipeline, graphlet: Graphlet, run: str) -> None:
    """Adds a run to the graphlet's runs; its analysis executions may enter from every version reached so far."""
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
    """Adds one bit of membership; False when the execution has it already or cannot be a member."""
    if graphlet.oversized or execution.group == RUN:
        return False
    if execution.group == TRAIN and (bit != UP or execution.last_try is not graphlet.trainer):
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
    pipeline.work.change_members(graphlet, execution)
    if bit == DOWN and execution.group == DEPLOY:
        graphlet.deploys = (*graphlet.deploys, execution)
        pipeline.work.settle_one(graphlet)
    return True


def clear(pipeline: Pipeline, graphlet: Graphlet) -> None:
    """Removes all members from a graphlet, and the graphlet from every version that it passed.

    Parameters
    ----------
    pipeline
        The pipeline of the graphlet.
    graphlet
        The graphlet, which is changed in place.
    """
    trainer = graphlet.trainer
    versions = {*trainer.reads.values(), *trainer.writes.values()}
    for execution in graphlet.members:
        assert execution.members_of is not None
        del execution.members_of[graphlet]
        pipeline.work.change_members(graphlet, execution)
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


def listed(graphlet: Graphlet) -> tuple[list[str], list[str], list[str]]:
    """The ids of a graphlet's up, down and side sets.

    Parameters
    ----------
    graphlet
        The graphlet.

    Returns
    -------
    tuple of list of str
        Three sorted lists; each execution is in the first of the sets that it belongs to.
    """
    up = sorted(e.id for e, bits in graphlet.members.items() if bits & UP)
    down = sorted(e.id for e, bits in graphlet.members.items() if bits & DOWN and not bits & UP)
    side = sorted(e.id for e, bits in graphlet.members.items() if bits == SIDE)
    return up, down, side
