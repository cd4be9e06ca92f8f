"""What is found in one pipeline now, for whoever announces it."""

from __future__ import annotations

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.findings.figures import FindingFigures, figures_of_findings
from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.pipeline_findings import findings_of
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.core.features.ownership import labels_of


class FleetLooks:
    """Looks at the pipelines of a fleet.

    Parameters
    ----------
    fleet
        The analysis, which follows a detector.
    attribution
        Prices and owners.
    """

    def __init__(self, fleet: FleetAnalysis, attribution: Attribution) -> None:
        self._fleet = fleet
        self._attribution = attribution

    def look_at(self, name: str) -> tuple[list[FindingFigures], dict[str, str]]:
        """Applies all rules to a pipeline.

        Parameters
        ----------
        name
            The name of a pipeline that the detector knows.

        Returns
        -------
        tuple
            The figures of its findings, and the texts among the properties of its last training and that one's run.
        """
        analysis, attribution = self._fleet.pipeline(name), self._attribution
        attribution.learn(name, analysis.labels)
        history, pipeline = History(analysis), analysis.pipeline
        labels: dict[str, str] = {}
        if history.graphlets:
            labels = labels_of(pipeline, pipeline.graphlets[history.graphlets[-1].trainer])
        found = findings_of(history).findings
        return figures_of_findings(found, attribution.owner, priced=attribution.rates.given).findings, labels
