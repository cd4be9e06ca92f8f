"""The verdicts in force, as they are asked for: by graphlet, by run, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from stream_app.core.outputs import PRUNE
from stream_app.times import text_to_time

Words = dict[str, Any]


class Verdicts:
    """The last verdict on each graphlet, in wire form. Read by any thread, written by one.

    Of more than `most`, those said first are forgotten.
    """

    def __init__(self, verdicts: Iterable[Words] = (), most: int | None = None) -> None:
        self._most = most
        self._of_graphlet: dict[str, Words] = {}
        #: Run -> pipeline -> graphlet -> number of its verdict: pipelines may have runs of one name.
        self._of_run: dict[str, dict[str, dict[str, int]]] = {}
        self._number = 0
        for verdict in verdicts:
            self.add(verdict)

    def add(self, verdict: Words) -> None:
        """A verdict was said."""
        graphlet, pipeline, run = verdict["graphlet"], verdict["pipeline"], verdict["run"]
        self.drop(graphlet)
        self._of_graphlet[graphlet] = verdict
        self._number += 1
        if run is not None:
            self._of_run.setdefault(run, {}).setdefault(pipeline, {})[graphlet] = self._number
        if self._most is not None and len(self._of_graphlet) > self._most:
            self.drop(next(iter(self._of_graphlet)))

    def drop(self, graphlet: str) -> bool:
        """Forgets a graphlet; False when nothing was said of it."""
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
        """The graphlets whose last verdict is older than an event time, in ms since 1970 UTC."""
        return [name for name, verdict in self._of_graphlet.items() if text_to_time(verdict["time"]) < time_ms]

    def __len__(self) -> int:
        return len(self._of_graphlet)

    def get(self, graphlet: str) -> Words | None:
        """The verdict on a graphlet."""
        return self._of_graphlet.get(graphlet)

    def of_run(self, run: str, pipeline: str | None = None) -> list[Words]:
        """The verdicts on a run and its trainers, in the order in which they were said.

        Without a pipeline, those on the runs of that name in all pipelines.
        """
        pipelines = self._of_run.get(run, {})
        found = list(pipelines.values()) if pipeline is None else [pipelines.get(pipeline, {})]
        numbered = [pair for graphlets in found for pair in list(graphlets.items())]
        names = [name for name, _ in sorted(numbered, key=itemgetter(1))]
        return [verdict for name in names if (verdict := self._of_graphlet.get(name)) is not None]

    def latest(self, limit: int, pipeline: str | None, decision: str | None) -> list[Words]:
        """The last verdicts said, newest first, of a pipeline and with a decision where these are given."""
        found: list[Words] = []
        for verdict in reversed(list(self._of_graphlet.values())):
            if len(found) >= limit:
                break
            if pipeline in (None, verdict["pipeline"]) and decision in (None, verdict["decision"]):
                found.append(verdict)
        return found


def deciding(verdicts: list[Words], trainer: str | None) -> Words | None:
    """The verdict that decides whether a run stops, of those on it and its trainers; None while there is none.

    Asked for a trainer, its own verdict decides, or while there is none that of its run. Asked for a run, all of its
    trainers must be flagged, or while there are none the run itself: a verdict that lets one go on decides.
    """
    on_run = [verdict for verdict in verdicts if verdict["trainer"] is None]
    on_trainers = [verdict for verdict in verdicts if verdict["trainer"] is not None]
    if trainer is not None:
        on_trainers = [verdict for verdict in on_trainers if verdict["trainer"] == trainer]
    candidates = on_trainers or on_run
    going_on = [verdict for verdict in candidates if verdict["decision"] != PRUNE]
    return next(reversed(going_on or candidates), None)
