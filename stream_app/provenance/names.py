"""From the name that a person gives to what it names: an execution, an artifact, a version of one, or a run.

Names are written like ids of graphlets (`core/ids.py`): `<pipeline>/<execution>`, `<pipeline>/artifact:<artifact>`,
`<pipeline>/run:<run>`. A version of an unversioned artifact is `<pipeline>/artifact:<artifact>:<writer>`. Where that
names nothing, ids are taken as they are, without escapes, and without a pipeline where one pipeline alone has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from stream_app.core.ids import graphlet_id, parse_graphlet_id, run_graphlet_id
from stream_app.core.operators import RUN
from stream_app.core.state.entities import Execution, Graphlet, Run
from stream_app.core.state.pipeline import Pipeline
from stream_app.errors import StreamAppError
from stream_app.provenance.graph import ARTIFACT, EXECUTION, artifact_name
from stream_app.provenance.similar import SHOWN, Similar, message, shown, similar

RUN_KIND = "run"
KINDS = (EXECUTION, ARTIFACT, RUN_KIND)
#: The reading of a name that names nothing; beyond those that name something.
NOT_FOUND = 3


class UnknownNameError(StreamAppError):
    """There is nothing of this name; the message has similar names."""


class AmbiguousNameError(StreamAppError):
    """There are several things of this name; the message has their full names."""


class Target(NamedTuple):
    """What a name names.

    Parameters
    ----------
    kind
        `execution`, `artifact` or `run`.
    pipeline
        The name of its pipeline.
    id
        Its id in the pipeline.
    writer
        Of an artifact, whose version of it is meant; "": the one that nobody wrote; None: all versions.
    """

    kind: str
    pipeline: str
    id: str
    writer: str | None = None

    @property
    def name(self) -> str:
        """Its full name."""
        if self.kind == ARTIFACT:
            return artifact_name(self.pipeline, self.id)
        return run_graphlet_id(self.pipeline, self.id) if self.kind == RUN_KIND else graphlet_id(self.pipeline, self.id)


class Candidates(NamedTuple):
    """What a name may name.

    Parameters
    ----------
    reading
        How the name was read: 0 as a full name, 1 as a pipeline and an id without escapes, 2 as an id; `NOT_FOUND`.
    number
        The number of things.
    targets
        Things in their order; of several processes the first three of each.
    """

    reading: int
    number: int
    targets: list[Target]


def find(pipelines: Mapping[str, Pipeline], name: str) -> Target:
    """Finds what a name names.

    Parameters
    ----------
    pipelines
        Pipelines by name.
    name
        The full name, or an id as it is.

    Returns
    -------
    Target
        An execution of group run stands for its run.

    Raises
    ------
    UnknownNameError
        There is nothing of this name.
    AmbiguousNameError
        There is more than one thing of this name.
    """
    found = candidates(pipelines, name)
    if not found.targets:
        raise unknown(name, similar_names(pipelines, name))
    return with_run(pipelines, only(name, found))


def candidates(pipelines: Mapping[str, Pipeline], name: str, kinds: tuple[str, ...] = KINDS) -> Candidates:
    """Finds all that a name may name.

    Parameters
    ----------
    pipelines, name
        As of `find`.
    kinds
        What it may be.

    Returns
    -------
    Candidates
        Those by the first reading of the name that names anything; none where none does.
    """
    for reading, read in enumerate((_by_full_name, _by_plain_name, _by_id)):
        targets = sorted({each for each in read(pipelines, name) if each.kind in kinds})
        if targets:
            return Candidates(reading, len(targets), targets)
    return Candidates(NOT_FOUND, 0, [])


def all_candidates(found: Iterable[Candidates]) -> Candidates:
    """All that a name may name in several processes.

    Parameters
    ----------
    found
        What `candidates` found in each of them.

    Returns
    -------
    Candidates
        Those by the first reading by which the name names anything in one of them.
    """
    everywhere = list(found)
    reading = min((each.reading for each in everywhere), default=NOT_FOUND)
    first = [each for each in everywhere if each.reading == reading]
    targets = sorted((target for each in first for target in each.targets), key=_place)
    return Candidates(reading, sum(each.number for each in first), targets)


def _place(target: Target) -> tuple[str, str, str, str]:
    """The order of targets, some of which may be versions."""
    return target.kind, target.pipeline, target.id, target.writer or ""


def pipeline_in(name: str) -> str | None:
    """The pipeline that a full name is of; None for a name that has none in it.

    Parameters
    ----------
    name
        The full name, or an id as it is, which may look like one.

    Examples
    --------
    >>> pipeline_in("team~1ads/artifact:span-7"), pipeline_in("span-7")
    ('team/ads', None)
    """
    first, slash, _ = name.partition("/")
    parsed = parse_graphlet_id(f"{first}{slash}")
    return parsed.pipeline if parsed is not None else None


def with_run(pipelines: Mapping[str, Pipeline], target: Target) -> Target:
    """The run, for an execution of group run that is listed in it.

    Parameters
    ----------
    pipelines
        Pipelines by name.
    target
        What was found in them.

    Returns
    -------
    Target
        The run, or what was found.
    """
    execution = pipelines[target.pipeline].executions.get(target.id) if target.kind == EXECUTION else None
    if execution is None or execution.group != RUN or execution.run is None:
        return target
    return Target(RUN_KIND, target.pipeline, execution.run)


def kept_in(pipeline: Pipeline) -> dict[str, Mapping[str, object]]:
    """The executions, artifacts and runs of a pipeline by their ids, by kind.

    Parameters
    ----------
    pipeline
        The pipeline.

    Returns
    -------
    dict
        Its keys are `KINDS`.
    """
    return {EXECUTION: pipeline.executions, ARTIFACT: pipeline.artifacts, RUN_KIND: pipeline.runs}


def similar_names(pipelines: Mapping[str, Pipeline], name: str) -> Similar:
    """The names that are similar to one that names nothing.

    Parameters
    ----------
    pipelines, name
        As of `find`.

    Returns
    -------
    Similar
        What `unknown` makes a message of.
    """
    return similar(name, _names(pipelines))


def unknown(name: str, found: Similar) -> UnknownNameError:
    """The error about a name that names nothing.

    Parameters
    ----------
    name
        What was asked for.
    found
        What there is instead.

    Returns
    -------
    UnknownNameError
        With one line.
    """
    return UnknownNameError(message("execution, artifact or run", name, found))


def ambiguous(name: str, found: Candidates) -> AmbiguousNameError:
    """The error about a name that names several things.

    Parameters
    ----------
    name
        What was asked for.
    found
        What it names.

    Returns
    -------
    AmbiguousNameError
        With one line.
    """
    listed = ", ".join(each.name for each in found.targets[:SHOWN])
    more = f", or one of {found.number - SHOWN} more" if found.number > SHOWN else ""
    return AmbiguousNameError(f"{shown(name)}: names {found.number} things: give one of {listed}{more}")


def find_execution(pipelines: Mapping[str, Pipeline], name: str) -> tuple[Pipeline, Execution]:
    """Finds an execution; parameters and errors as of `find`."""
    target = _find_execution(pipelines, name)
    if target is None:
        names = (graphlet_id(each.name, id_) for each in pipelines.values() for id_ in each.executions)
        raise UnknownNameError(message("execution", name, similar(name, names)))
    pipeline = pipelines[target.pipeline]
    return pipeline, pipeline.executions[target.id]


def find_graphlet(pipelines: Mapping[str, Pipeline], name: str) -> tuple[Pipeline, Graphlet | Run]:
    """Finds a graphlet by its id or its trainer's, or the run of a provisional one; errors as of `find`."""
    run = run_of_graphlet(pipelines, name)
    if run is not None:
        return pipelines[run.pipeline], pipelines[run.pipeline].runs[run.id]
    target = _find_execution(pipelines, name)
    if target is not None:
        pipeline = pipelines[target.pipeline]
        execution = pipeline.executions[target.id]
        if execution.graphlet is not None:
            return pipeline, execution.graphlet
        if execution.last_try is not None:
            last = graphlet_id(pipeline.name, execution.last_try.id)
            raise UnknownNameError(f"{shown(name)}: an earlier try, which has no graphlet of its own; give {last}")
    names = (graphlet_id(each.name, id_) for each in pipelines.values() for id_ in each.graphlets)
    raise UnknownNameError(message("graphlet", name, similar(name, names)))


def run_of_graphlet(pipelines: Mapping[str, Pipeline], name: str) -> Target | None:
    """The run of a provisional graphlet; None where there is none of this id."""
    parsed = parse_graphlet_id(name)
    if parsed is None or parsed.run is None or parsed.pipeline not in pipelines:
        return None
    return _of_kind(pipelines[parsed.pipeline], RUN_KIND, parsed.run)


def _find_execution(pipelines: Mapping[str, Pipeline], name: str) -> Target | None:
    """The one execution that a name names."""
    found = candidates(pipelines, name, (EXECUTION,))
    return only(name, found) if found.targets else None


def only(name: str, found: Candidates) -> Target:
    """The one candidate; raises AmbiguousNameError for several."""
    if found.number > 1:
        raise ambiguous(name, found)
    return found.targets[0]


def _by_full_name(pipelines: Mapping[str, Pipeline], name: str) -> Iterator[Target]:
    """What a full name names: the execution where there is also an artifact of this id, as in ids of graphlets."""
    first, slash, rest = name.partition("/")
    kind, colon, marked = rest.partition(":")
    if colon and kind in (EXECUTION, ARTIFACT):
        id_, with_writer, writer = marked.partition(":")
        parsed = [parse_graphlet_id(f"{first}{slash}{part}") for part in (id_, writer)]
        if parsed[0] is None or parsed[1] is None or parsed[0].trainer is None:
            return
        pipeline = pipelines.get(parsed[0].pipeline)
        if pipeline is None:
            return
        found = _of_kind(pipeline, kind, parsed[0].trainer)
        if found is not None and not with_writer:
            yield found
        elif found is not None and kind == ARTIFACT and _has_version(pipeline, found.id, parsed[1].trainer or ""):
            yield found._replace(writer=parsed[1].trainer or "")
        return
    graphlet = parse_graphlet_id(name)
    pipeline = pipelines.get(graphlet.pipeline) if graphlet is not None else None
    if graphlet is None or pipeline is None:
        return
    if graphlet.trainer is None:
        found = _of_kind(pipeline, RUN_KIND, graphlet.run or "")
    else:
        found = _of_kind(pipeline, EXECUTION, graphlet.trainer) or _of_kind(pipeline, ARTIFACT, graphlet.trainer)
    if found is not None:
        yield found


def _by_plain_name(pipelines: Mapping[str, Pipeline], name: str) -> Iterator[Target]:
    """What `<pipeline>/<id>` names, neither of them escaped; each of the slashes may end the pipeline."""
    position = name.find("/")
    while position >= 0:
        for pipeline in {name[:position], name[:position].replace("~1", "/").replace("~0", "~")}:
            if pipeline in pipelines:
                yield from _with_id(pipelines[pipeline], name[position + 1 :])
        position = name.find("/", position + 1)


def _by_id(pipelines: Mapping[str, Pipeline], name: str) -> Iterator[Target]:
    for pipeline in pipelines.values():
        yield from _with_id(pipeline, name)


def _with_id(pipeline: Pipeline, name: str) -> Iterator[Target]:
    """What has an id in a pipeline; `run:` and the other kinds may be before it, and runs need it."""
    kind, colon, marked = name.partition(":")
    for of_kind in (EXECUTION, ARTIFACT):
        found = _of_kind(pipeline, of_kind, name)
        if found is not None:
            yield found
    if colon and kind in KINDS:
        found = _of_kind(pipeline, kind, marked)
        if found is not None:
            yield found


def _of_kind(pipeline: Pipeline, kind: str, id_: str) -> Target | None:
    return Target(kind, pipeline.name, id_) if id_ in kept_in(pipeline)[kind] else None


def _has_version(pipeline: Pipeline, artifact_id: str, writer: str) -> bool:
    unversioned = pipeline.artifacts[artifact_id].unversioned
    return unversioned is not None and (writer or None) in unversioned.by_writer


def _names(pipelines: Mapping[str, Pipeline]) -> Iterator[str]:
    for pipeline in pipelines.values():
        for kind, ids in kept_in(pipeline).items():
            yield from (Target(kind, pipeline.name, id_).name for id_ in ids)
