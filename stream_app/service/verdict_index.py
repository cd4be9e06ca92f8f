"""The current verdicts, by graphlet, by run, and newest first."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from stream_app.core.outputs import PRUNE
from stream_app.times import text_to_time

#: A verdict in its JSON form.
VerdictRecord = dict[str, Any]


class VerdictIndex:
    """The last verdict on each graphlet. It is written by one thread and read by any.

    Parameters
    ----------
    verdicts
        In the order in which they were issued.
    limit
        At most so many are kept, the latest; None: all.
    """

    def __init__(self, verdicts: Iterable[VerdictRecord] = (), limit: int | None = None) -> None:
        self._limit = limit
        self._of_graphlet: dict[str, VerdictRecord] = {}
        #: Run -> pipeline -> graphlet -> number of its verdict: pipelines may have runs of one name.
        self._of_run: dict[str, dict[str, dict[str, int]]] = {}
        self._number = 0
        for verdict in verdicts:
            self.add(verdict)

    def add(self, verdict: VerdictRecord) -> None:
        """Adds a verdict, which replaces an earlier one on the same graphlet."""
        graphlet, pipeline, run = verdict["graphlet"], verdict["pipeline"], verdict["run"]
        self.drop(graphlet)
        self._of_graphlet[graphlet] = verdict
        self._number += 1
        if run is not None:
            self._of_run.setdefault(run, {}).setdefault(pipeline, {})[graphlet] = self._number
        if self._limit is not None and len(self._of_graphlet) > self._limit:
            self.drop(next(iter(self._of_graphlet)))

    def drop(self, graphlet: str) -> bool:
        """Removes the verdict on a graphlet; False when there is none."""
        verdict = self._of_graphlet.pop(graphlet, None)
        if verdict is None:
            return False
        pipeline, run = verdict["pipeline"], verdict["run"]
        if run is not None:
            pipelines = self._of_run[run]
            del pipelines[pipeline][graphlet]
            if not pipelines[pipeline]:
                del pipelines[pipeline]
            if not pipelines:
                del self._of_run[run]
        return True

    def before(self, time_ms: int) -> list[str]:
        """The graphlets whose last verdict is older than an event time in ms since 1970 UTC."""
        return [name for name, verdict in self._of_graphlet.items() if text_to_time(verdict["time"]) < time_ms]

    def __len__(self) -> int:
        return len(self._of_graphlet)

    def get(self, graphlet: str) -> VerdictRecord | None:
        """The verdict on a graphlet; None when there is none."""
        return self._of_graphlet.get(graphlet)

    def of_run(self, run: str, pipeline: str | None = None) -> list[VerdictRecord]:
        """The verdicts on a run and its trainers, in the order in which they were issued.

        Parameters
        ----------
        run
            The name of the run.
        pipeline
            Its pipeline; None: the runs of that name in all pipelines.
        """
        pipelines = self._of_run.get(run, {})
        found = list(pipelines.values()) if pipeline is None else [pipelines.get(pipeline, {})]
        numbered = [pair for graphlets in found for pair in list(graphlets.items())]
        names = [name for name, _ in sorted(numbered, key=itemgetter(1))]
        return [verdict for name in names if (verdict := self._of_graphlet.get(name)) is not None]

    def latest(self, limit: int, pipeline: str | None, decision: str | None) -> list[VerdictRecord]:
        """The latest verdicts, newest first.

        Parameters
        ----------
        limit
            At most so many.
        pipeline
            Only those of this pipeline; None: of all.
        decision
            Only those with this decision; None: with any.
        """
        found: list[VerdictRecord] = []
        for verdict in reversed(list(self._of_graphlet.values())):
            if len(found) >= limit:
                break
            if pipeline in (None, verdict["pipeline"]) and decision in (None, verdict["decision"]):
                found.append(verdict)
        return found


def deciding(verdicts: list[VerdictRecord], trainer: str | None) -> VerdictRecord | None:
    """The verdict that decides whether a run stops; None while there is none.

    For a trainer its own verdict decides, or that of its run while it has none. A run stops only if all of its trainers
    are flagged, or the run itself while it has none, so a verdict that lets one of them continue decides.

    Parameters
    ----------
    verdicts
        Those on the run and its trainers, in the order in which they were issued.
    trainer
        The trainer that may stop; None: the whole run.
    """
    on_run = [verdict for verdict in verdicts if verdict["trainer"] is None]
    on_trainers = [verdict for verdict in verdicts if verdict["trainer"] is not None]
    if trainer is not None:
        on_trainers = [verdict for verdict in on_trainers if verdict["trainer"] == trainer]
    candidates = on_trainers or on_run
    continuing = [verdict for verdict in candidates if verdict["decision"] != PRUNE]
    return next(reversed(continuing or candidates), None)
