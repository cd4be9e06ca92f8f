"""Answers about graphlets and lineage, put together from what those say who keep the state of pipelines.

An embedded detector keeps all pipelines; of workers each keeps some. The questions are those of
`stream_app.provenance.questions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from stream_app.core.ids import parse_graphlet_id
from stream_app.provenance import questions
from stream_app.provenance.difference import Portrait, difference
from stream_app.provenance.nearest import Comparison, PastStage, labelled_features
from stream_app.service.verdict_index import VerdictIndex, VerdictRecord
from stream_app.times import text_to_time

#: Labelled stages by pipeline and stage.
Past = Mapping[tuple[str, str], Sequence[PastStage]]


class Keepers(Protocol):
    """Those who keep the state of pipelines, together.

    Each method may raise an error of whoever implements it where they cannot be asked now.
    """

    @property
    def verdicts(self) -> VerdictIndex:
        """The current verdicts."""

    def enforces(self, verdict: VerdictRecord) -> bool:
        """Whether a run stops where this verdict says so."""

    async def pipelines_of_run(self, run: str) -> set[str]:
        """The pipelines that have a run of this name, as far as verdicts tell, or as that may change who stops."""

    async def pipelines_of_trainer(self, trainer: str) -> set[str]:
        """The same for a trainer with this execution id."""

    async def pipelines_with(self, trainer: str) -> set[str]:
        """All pipelines that have a trainer with this execution id, with a verdict on it or without."""

    async def ask(self, pipeline: str, question: str, **parameters: Any) -> Any:
        """The answer of whoever keeps a pipeline; errors as of `stream_app.provenance.questions.answer`."""

    async def lineage(self, name: str, how: Mapping[str, Any]) -> dict[str, Any]:
        """The lineage of a name; `how` has the keywords of `stream_app.provenance.lineage.lineage`, errors as there."""

    async def why(self, execution: str, graphlet: str) -> dict[str, Any]:
        """Why an execution is in a graphlet; all as of `stream_app.provenance.why.why`."""

    async def features(self, verdicts: Sequence[VerdictRecord]) -> Sequence[Mapping[str, float] | None]:
        """For each verdict the features of its stage, while its label may still change; None where not known."""

    async def past(self, groups: Collection[tuple[str, str]]) -> Past | None:
        """The labelled stages of pipelines and stages; None while they are not known."""


class Answers:
    """Answers about graphlets and lineage.

    Parameters
    ----------
    keepers
        Those who are asked.
    """

    def __init__(self, keepers: Keepers) -> None:
        self._keepers = keepers

    @property
    def verdicts(self) -> VerdictIndex:
        """The current verdicts."""
        return self._keepers.verdicts

    def enforces(self, verdict: VerdictRecord) -> bool:
        """Whether a run stops where this verdict says so."""
        return self._keepers.enforces(verdict)

    async def pipelines_of_run(self, run: str) -> set[str]:
        """The pipelines of a run; see `Keepers`."""
        return await self._keepers.pipelines_of_run(run)

    async def pipelines_of_trainer(self, trainer: str) -> set[str]:
        """The pipelines of a trainer; see `Keepers`."""
        return await self._keepers.pipelines_of_trainer(trainer)

    async def pipelines_with(self, trainer: str) -> set[str]:
        """All pipelines of a trainer; see `Keepers`."""
        return await self._keepers.pipelines_with(trainer)

    async def graphlet(self, graphlet: str) -> dict[str, Any] | None:
        """A graphlet as the detector describes it; None when there is none of this id."""
        name = parse_graphlet_id(graphlet)
        if name is None or name.trainer is None:
            return None
        found: dict[str, Any] | None = await self._keepers.ask(name.pipeline, questions.GRAPHLET, id=graphlet)
        return found

    async def difference(self, graphlet: str, against: str | None = None) -> dict[str, Any] | None:
        """The difference of a graphlet from another.

        Parameters
        ----------
        graphlet
            Its id.
        against
            The id of the other; None: the last one of the same pipeline before it that was pushed.

        Returns
        -------
        dict or None
            As of `stream_app.provenance.difference.difference`; None when there is no such graphlet, or no such other.
        """
        found = await self._portraits(graphlet)
        other = await self._portraits(against) if against is not None else None
        if found is None or (against is not None and other is None):
            return None
        now, before = found
        return difference(now, other[0] if other is not None else before)

    async def _portraits(self, graphlet: str) -> tuple[Portrait, Portrait | None] | None:
        """A graphlet, and the last push before it; None when there is no such graphlet."""
        name = parse_graphlet_id(graphlet)
        found = None if name is None else await self._keepers.ask(name.pipeline, questions.PORTRAITS, id=graphlet)
        if found is None:
            return None
        now, before = found
        return Portrait.from_dict(now), Portrait.from_dict(before) if before is not None else None

    async def nearest(self, verdicts: Sequence[VerdictRecord]) -> list[list[dict[str, Any]] | None]:
        """The past graphlets that are most alike at the stage of each verdict.

        Parameters
        ----------
        verdicts
            Current verdicts in their JSON form.

        Returns
        -------
        list
            For each verdict, in order, the JSON forms of its neighbours; None where its features are not known.
        """
        # In this order: a stage that is labelled in between is known by both.
        features = await self._keepers.features(verdicts)
        past = await self._keepers.past({(each["pipeline"], each["stage"]) for each in verdicts})
        if past is None:
            return [None] * len(verdicts)
        return await asyncio.to_thread(_nearest, verdicts, features, past)

    async def decision(self, verdict: VerdictRecord) -> dict[str, Any] | None:
        """All that a verdict was made of and led to; None where that is not kept any more.

        Parameters
        ----------
        verdict
            The verdict in its JSON form.

        Returns
        -------
        dict or None
            As of `stream_app.provenance.decision.decision_record`.
        """
        found: dict[str, Any] | None = await self._keepers.ask(
            verdict["pipeline"], questions.DECISION, verdict=verdict
        )  # fmt: skip
        return found

    async def lineage(self, name: str, how: Mapping[str, Any]) -> dict[str, Any]:
        """The lineage of a name; see `Keepers`."""
        return await self._keepers.lineage(name, how)

    async def why(self, execution: str, graphlet: str) -> dict[str, Any]:
        """Why an execution is in a graphlet; see `Keepers`."""
        return await self._keepers.why(execution, graphlet)


def _nearest(
    verdicts: Sequence[VerdictRecord], features: Sequence[Mapping[str, float] | None], past: Past
) -> list[list[dict[str, Any]] | None]:
    comparisons = {group: Comparison(stages) for group, stages in past.items()}
    found: list[list[dict[str, Any]] | None] = []
    for verdict, predicted in zip(verdicts, features, strict=True):
        group = verdict["pipeline"], verdict["stage"]
        known = predicted
        if known is None:
            names = [verdict[name] for name in ("graphlet", "stage", "validator")]
            known = labelled_features(past[group], *names)
        if known is None:
            found.append(None)
            continue
        neighbours = comparisons[group].nearest(known, verdict["graphlet"], text_to_time(verdict["time"]))
        found.append([each.to_dict() for each in neighbours])
    return found
