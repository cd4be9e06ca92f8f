"""What is to be derived anew once an event's facts are merged."""

from __future__ import annotations

from collections.abc import Iterable

from stream_app.core.state.entities import Execution, Graphlet


class WorkList:
    """Graphlets and runs whose outcome may have changed, and executions whose ledger class may have."""

    __slots__ = ("_graphlets", "_runs", "_stale")

    def __init__(self) -> None:
        self._graphlets: dict[Graphlet, None] = {}
        self._runs: dict[str, None] = {}
        self._stale: dict[Execution, None] = {}

    def settle(self, graphlets: Iterable[Graphlet]) -> None:
        """Outcomes of graphlets are to be looked at again."""
        self._graphlets.update(dict.fromkeys(graphlets))

    def settle_one(self, graphlet: Graphlet) -> None:
        """A graphlet's outcome is to be looked at again."""
        self._graphlets[graphlet] = None

    def settle_run(self, run_id: str) -> None:
        """A run's end, or its trainers, may have changed."""
        self._runs[run_id] = None

    def rebook(self, executions: Iterable[Execution]) -> None:
        """Executions are to be booked anew."""
        self._stale.update(dict.fromkeys(executions))

    def rebook_one(self, execution: Execution) -> None:
        """An execution is to be booked anew."""
        self._stale[execution] = None

    def forget_graphlet(self, graphlet: Graphlet) -> None:
        """A graphlet is evicted."""
        self._graphlets.pop(graphlet, None)

    def forget_execution(self, execution: Execution) -> None:
        """An execution is evicted."""
        self._stale.pop(execution, None)

    @property
    def unsettled(self) -> bool:
        """Whether outcomes are to be looked at."""
        return bool(self._graphlets or self._runs)

    @property
    def runs(self) -> Iterable[str]:
        """The runs to be looked at."""
        return self._runs.keys()

    def take_runs(self) -> list[str]:
        """The runs to be looked at, which are off the list then."""
        taken, self._runs = list(self._runs), {}
        return taken

    def take_graphlets(self) -> list[Graphlet]:
        """The graphlets to be looked at, which are off the list then."""
        taken, self._graphlets = list(self._graphlets), {}
        return taken

    def take_stale(self) -> list[Execution]:
        """The executions to be booked anew, which are off the list then."""
        if not self._stale:
            return []
        taken, self._stale = list(self._stale), {}
        return taken
