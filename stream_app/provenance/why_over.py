"""Why an execution is in a graphlet, where the pipelines are in several processes, each of which has some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from stream_app.core.ids import graphlet_id
from stream_app.core.state.pipeline import Pipeline
from stream_app.provenance.graph import EXECUTION
from stream_app.provenance.names import (
    Candidates,
    Target,
    UnknownNameError,
    all_candidates,
    candidates,
    only,
    pipeline_in,
    run_of_graphlet,
)
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
    candidates
        What it may name: the first three. The reading is 0 for the id of a provisional graphlet, and for others one
        more than that of `names.candidates`.
    similar
        Similar names; None where it names something.
    """

    candidates: Candidates
    similar: Similar | None

    def to_json(self) -> list[Any]:
        """A JSON array of its fields."""
        reading, number, targets = self.candidates
        near = list(self.similar) if self.similar is not None else None
        return [reading, number, [list(each) for each in targets], near]

    @classmethod
    def from_json(cls, record: Sequence[Any]) -> LookedUp:
        """What a JSON array of its fields says."""
        reading, number, targets, near = record
        found = Candidates(reading, number, [Target(*each) for each in targets])
        return cls(found, Similar(*near) if near is not None else None)


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
    run = run_of_graphlet(pipelines, name) if wanted == GRAPHLET else None
    if run is not None:
        return LookedUp(Candidates(0, 1, [run]), None)
    reading, number, targets = candidates(pipelines, name, (EXECUTION,))
    found = Candidates(1 + reading, number, targets[:SHOWN])
    if number:
        return LookedUp(found, None)
    kept = [(each.name, each.executions if wanted == EXECUTION else each.graphlets) for each in pipelines.values()]
    names = (graphlet_id(pipeline, id_) for pipeline, ids in kept for id_ in ids)
    return LookedUp(found, similar(name, names))


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
    pipeline = pipeline_in(name)
    if pipeline is not None:
        [kept] = await asked.look_up(name, wanted, pipeline)
        if kept.candidates.reading <= _FULL_NAME:
            return kept.candidates.targets[0].pipeline, name
    found = await asked.look_up(name, wanted)
    everywhere = all_candidates(each.candidates for each in found)
    if not everywhere.number:
        near = merged(name, [each.similar for each in found if each.similar is not None])
        raise UnknownNameError(message(wanted, name, near))
    target = only(name, everywhere)
    return target.pipeline, target.name
