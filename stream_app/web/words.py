"""The verdicts in force, as they are asked for: by graphlet, by run, newest first."""

from __future__ import annotations

from collections.abc import Iterable
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
        self._of_run: dict[str, dict[str, None]] = {}
        for verdict in verdicts:
            self.add(verdict)

    def add(self, verdict: Words) -> None:
        """A verdict was said."""
        graphlet = verdict["graphlet"]
        self._of_graphlet.pop(graphlet, None)
        self._of_graphlet[graphlet] = verdict
        if verdict["run"] is not None:
            self._of_run.setdefault(verdict["run"], {})[graphlet] = None
        if self._most is not None and len(self._of_graphlet) > self._most:
            self.drop(next(iter(self._of_graphlet)))

    def drop(self, graphlet: str) -> bool:
        """Forgets a graphlet; False when nothing was said of it."""
        verdict = self._of_graphlet.pop(graphlet, None)
        if verdict is None:
            return False
        siblings = self._of_run.get(verdict["run"], {})
        siblings.pop(graphlet, None)
        if not siblings:
            self._of_run.pop(verdict["run"], None)
        return True

    def before(self, time_ms: int) -> list[str]:
        """The graphlets whose last verdict is older than an event time, in ms since 1970 UTC."""
        return [name for name, verdict in self._of_graphlet.items() if text_to_time(verdict["time"]) < time_ms]

    def __len__(self) -> int:
        return len(self._of_graphlet)

    def get(self, graphlet: str) -> Words | None:
        """The verdict on a graphlet."""
        return self._of_graphlet.get(graphlet)

    def of_run(self, run: str) -> list[Words]:
        """The verdicts on a run and its trainers, in the order in which they were said."""
        names = list(self._of_run.get(run, ()))
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


def prunes(verdicts: list[Words], trainer: str | None) -> Words | None:
    """The verdict for which a run should stop, or None: it should go on.

    Asked for a trainer, its own verdict decides, or while there is none that of its run. Asked for a run, all of its
    trainers must be flagged, or while there are none the run itself.
    """
    on_run = [verdict for verdict in verdicts if verdict["trainer"] is None]
    on_trainers = [verdict for verdict in verdicts if verdict["trainer"] is not None]
    if trainer is not None:
        on_trainers = [verdict for verdict in on_trainers if verdict["trainer"] == trainer]
    deciding = on_trainers or on_run
    if deciding and all(verdict["decision"] == PRUNE for verdict in deciding):
        return deciding[-1]
    return None
