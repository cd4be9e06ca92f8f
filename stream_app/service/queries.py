"""What is asked of an embedded detector, from any thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream_app.core.decisions.policy import ENFORCE
from stream_app.core.graphlets.description import describe
from stream_app.core.ids import parse_graphlet_id
from stream_app.core.state.entities import Graphlet
from stream_app.core.state.pipeline import Pipeline
from stream_app.provenance.difference import difference, last_pushed_before, portrait
from stream_app.provenance.nearest import Comparison, PastStage, known_features
from stream_app.service.detector_thread import Embedded
from stream_app.service.verdict_index import VerdictIndex, VerdictRecord
from stream_app.times import text_to_time


class EmbeddedQueries:
    """Answers questions about graphlets and verdicts. A question waits while the detector changes, which is not long.

    Parameters
    ----------
    embedded
        The detector.
    """

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded

    @property
    def verdicts(self) -> VerdictIndex:
        """The current verdicts."""
        return self._embedded.verdicts

    def pipelines_of(self, run: str) -> set[str]:
        """The pipelines that have a run of this name, with a verdict on it or without."""
        pipelines = list(self._embedded.detector.pipelines.values())
        known = {pipeline.name for pipeline in pipelines if run in pipeline.runs}
        return known | {verdict["pipeline"] for verdict in self.verdicts.of_run(run)}

    def pipelines_with(self, trainer: str) -> set[str]:
        """The pipelines that have a trainer with this execution id, with a verdict on it or without."""
        pipelines = list(self._embedded.detector.pipelines.values())
        known = {pipeline.name for pipeline in pipelines if trainer in pipeline.graphlets}
        return known | {verdict["pipeline"] for verdict in self.verdicts.of_trainer(trainer)}

    def enforces(self, _: VerdictRecord) -> bool:
        """Whether runs stop where a verdict says so."""
        return self._embedded.settings.detector.policy.mode == ENFORCE

    def graphlet(self, graphlet: str) -> dict[str, Any] | None:
        """A graphlet as the detector describes it; None when there is none."""
        with self._embedded.detector_lock:
            found = self._found(graphlet)
            return describe(*found, self._embedded.settings.detector.operators) if found is not None else None

    def nearest(self, verdicts: Sequence[VerdictRecord]) -> list[list[dict[str, Any]] | None]:
        """The past graphlets that are most alike at the stage of each verdict.

        Parameters
        ----------
        verdicts
            Current verdicts in their JSON form.

        Returns
        -------
        list
            For each verdict, in order, the JSON forms of its neighbours; None where its features are not kept any more.
        """
        known, past = [], dict[tuple[str, str], tuple[PastStage, ...]]()
        with self._embedded.detector_lock:
            for verdict in verdicts:
                group = verdict["pipeline"], verdict["stage"]
                if group not in past:
                    past[group] = self._embedded.past.of(*group)
                pipeline = self._embedded.detector.pipelines.get(verdict["pipeline"])
                names = [verdict[name] for name in ("graphlet", "run", "trainer", "stage", "validator")]
                known.append(known_features(pipeline, past[group], *names))
        comparisons = {group: Comparison(stages) for group, stages in past.items()}
        found: list[list[dict[str, Any]] | None] = []
        for verdict, features in zip(verdicts, known, strict=True):
            if features is None:
                found.append(None)
                continue
            comparison = comparisons[verdict["pipeline"], verdict["stage"]]
            neighbours = comparison.nearest(features, verdict["graphlet"], text_to_time(verdict["time"]))
            found.append([each.to_dict() for each in neighbours])
        return found

    def difference(self, graphlet: str, against: str | None = None) -> dict[str, Any] | None:
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
        operators = self._embedded.settings.detector.operators
        with self._embedded.detector_lock:
            found = self._found(graphlet)
            if found is None:
                return None
            other = self._found(against) if against is not None else last_pushed_before(*found)
            if other is None and against is not None:
                return None
            now = portrait(*found, operators)
            before = portrait(*other, operators) if other is not None else None
        return difference(now, before)

    def _found(self, graphlet: str) -> tuple[Pipeline, Graphlet] | None:
        name = parse_graphlet_id(graphlet)
        if name is None or name.trainer is None:
            return None
        pipeline = self._embedded.detector.pipelines.get(name.pipeline)
        found = pipeline.graphlets.get(name.trainer) if pipeline is not None else None
        return (pipeline, found) if pipeline is not None and found is not None else None
