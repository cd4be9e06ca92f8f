"""What is found in one pipeline now, for whoever announces it."""

from __future__ import annotations

from stream_app.analysis.findings.figures import FindingFigures, figures_of_findings
from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.pipeline_findings import findings_of
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.core.features.ownership import labels_of


def look_at(analysis: PipelineAnalysis, owner: str, *, priced: bool) -> tuple[list[FindingFigures], dict[str, str]]:
    """Applies all rules to a pipeline.

    Parameters
    ----------
    analysis
        Its analysis, up to date.
    owner
        Its owner; "" where it is not known.
    priced
        Whether there is a rate card.

    Returns
    -------
    tuple
        The figures of its findings, and the texts among the properties of its last training and that one's run.
    """
    history = History(analysis)
    labels: dict[str, str] = {}
    if history.graphlets:
        pipeline = analysis.pipeline
        labels = labels_of(pipeline, pipeline.graphlets[history.graphlets[-1].trainer])
    found = figures_of_findings(findings_of(history).findings, lambda _: owner, priced=priced)
    return found.findings, labels
