"""What is asked of an embedded detector."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from stream_app.core.decisions.policy import ENFORCE
from stream_app.provenance.lineage import lineage
from stream_app.provenance.nearest import PastStage
from stream_app.provenance.questions import FEATURES, answer, pipelines_of, pipelines_with, stage_of
from stream_app.provenance.why import why
from stream_app.service.detector_thread import Embedded
from stream_app.service.verdict_index import VerdictIndex, VerdictRecord

Answer = TypeVar("Answer")


class EmbeddedKeeper:
    """Answers questions from the state of an embedded detector; see `stream_app.service.answers.Keepers`.

    A question occupies a thread and waits while the detector changes, which is not long: one after the other.

    Parameters
    ----------
    embedded
        The detector.
    """

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded
        self._turn = asyncio.Lock()

    @property
    def verdicts(self) -> VerdictIndex:
        """The current verdicts."""
        return self._embedded.verdicts

    def enforces(self, _: VerdictRecord) -> bool:
        """Whether runs stop where a verdict says so."""
        return self._embedded.settings.detector.policy.mode == ENFORCE

    async def pipelines_of_run(self, run: str) -> set[str]:
        """The pipelines that have a run of this name, with a verdict on it or without."""
        pipelines = dict(self._embedded.detector.pipelines)
        return {*pipelines_of(pipelines, run), *(verdict["pipeline"] for verdict in self.verdicts.of_run(run))}

    async def pipelines_of_trainer(self, trainer: str) -> set[str]:
        """As `pipelines_with`."""
        return await self.pipelines_with(trainer)

    async def pipelines_with(self, trainer: str) -> set[str]:
        """The pipelines that have a trainer with this execution id, with a verdict on it or without."""
        pipelines = dict(self._embedded.detector.pipelines)
        known = (verdict["pipeline"] for verdict in self.verdicts.of_trainer(trainer))
        return {*pipelines_with(pipelines, trainer), *known}

    async def ask(self, pipeline: str, question: str, **parameters: Any) -> Any:  # noqa: ARG002
        """The answer; errors as of `stream_app.provenance.questions.answer`."""
        return await self._answer(question, parameters)

    async def lineage(self, name: str, how: Mapping[str, Any]) -> dict[str, Any]:
        """The lineage of a name; errors as of `stream_app.provenance.lineage.lineage`."""
        operators = self._embedded.settings.detector.operators
        return await self._locked(lambda: lineage(self._embedded.detector.pipelines, name, operators, **how))

    async def why(self, execution: str, graphlet: str) -> dict[str, Any]:
        """Why an execution is in a graphlet; errors as of `stream_app.provenance.why.why`."""
        operators = self._embedded.settings.detector.operators
        return await self._locked(lambda: why(self._embedded.detector.pipelines, execution, graphlet, operators))

    async def features(self, verdicts: Sequence[VerdictRecord]) -> list[dict[str, float] | None]:
        """For each verdict the features of its stage, while its label may still change; None where not known."""
        stages = [stage_of(each) for each in verdicts]
        found: list[dict[str, float] | None] = await self._answer(FEATURES, {"stages": stages})
        return found

    async def past(self, groups: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[PastStage]]:
        """The labelled stages of pipelines and stages."""
        return await self._locked(lambda: {group: self._embedded.past.of(*group) for group in groups})

    async def _answer(self, question: str, parameters: Mapping[str, Any]) -> Any:
        operators = self._embedded.settings.detector.operators
        return await self._locked(lambda: answer(self._embedded.detector.pipelines, operators, question, parameters))

    async def _locked(self, find: Callable[[], Answer]) -> Answer:
        def ask() -> Answer:
            with self._embedded.detector_lock:
                return find()

        async with self._turn:
            return await asyncio.to_thread(ask)
