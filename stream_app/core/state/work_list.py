"""The work list: what must be derived again once an event's facts are merged."""

from __future__ import annotations

from collections.abc import Iterable

from stream_app.core.state.entities import Execution, Graphlet


class WorkList:
    """Graphlets and runs whose outcome may have changed, and executions whose charge may have changed."""

    __slots__ = ("_graphlets", "_rebooked", "_runs", "_stale")

    def __init__(self) -> None:
        self._graphlets: dict[Graphlet, None] = {}
        self._runs: dict[str, None] = {}
        self._stale: dict[Execution, None] = {}
        self._rebooked: dict[Execution, None] | None = None

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

    def forget_graphlet(self, graphlet: Graphlet) -> None:
        """Removes an evicted graphlet."""
        self._graphlets.pop(graphlet, None)

    def forget_execution(self, execution: Execution) -> None:
        """Removes an evicted execution."""
        self._stale.pop(execution, None)

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
        if not self._stale:
            return []
        if self._rebooked is not None:
            self._rebooked.update(self._stale)
        taken, self._stale = list(self._stale), {}
        return taken

    def keep_rebooked(self) -> None:
        """Keeps, from now on, the executions that were booked again for `take_rebooked`."""
        self._rebooked = {}

    def take_rebooked(self) -> list[Execution]:
        """Takes the executions that were booked again since the last call.

        Their facts, the graphlets that they belong to, or the outcomes of these have changed. Nothing that follows
        from an execution has changed without it being listed.
        """
        if not self._rebooked:
            return []
        taken, self._rebooked = list(self._rebooked), {}
        return taken
