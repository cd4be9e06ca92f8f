"""Why an execution is in a graphlet, where the pipelines are in several processes, each of which has some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from stream_app.core.ids import graphlet_id, parse_graphlet_id
from stream_app.core.state.pipeline import Pipeline
from stream_app.provenance.graph import EXECUTION
from stream_app.provenance.names import RUN_KIND, Candidates, Target, UnknownNameError, ambiguous, candidates
from stream_app.provenance.similar import SHOWN, Similar, merged, message, similar
from stream_app.provenance.why import in_other_pipeline

GRAPHLET = "graphlet"
#: What may be looked for.
WANTED = (EXECUTION, GRAPHLET)
#: The last reading of a name that has its pipeline in it, without which other pipelines have nothing of it.
_FULL_NAME = 1


class Asked(Protocol):
    """Whoever has the pipelines."""

    async def look_up(self, name: str, wanted: str, pipeline: str | None = None) -> Sequence[LookedUp]:
        """What `look_up` gives where a pipeline is, or everywhere."""

    async def full_name(self, pipeline: str, name: str, wanted: str) -> str:
        """The full name of an execution, or the id of a graphlet; raises UnknownNameError where it is neither."""

    async def why(self, pipeline: str, execution: str, graphlet: str) -> dict[str, Any]:
        """What `why` gives where a pipeline is."""


class LookedUp(NamedTuple):
    """What one process has of a name.

    Parameters
    ----------
    reading
        How the name was read, the first way in which it names anything.
    number
        How many things it names.
    targets
        The first of them.
    similar
        Similar names; None where it names something.
    """

    reading: int
    number: int
    targets: list[Target]
    similar: Similar | None

    def to_json(self) -> list[Any]:
        """A JSON array of its fields."""
        near = list(self.similar) if self.similar is not None else None
        return [self.reading, self.number, [list(each) for each in self.targets], near]

    @classmethod
    def from_json(cls, record: Sequence[Any]) -> LookedUp:
        """What a JSON array of its fields says."""
        reading, number, targets, near = record
        return cls(reading, number, [Target(*each) for each in targets], Similar(*near) if near is not None else None)


def look_up(pipelines: Mapping[str, Pipeline], name: str, wanted: str) -> LookedUp:
    """Looks a name up.

    Parameters
    ----------
    pipelines
        Pipelines by name.
    name
        The full name, or an id as it is.
    wanted
        One of `WANTED`.
    """
    run = _run_of_graphlet(pipelines, name) if wanted == GRAPHLET else None
    if run is not None:
        return LookedUp(0, 1, [run], None)
    found = candidates(pipelines, name, (EXECUTION,))
    if found.targets:
        return LookedUp(1 + found.reading, found.number, found.targets[:SHOWN], None)
    kept = [(each.name, each.executions if wanted == EXECUTION else each.graphlets) for each in pipelines.values()]
    names = (graphlet_id(pipeline, id_) for pipeline, ids in kept for id_ in ids)
    return LookedUp(1 + found.reading, 0, [], similar(name, names))


async def why_over(asked: Asked, execution: str, graphlet: str) -> dict[str, Any]:
    """Tells why an execution is in a graphlet, or why not; result and errors as of `why`.

    Parameters
    ----------
    asked
        Whoever has the pipelines.
    execution, graphlet
        Their names.
    """
    at_home, member = await _find(asked, execution, EXECUTION)
    pipeline, found = await _find(asked, graphlet, GRAPHLET)
    if pipeline == at_home:
        return await asked.why(pipeline, member, found)
    return in_other_pipeline(
        await asked.full_name(at_home, member, EXECUTION), await asked.full_name(pipeline, found, GRAPHLET)
    )


async def _find(asked: Asked, name: str, wanted: str) -> tuple[str, str]:
    """The pipeline of what a name names, and a name by which it is found there."""
    parsed = parse_graphlet_id(f"{name.partition('/')[0]}/")
    if parsed is not None and "/" in name:
        [kept] = await asked.look_up(name, wanted, parsed.pipeline)
        if kept.reading <= _FULL_NAME:
            return kept.targets[0].pipeline, name
    target = _only(await asked.look_up(name, wanted), name, wanted)
    return target.pipeline, target.name


def _only(found: Sequence[LookedUp], name: str, wanted: str) -> Target:
    """The one thing that a name names everywhere; raises UnknownNameError or AmbiguousNameError."""
    reading = min(each.reading for each in found)
    first = [each for each in found if each.reading == reading]
    number, targets = sum(each.number for each in first), sorted(one for each in first for one in each.targets)
    if not number:
        near = merged(name, [each.similar for each in found if each.similar is not None])
        raise UnknownNameError(message(wanted, name, near))
    if number > 1:
        raise ambiguous(name, Candidates(reading, number, targets))
    return targets[0]


def _run_of_graphlet(pipelines: Mapping[str, Pipeline], name: str) -> Target | None:
    """The run of a provisional graphlet."""
    parsed = parse_graphlet_id(name)
    if parsed is None or parsed.run is None or parsed.pipeline not in pipelines:
        return None
    kept = parsed.run in pipelines[parsed.pipeline].runs
    return Target(RUN_KIND, parsed.pipeline, parsed.run) if kept else None
