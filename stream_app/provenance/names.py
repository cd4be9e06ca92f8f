"""From the name that a person gives to what it names: an execution, an artifact, a version of one, or a run.

Names are written like ids of graphlets (`core/ids.py`): `<pipeline>/<execution>`, `<pipeline>/artifact:<artifact>`,
`<pipeline>/run:<run>`. A version of an unversioned artifact is `<pipeline>/artifact:<artifact>:<writer>`. Where that
names nothing, ids are taken as they are, without escapes, and without a pipeline where one pipeline alone has them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from stream_app.core.ids import graphlet_id, parse_graphlet_id, run_graphlet_id
from stream_app.core.operators import RUN
from stream_app.core.state.entities import Execution, Graphlet, Run
from stream_app.core.state.pipeline import Pipeline
from stream_app.errors import StreamAppError
from stream_app.provenance.graph import ARTIFACT, EXECUTION, artifact_name

RUN_KIND = "run"
_KINDS = (EXECUTION, ARTIFACT, RUN_KIND)

#: Names in a message; names that are looked through for similar ones, and those of them that are compared.
_SHOWN, _LOOKED_THROUGH, _COMPARED = 3, 100_000, 500
#: Characters of a name that are shown.
_NAME_SHOWN = 200


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
    target = _find(pipelines, name, _KINDS)
    if target is None:
        raise UnknownNameError(_unknown("execution, artifact or run", name, _names(pipelines)))
    return _with_run(pipelines[target.pipeline], target)


def find_execution(pipelines: Mapping[str, Pipeline], name: str) -> tuple[Pipeline, Execution]:
    """Finds an execution; parameters and errors as of `find`."""
    target = _find(pipelines, name, (EXECUTION,))
    if target is None:
        names = (graphlet_id(each.name, id_) for each in pipelines.values() for id_ in each.executions)
        raise UnknownNameError(_unknown("execution", name, names))
    pipeline = pipelines[target.pipeline]
    return pipeline, pipeline.executions[target.id]


def find_graphlet(pipelines: Mapping[str, Pipeline], name: str) -> tuple[Pipeline, Graphlet | Run]:
    """Finds a graphlet by its id or its trainer's, or the run of a provisional one; errors as of `find`."""
    parsed = parse_graphlet_id(name)
    if parsed is not None and parsed.pipeline in pipelines and parsed.run is not None:
        pipeline = pipelines[parsed.pipeline]
        if parsed.run in pipeline.runs:
            return pipeline, pipeline.runs[parsed.run]
    target = _find(pipelines, name, (EXECUTION,))
    if target is not None:
        pipeline = pipelines[target.pipeline]
        execution = pipeline.executions[target.id]
        if execution.graphlet is not None:
            return pipeline, execution.graphlet
        if execution.last_try is not None:
            last = graphlet_id(pipeline.name, execution.last_try.id)
            raise UnknownNameError(f"{shown(name)}: an earlier try, which has no graphlet of its own; give {last}")
    names = (graphlet_id(each.name, id_) for each in pipelines.values() for id_ in each.graphlets)
    raise UnknownNameError(_unknown("graphlet", name, names))


def _find(pipelines: Mapping[str, Pipeline], name: str, kinds: tuple[str, ...]) -> Target | None:
    """The one thing of these kinds that a name names; raises AmbiguousNameError for several."""
    for found in (_by_full_name(pipelines, name), _by_plain_name(pipelines, name), _by_id(pipelines, name)):
        targets = sorted({each for each in found if each.kind in kinds})
        if len(targets) > 1:
            listed = ", ".join(each.name for each in targets[:_SHOWN])
            more = f", or one of {len(targets) - _SHOWN} more" if len(targets) > _SHOWN else ""
            raise AmbiguousNameError(f"{shown(name)}: names {len(targets)} things: give one of {listed}{more}")
        if targets:
            return targets[0]
    return None


def shown(name: str) -> str:
    """A name as a message has it."""
    return "".join(each if each.isprintable() else "?" for each in name[:_NAME_SHOWN])


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
    if colon and kind in _KINDS:
        found = _of_kind(pipeline, kind, marked)
        if found is not None:
            yield found


def _of_kind(pipeline: Pipeline, kind: str, id_: str) -> Target | None:
    kept: dict[str, Mapping[str, object]] = {
        EXECUTION: pipeline.executions,
        ARTIFACT: pipeline.artifacts,
        RUN_KIND: pipeline.runs,
    }
    return Target(kind, pipeline.name, id_) if id_ in kept[kind] else None


def _has_version(pipeline: Pipeline, artifact_id: str, writer: str) -> bool:
    unversioned = pipeline.artifacts[artifact_id].unversioned
    return unversioned is not None and (writer or None) in unversioned.by_writer


def _with_run(pipeline: Pipeline, target: Target) -> Target:
    """The run, for an execution of group run that is listed in it."""
    execution = pipeline.executions.get(target.id) if target.kind == EXECUTION else None
    if execution is None or execution.group != RUN or execution.run is None:
        return target
    return Target(RUN_KIND, pipeline.name, execution.run)


def _names(pipelines: Mapping[str, Pipeline]) -> Iterator[str]:
    makers: tuple[tuple[str, Callable[[str, str], str]], ...] = (
        ("executions", graphlet_id),
        ("artifacts", artifact_name),
        ("runs", run_graphlet_id),
    )
    for pipeline in pipelines.values():
        for kept, make in makers:
            yield from (make(pipeline.name, id_) for id_ in getattr(pipeline, kept))


def _unknown(what: str, name: str, names: Iterable[str]) -> str:
    """The message about an unknown name, with similar ones."""
    looked = list(islice(names, _LOOKED_THROUGH))
    if not looked:
        return f"{shown(name)}: no such {what}; there is none at all"
    wanted = name[:_NAME_SHOWN].casefold()
    last = wanted.rpartition("/")[2] or wanted
    alike = list(islice((each for each in looked if last in each.casefold()), _COMPARED))
    compared = alike or sorted(looked, key=lambda each: (abs(len(each) - len(name)), each))[:_COMPARED]
    near = difflib.get_close_matches(name[:_NAME_SHOWN], compared, _SHOWN, cutoff=0.5) or sorted(compared)[:_SHOWN]
    return f"{shown(name)}: no such {what}; there are, for instance, {', '.join(map(shown, near))}"
