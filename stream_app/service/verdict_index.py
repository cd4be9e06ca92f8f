"""The current verdicts, by graphlet, by run, and newest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any, NamedTuple

from stream_app.core.outputs import PRUNE

#: A verdict in its JSON form.
VerdictRecord = dict[str, Any]


class _Place(NamedTuple):
    """The order in which verdicts were issued."""

    #: When it was issued, in ms since 1970 UTC.
    issued_ms: int
    #: Of verdicts issued in one millisecond, the order in which they were added.
    number: int


class VerdictIndex:
    """The last verdict on each graphlet. It is written by one thread and read by any.

    Verdicts may be added in any order, as those of several partitions are; what counts is when they were issued. Their
    event times do not count: those of a backfill are all of the past.

    Parameters
    ----------
    limit
        At most so many are kept, the latest; None: all.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._of_graphlet: dict[str, VerdictRecord] = {}
        self._places: dict[str, _Place] = {}
        #: Pipelines may have runs, and executions, of one name.
        self._of_run = _Names()
        self._of_trainer = _Names()
        self._number = 0
        #: Where there is a limit: the places, earliest first, of which some are those of former verdicts.
        self._earliest: list[tuple[_Place, str]] = []

    def add(self, verdict: VerdictRecord, issued_ms: int = 0) -> None:
        """Adds a verdict, which replaces an earlier one on the same graphlet.

        Parameters
        ----------
        verdict
            The verdict.
        issued_ms
            When it was issued, in ms since 1970 UTC.
        """
        graphlet = verdict["graphlet"]
        self.drop(graphlet)
        self._number += 1
        place = _Place(issued_ms, self._number)
        self._of_graphlet[graphlet] = verdict
        self._places[graphlet] = place
        self._of_run.add(verdict["run"], verdict)
        self._of_trainer.add(verdict["trainer"], verdict)
        if self._limit is not None:
            self._bound(place, graphlet, self._limit)

    def _bound(self, place: _Place, graphlet: str, limit: int) -> None:
        """Drops the verdict that was issued first while there are more than `limit`."""
        heapq.heappush(self._earliest, (place, graphlet))
        while len(self._of_graphlet) > limit:
            first, name = heapq.heappop(self._earliest)
            if self._places.get(name) == first:
                self.drop(name)
        if len(self._earliest) > 2 * limit:
            self._earliest = [(held, name) for name, held in self._places.items()]
            heapq.heapify(self._earliest)

    def drop(self, graphlet: str) -> bool:
        """Removes the verdict on a graphlet; False when there is none."""
        verdict = self._of_graphlet.pop(graphlet, None)
        if verdict is None:
            return False
        del self._places[graphlet]
        self._of_run.drop(verdict["run"], verdict)
        self._of_trainer.drop(verdict["trainer"], verdict)
        return True

    def before(self, time_ms: int) -> list[str]:
        """The graphlets whose last verdict was issued before a time in ms since 1970 UTC."""
        return [name for name, place in self._places.items() if place.issued_ms < time_ms]

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
        return self._in_order(self._of_run.graphlets(run, pipeline))

    def of_trainer(self, execution: str, pipeline: str | None = None) -> list[VerdictRecord]:
        """The verdicts on a trainer, one at most in each pipeline, in the order in which they were issued.

        Parameters
        ----------
        execution
            Its execution id.
        pipeline
            Its pipeline; None: the trainers of that id in all pipelines.
        """
        return self._in_order(self._of_trainer.graphlets(execution, pipeline))

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
        names = [
            name
            for name, verdict in list(self._of_graphlet.items())
            if pipeline in (None, verdict["pipeline"]) and decision in (None, verdict["decision"])
        ]
        return self._found(heapq.nlargest(limit, names, self._place))

    def _in_order(self, names: Iterable[str]) -> list[VerdictRecord]:
        return self._found(sorted(names, key=self._place))

    def _found(self, names: Iterable[str]) -> list[VerdictRecord]:
        """The verdicts on graphlets, but for those that were dropped meanwhile."""
        return [verdict for name in names if (verdict := self._of_graphlet.get(name)) is not None]

    def _place(self, name: str) -> _Place:
        return self._places.get(name, _DROPPED)


#: The place of a verdict that another thread has just dropped.
_DROPPED = _Place(0, 0)


class _Names:
    """The graphlets of each run, or of each trainer, by pipeline."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, dict[str, None]]] = {}

    def add(self, name: str | None, verdict: VerdictRecord) -> None:
        if name is not None:
            self._of.setdefault(name, {}).setdefault(verdict["pipeline"], {})[verdict["graphlet"]] = None

    def drop(self, name: str | None, verdict: VerdictRecord) -> None:
        if name is not None:
            pipelines, pipeline = self._of[name], verdict["pipeline"]
            del pipelines[pipeline][verdict["graphlet"]]
            if not pipelines[pipeline]:
                del pipelines[pipeline]
            if not pipelines:
                del self._of[name]

    def graphlets(self, name: str, pipeline: str | None) -> list[str]:
        pipelines = self._of.get(name, {})
        found = list(pipelines.values()) if pipeline is None else [pipelines.get(pipeline, {})]
        return [graphlet for graphlets in found for graphlet in list(graphlets)]

    def __len__(self) -> int:
        return sum(len(graphlets) for pipelines in self._of.values() for graphlets in pipelines.values())


def deciding(verdicts: list[VerdictRecord], trainer: str | None) -> list[VerdictRecord]:
    """The verdicts that decide whether a run stops, of which the last is the latest.

    For a trainer its own verdict decides, or that of its run while it has none. A run stops only if all of its trainers
    are flagged, or the run itself while it has none, so a verdict that lets one of them continue decides alone.

    Parameters
    ----------
    verdicts
        Those on the run and its trainers, in the order in which they were issued.
    trainer
        The trainer that may stop; None: the whole run.

    Returns
    -------
    list
        One that lets it continue, or all of those that flag it; none while there is none.
    """
    on_run = [verdict for verdict in verdicts if verdict["trainer"] is None]
    on_trainers = [verdict for verdict in verdicts if verdict["trainer"] is not None]
    if trainer is not None:
        on_trainers = [verdict for verdict in on_trainers if verdict["trainer"] == trainer]
    candidates = on_trainers or on_run
    continuing = [verdict for verdict in candidates if verdict["decision"] != PRUNE]
    return continuing[-1:] or candidates
