"""The analysis of all pipelines of a detector, which it follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from stream_app.analysis.fleet.execution_facts import PriceOf
from stream_app.analysis.fleet.fleet_rows import StoredRow, by_pipeline, changed_rows, load
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.core.outcomes import accounting
from stream_app.core.state.entities import Graphlet
from stream_app.core.state.pipeline import Pipeline


class FleetAnalysis:
    """Keeps the sums of every pipeline of a detector: `detector.follow(FleetAnalysis(...))`.

    An event costs nothing here but a place in the list of what changed. That list is worked off when figures are asked
    for, and where anything is about to be evicted.

    Parameters
    ----------
    nodes
        Execution type to number of nodes, for executions without a reported cost.
    price_of
        What an execution costs; None without a rate card.
    label_names
        The properties of executions of which the latest value is kept for each pipeline (`PipelineAnalysis.labels`).
    """

    def __init__(
        self,
        nodes: Mapping[str, float] | None = None,
        price_of: PriceOf | None = None,
        label_names: Collection[str] = (),
    ) -> None:
        self._nodes = nodes or {}
        self._price_of = price_of
        self._label_names = label_names
        self._pipelines: dict[str, PipelineAnalysis] = {}
        #: Rows that were loaded, of pipelines that have not entered yet.
        self._stored: dict[str, list[StoredRow]] = {}
        #: Pipeline -> how many rows are stored of what does not fit into one.
        self._parts: dict[str, int] = {}

    def load(self, rows: Mapping[bytes, bytes]) -> None:
        """Takes in what an earlier analysis knew of evicted work, before it follows a detector.

        Parameters
        ----------
        rows
            The rows of the same position as those of the detector; others than `FLEET` are left alone.

        Raises
        ------
        StateError
            A row cannot be read. It may also be raised by `enter`.
        """
        self._stored = by_pipeline(rows)

    def take_rows(self) -> list[tuple[bytes, bytes | None]]:
        """Returns the rows that changed since the last call.

        Returns
        -------
        list of tuple
            Key, which begins with `FLEET`, and value of each row; the value is None for a row that was dropped.
        """
        found: list[tuple[bytes, bytes | None]] = []
        for name, each in self._pipelines.items():
            if each.is_unsaved:
                rows, self._parts[name] = changed_rows(each, self._parts[name])
                found += rows
        return found

    def enter(self, pipeline: Pipeline) -> None:
        """Begins to follow a pipeline."""
        analysis = PipelineAnalysis(pipeline, self._nodes, self._price_of, self._label_names)
        self._parts[pipeline.name] = load(analysis, self._stored.pop(pipeline.name, []))
        self._pipelines[pipeline.name] = analysis

    def before_eviction(self, pipeline: Pipeline, closing: Sequence[Graphlet]) -> None:
        """Takes in what changed, before graphlets are closed."""
        self._pipelines[pipeline.name].close(closing)

    def after_eviction(self, pipeline: Pipeline) -> None:
        """Freezes what was evicted."""
        analysis = self._pipelines[pipeline.name]
        analysis.settle()
        analysis.freeze_evicted()

    def names(self) -> list[str]:
        """The names of the pipelines that there are."""
        return list(self._pipelines)

    def __contains__(self, name: str) -> bool:
        return name in self._pipelines

    def pipelines(self) -> Mapping[str, PipelineAnalysis]:
        """Takes in all changes.

        Returns
        -------
        Mapping of str to PipelineAnalysis
            The analysis of each pipeline, by name, up to date.
        """
        for name in self._pipelines:
            self.pipeline(name)
        return self._pipelines

    def pipeline(self, name: str) -> PipelineAnalysis:
        """Takes in the changes of one pipeline.

        Parameters
        ----------
        name
            The name of the pipeline.

        Returns
        -------
        PipelineAnalysis
            Its analysis, up to date.

        Raises
        ------
        KeyError
            The detector has seen no event of it.
        """
        analysis = self._pipelines[name]
        accounting.settle(analysis.pipeline, self._nodes)
        analysis.settle()
        analysis.settle_pushes()
        return analysis
