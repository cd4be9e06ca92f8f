"""Which runs are parents of others, and what a run is among them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from stream_app.sources.mlflow.roles import Role, has_model, may_train, parent_of, role_of
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.mlflow.runs import Span
from stream_app.sources.mlflow.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities import Run


class Family:
    """What is known of parents, children and registered runs in one pass.

    Parameters
    ----------
    tracking
        Answers what is not known.
    rules
        The rules.
    parents, registered
        Ids of the runs that are known to be parents of others, or to have been registered.
    """

    def __init__(self, tracking: Tracking, rules: Rules, parents: Iterable[str], registered: Iterable[str]) -> None:
        self._tracking, self._rules = tracking, rules
        self.parents, self.registered = set(parents), set(registered)
        self._children: dict[str, list[Run]] = {}
        #: Parent -> start and end of its children, when all are known.
        self._spans: dict[str, list[Span]] | None = None

    def read_all(self) -> None:
        """Reads the children of all parents."""
        spans: dict[str, list[Span]] = {}
        for child in self._tracking.all_children():
            parent = parent_of(child)
            if parent is not None:
                spans.setdefault(parent, []).append(_span(child))
        self.parents, self._spans = set(spans), spans

    def add(self, runs: Collection[Run]) -> None:
        """Learns from runs which others are parents, and reads the ancestors of all."""
        self.parents.update(parent for run in runs if (parent := parent_of(run)) is not None)
        self._tracking.fetch_ancestors(runs)

    def ask_registered(self, ids: Collection[str]) -> None:
        """Asks which of some runs were registered."""
        self.registered |= self._tracking.registered_runs(ids)

    def ask_parent(self, run: Run) -> bool:
        """Asks whether a run that is not known to be a parent is one."""
        run_id = run.info.run_id
        if self._spans is None and run_id not in self.parents and self.children(run_id):
            self.parents.add(run_id)
            return True
        return False

    def children(self, run_id: str) -> list[Run]:
        """The children of a run, which the server is asked for."""
        if run_id not in self._children:
            self._children[run_id] = self._tracking.children(run_id)
        return self._children[run_id]

    def spans(self, run_id: str) -> list[Span]:
        """Start and end of the children of a run in ms since 1970 UTC."""
        if self._spans is not None:
            return self._spans.get(run_id, [])
        return [_span(child) for child in self.children(run_id)]

    def role(self, run: Run) -> Role:
        """What a run is."""
        return role_of(
            run,
            self._rules,
            is_parent=run.info.run_id in self.parents,
            is_registered=run.info.run_id in self.registered,
            in_search=any(map(self._trains, self._tracking.ancestors(run))),
        )

    def _trains(self, parent: Run) -> bool:
        return may_train(parent, self._rules) and (has_model(parent) or parent.info.run_id in self.registered)


def _span(run: Run) -> Span:
    """One that has not ended is in its parent until the parent ends."""
    return run.info.start_time or 0, run.info.end_time or 1 << 62
