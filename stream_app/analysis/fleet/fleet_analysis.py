"""The analysis of all pipelines of a detector, which it follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_app.analysis.fleet.execution_facts import PriceOf
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.core.outcomes import accounting
from stream_app.core.state.entities import Graphlet
from stream_app.core.state.pipeline import Pipeline


class FleetAnalysis:
    """Keeps the sums of every pipeline of a detector: `detector.follow(FleetAnalysis(...))`.

    An event costs nothing here but a place in the list of what changed. That list is worked off when figures are asked
    for, and before anything is evicted.

    Parameters
    ----------
    nodes
        Execution type to number of nodes, for executions without a reported cost.
    price_of
        What an execution costs; None without a rate card.
    """

    def __init__(self, nodes: Mapping[str, float] | None = None, price_of: PriceOf | None = None) -> None:
        self._nodes = nodes or {}
        self._price_of = price_of
        self._pipelines: dict[str, PipelineAnalysis] = {}

    def enter(self, pipeline: Pipeline) -> None:
        """Begins to follow a pipeline."""
        self._pipelines[pipeline.name] = PipelineAnalysis(pipeline, self._nodes, self._price_of)

    def before_eviction(self, pipeline: Pipeline, closing: Sequence[Graphlet]) -> None:
        """Takes in what changed, before graphlets are closed."""
        analysis = self._pipelines[pipeline.name]
        analysis.settle()
        analysis.close(closing)

    def after_eviction(self, pipeline: Pipeline) -> None:
        """Freezes what was evicted."""
        analysis = self._pipelines[pipeline.name]
        analysis.settle()
        analysis.freeze_evicted()

    def pipelines(self) -> Mapping[str, PipelineAnalysis]:
        """Takes in all changes.

        Returns
        -------
        Mapping of str to PipelineAnalysis
            The analysis of each pipeline, by name, up to date.
        """
        for analysis in self._pipelines.values():
            accounting.settle(analysis.pipeline, self._nodes)
            analysis.settle()
            analysis.settle_pushes()
        return self._pipelines
