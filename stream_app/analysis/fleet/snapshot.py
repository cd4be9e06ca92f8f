"""What figures need of one pipeline, copied, so that they can be made while the analysis goes on, or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.analysis.fleet.cells import Cell, Key, merged
from stream_app.analysis.fleet.order import Since
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.analysis.redundancy import Figures


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """All that figures are made of.

    Attributes
    ----------
    name
        The name of the pipeline.
    now_ms
        Its clock, in ms since 1970 UTC.
    cells, first_ms, last_ms, labels
        As of `PipelineAnalysis`.
    since
        What was spent since its last push.
    redundancy
        Its redundant work.
    wasted_ms
        The compute that the ledger counts as wasted, in node-ms.
    """

    name: str
    now_ms: int
    cells: Mapping[Key, Cell]
    first_ms: int | None
    last_ms: int | None
    since: Since
    redundancy: Figures
    labels: Mapping[str, tuple[int, str]]
    wasted_ms: int


def snapshot_of(analysis: PipelineAnalysis) -> PipelineSnapshot:
    """Copies what figures need.

    Parameters
    ----------
    analysis
        Of a pipeline, up to date.

    Returns
    -------
    PipelineSnapshot
        It shares nothing with the analysis that changes.
    """
    pipeline = analysis.pipeline
    return PipelineSnapshot(
        name=pipeline.name,
        now_ms=pipeline.clock.now_ms,
        cells={key: merged((cell,)) for key, cell in analysis.cells.items()},
        first_ms=analysis.first_ms,
        last_ms=analysis.last_ms,
        since=analysis.since.to_pay,
        redundancy=analysis.redundancy.figures(),
        labels=dict(analysis.labels),
        wasted_ms=pipeline.ledger.wasted,
    )
