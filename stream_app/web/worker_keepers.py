"""The workers as those who keep pipelines: what of a question concerns which of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from stream_app.core.decisions.policy import ENFORCE
from stream_app.core.outputs import PRUNE
from stream_app.provenance import questions
from stream_app.provenance.names import pipeline_in
from stream_app.provenance.nearest import PastStage
from stream_app.provenance.peers import lineage_over
from stream_app.provenance.why_over import LookedUp, why_over
from stream_app.service.verdict_index import VerdictIndex, VerdictRecord
from stream_app.web.asking import DEADLINE_SECONDS, Asker, Directory
from stream_app.web.limits import retry_after
from stream_app.web.problems import ProblemError

#: Verdicts kept: the latest.
VERDICTS_MAX = 200_000
#: The share of the time of a question for which verdicts wait for workers that say what is alike.
_FEATURES = 0.2
#: Nodes that are visited and edges that are looked at, of a page within a pipeline and a question across them: either
#: stops the events of a worker for some 50 ms at most, and a question across describes all that it looks at.
_WITHIN: Mapping[str, Any] = {"nodes_max": 20_000, "edges_max": 100_000}
_ACROSS: Mapping[str, Any] = {"nodes_max": 20_000, "question_edges_max": 20_000}
#: Verdicts of one question.
_VERDICTS_EACH = 100


class WorkerDirectory(Directory, Protocol):
    """Reads who has which partition, and which graphlets were labelled."""

    def partition_of(self, pipeline: str) -> int:
        """The partition of a pipeline."""

    def past(self, groups: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[PastStage]] | None:
        """The labelled stages of pipelines and stages; None while the examples have not been read."""

    async def run(self) -> None:
        """Reads until cancelled."""


class WorkerKeepers:
    """The workers; see `stream_app.service.answers.Keepers`.

    Parameters
    ----------
    directory
        Who has which partition.
    token
        The token that workers ask for; None: none.
    seconds
        For which is asked again where a partition moves.
    """

    def __init__(self, directory: WorkerDirectory, token: str | None = None, seconds: float = DEADLINE_SECONDS) -> None:
        self._directory = directory
        self._seconds = seconds
        self._asker = Asker(directory, token, seconds)
        self.verdicts = VerdictIndex(limit=VERDICTS_MAX)

    async def run(self) -> None:
        """Keeps the directory, until cancelled."""
        async with self._asker:
            await self._directory.run()

    def enforces(self, verdict: VerdictRecord) -> bool:
        """Whether the worker that issued it enforces its flags."""
        return bool(verdict["policy"]["mode"] == ENFORCE)

    async def pipelines_of_run(self, run: str) -> set[str]:
        """The pipelines with a verdict on a run of this name; where one stops it, all that have such a run."""
        known = self.verdicts.of_run(run)
        return await self._where_one_stops(known, questions.PIPELINES_OF, run=run)

    async def pipelines_of_trainer(self, trainer: str) -> set[str]:
        """The same for a trainer with this execution id."""
        known = self.verdicts.of_trainer(trainer)
        return await self._where_one_stops(known, questions.PIPELINES_WITH, trainer=trainer)

    async def _where_one_stops(self, known: Iterable[VerdictRecord], question: str, **parameters: Any) -> set[str]:
        verdicts = list(known)
        found = {verdict["pipeline"] for verdict in verdicts}
        stops = any(each["decision"] == PRUNE and self.enforces(each) for each in verdicts)
        if not (stops and self._directory.partitions):
            return found
        return found.union(*await self.ask_all(question, **parameters))

    async def pipelines_with(self, trainer: str) -> set[str]:
        """All pipelines that have a trainer with this execution id, with a verdict on it or without."""
        known = {verdict["pipeline"] for verdict in self.verdicts.of_trainer(trainer)}
        return known.union(*await self.ask_all(questions.PIPELINES_WITH, trainer=trainer))

    async def ask(self, pipeline: str, question: str, **parameters: Any) -> Any:
        """The answer of the worker that has a pipeline; errors as of `Asker.ask`."""
        self._find_workers()
        [found] = await self._asker.ask([self._directory.partition_of(pipeline)], question, parameters)
        return found

    async def ask_all(self, question: str, **parameters: Any) -> list[Any]:
        """The answers of all workers; errors as of `Asker.ask`."""
        self._find_workers()
        return await self._asker.ask(range(self._directory.partitions), question, parameters)

    async def lineage(self, name: str, how: Mapping[str, Any]) -> dict[str, Any]:
        """The lineage of a name: of a full name its worker is asked, of others and across pipelines all are."""
        self._find_workers()
        numbers: Collection[int] = range(self._directory.partitions)
        pipeline = pipeline_in(name)
        if pipeline is not None and not how.get("across"):
            found = await self.ask(pipeline, questions.LINEAGE, ask="find", name=name)
            if found["reading"] == 0:
                numbers = [self._directory.partition_of(pipeline)]
        bounds = _ACROSS if how.get("across") else _WITHIN
        return await self._asker.ask_peers(
            numbers, questions.LINEAGE, lambda peers: lineage_over(peers, name, **how, **bounds)
        )

    async def why(self, execution: str, graphlet: str) -> dict[str, Any]:
        """Why an execution is in a graphlet."""
        return await why_over(_Named(self), execution, graphlet)

    async def features(self, verdicts: Sequence[VerdictRecord]) -> list[Mapping[str, float] | None]:
        """For each verdict the features of its stage; None where its worker cannot be asked now."""
        if not self._directory.partitions:
            return [None] * len(verdicts)
        of_partition: dict[int, list[int]] = {}
        for index, verdict in enumerate(verdicts):
            of_partition.setdefault(self._directory.partition_of(verdict["pipeline"]), []).append(index)
        found: list[Mapping[str, float] | None] = [None] * len(verdicts)

        async def ask(number: int, indices: Sequence[int]) -> None:
            stages = [questions.stage_of(verdicts[index]) for index in indices]
            try:
                [features] = await self._asker.ask(
                    [number], questions.FEATURES, {"stages": stages}, self._seconds * _FEATURES
                )
            except ProblemError:
                return
            for index, each in zip(indices, features, strict=True):
                found[index] = each

        pieces = [
            (number, indices[start : start + _VERDICTS_EACH])
            for number, indices in of_partition.items()
            for start in range(0, len(indices), _VERDICTS_EACH)
        ]
        await asyncio.gather(*(ask(*piece) for piece in pieces))
        return found

    async def past(self, groups: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[PastStage]] | None:
        """The labelled stages of pipelines and stages; None while they are not known."""
        return self._directory.past(groups)

    def _find_workers(self) -> None:
        """Raises ProblemError where no worker has told where it answers."""
        if not self._directory.partitions:
            raise ProblemError(503, "no worker has told where it answers questions; ask again", retry_after(1))


class _Named:
    """The workers as those who look names up; see `stream_app.provenance.why_over`."""

    def __init__(self, keepers: WorkerKeepers) -> None:
        self._keepers = keepers

    async def look_up(self, name: str, wanted: str, pipeline: str | None = None) -> list[LookedUp]:
        asked = {"name": name, "wanted": wanted}
        if pipeline is not None:
            return [LookedUp.from_json(await self._keepers.ask(pipeline, questions.NAMES, **asked))]
        return [LookedUp.from_json(each) for each in await self._keepers.ask_all(questions.NAMES, **asked)]

    async def full_name(self, pipeline: str, name: str, wanted: str) -> str:
        return str(await self._keepers.ask(pipeline, questions.FULL_NAME, name=name, wanted=wanted))

    async def why(self, pipeline: str, execution: str, graphlet: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._keepers.ask(pipeline, questions.WHY, execution=execution, graphlet=graphlet)
        return found
