"""Owners of pipelines by what the analysis of a fleet has kept of their executions."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.analysis.attribution import Attribution


class StateAttribution(Attribution):
    """Owners and prices without following events: `FleetAnalysis` keeps the properties that name owners."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The properties that `FleetAnalysis` is to keep."""
        return self._names

    def learn(self, pipeline: str, labels: Mapping[str, tuple[int, str]]) -> None:
        """Takes in the properties of a pipeline.

        Parameters
        ----------
        pipeline
            Its name.
        labels
            `PipelineAnalysis.labels`.
        """
        self._properties[pipeline] = dict(labels)
