"""The work list: what must be derived again once an event's facts are merged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stream_app.core.state.entities import Execution, Graphlet


@dataclass(slots=True)
class Changed:
    """What changed since a follower asked last. Nothing that follows from the state changes without being listed.

    Attributes
    ----------
    executions
        Executions whose facts changed, those of what they wrote among them.
    members
        Executions that joined or left a graphlet as members.
    graphlets
        Graphlets whose members changed.
    outcomes
        Graphlets whose outcome changed.
    evicted
        Executions that were evicted; they are in no other list.
    """

    executions: dict[Execution, None] = field(default_factory=dict)
    members: dict[Execution, None] = field(default_factory=dict)
    graphlets: dict[Graphlet, None] = field(default_factory=dict)
    outcomes: dict[Graphlet, None] = field(default_factory=dict)
    evicted: dict[Execution, None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.executions or self.members or self.graphlets or self.outcomes or self.evicted)

    def forget(self, execution: Execution) -> None:
        """Moves an execution to those that were evicted."""
        self.executions.pop(execution, None)
        self.members.pop(execution, None)
        self.evicted[execution] = None


class WorkList:
    """Graphlets and runs whose outcome may have changed, and executions whose charge may have changed."""

    __slots__ = ("_changed", "_graphlets", "_runs", "_stale")

    def __init__(self) -> None:
        self._graphlets: dict[Graphlet, None] = {}
        self._runs: dict[str, None] = {}
        self._stale: dict[Execution, None] = {}
        #: None while nobody follows.
        self._changed: Changed | None = None

    def settle(self, graphlets: Iterable[Graphlet]) -> None:
        """Adds graphlets whose outcomes must be computed again."""
        self._graphlets.update(dict.fromkeys(graphlets))

    def settle_one(self, graphlet: Graphlet) -> None:
        """Adds a graphlet whose outcome must be computed again."""
        self._graphlets[graphlet] = None

    def settle_run(self, run_id: str) -> None:
        """Adds a run whose end, or trainers, may have changed."""
        self._runs[run_id] = None

    def rebook(self, executions: Iterable[Execution]) -> None:
        """Adds executions that must be booked again."""
        self._stale.update(dict.fromkeys(executions))

    def rebook_one(self, execution: Execution) -> None:
        """Adds an execution that must be booked again."""
        self._stale[execution] = None

    def change_facts(self, execution: Execution) -> None:
        """Adds an execution whose facts changed, to be booked again."""
        self._stale[execution] = None
        if self._changed is not None:
            self._changed.executions[execution] = None

    def change_members(self, graphlet: Graphlet, execution: Execution) -> None:
        """Adds an execution that joined or left a graphlet, to be booked again."""
        self._stale[execution] = None
        if self._changed is not None:
            self._changed.graphlets[graphlet] = None
            self._changed.members[execution] = None

    def change_outcome(self, graphlet: Graphlet) -> None:
        """Notes that the outcome of a graphlet changed."""
        if self._changed is not None:
            self._changed.outcomes[graphlet] = None

    def forget_graphlet(self, graphlet: Graphlet) -> None:
        """Removes an evicted graphlet."""
        self._graphlets.pop(graphlet, None)

    def forget_execution(self, execution: Execution) -> None:
        """Removes an evicted execution."""
        self._stale.pop(execution, None)
        if self._changed is not None:
            self._changed.forget(execution)

    @property
    def unsettled(self) -> bool:
        """Whether any outcome must be computed again."""
        return bool(self._graphlets or self._runs)

    @property
    def runs(self) -> Iterable[str]:
        """The runs on the list."""
        return self._runs.keys()

    def take_runs(self) -> list[str]:
        """Takes the runs off the list."""
        taken, self._runs = list(self._runs), {}
        return taken

    def take_graphlets(self) -> list[Graphlet]:
        """Takes the graphlets off the list."""
        taken, self._graphlets = list(self._graphlets), {}
        return taken

    def take_stale(self) -> list[Execution]:
        """Takes the executions off the list."""
        taken, self._stale = list(self._stale), {}
        return taken

    def keep_changes(self, already: Changed) -> None:
        """Lists, from now on, what changes for `take_changes`, beside what has changed already."""
        self._changed = already

    def take_changes(self) -> Changed:
        """Takes what changed since the last call."""
        taken = self._changed
        assert taken is not None
        self._changed = Changed()
        return taken
