"""What figures need of one pipeline, copied, so that they can be made while the analysis goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stream_app.analysis.fleet.cells import Cell, Key, merged
from stream_app.analysis.fleet.order import Since
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.analysis.redundancy import Figures


@dataclass(frozen=True, slots=True)
class SnapshotClock:
    """The pipeline's clock, in ms since 1970 UTC."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class SnapshotPipeline:
    """The name and the clock of a pipeline."""

    name: str
    clock: SnapshotClock


@dataclass(frozen=True, slots=True)
class SnapshotRedundancy:
    """The redundant work of a pipeline."""

    found: Figures

    def figures(self) -> Figures:
        """The figures, as `RedundancyIndex.figures` gives them."""
        return self.found


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """The part of a `PipelineAnalysis` that figures read, with the same names.

    Attributes
    ----------
    pipeline, cells, first_ms, last_ms, since, redundancy, labels, revision
        As of `PipelineAnalysis`.
    wasted_ms
        The compute that the ledger counts as wasted, in node-ms.
    """

    pipeline: SnapshotPipeline
    cells: dict[Key, Cell]
    first_ms: int | None
    last_ms: int | None
    since: Since
    redundancy: SnapshotRedundancy
    labels: Mapping[str, tuple[int, str]]
    revision: int
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
        pipeline=SnapshotPipeline(pipeline.name, SnapshotClock(pipeline.clock.now_ms)),
        cells={key: merged((cell,)) for key, cell in analysis.cells.items()},
        first_ms=analysis.first_ms,
        last_ms=analysis.last_ms,
        since=replace(analysis.since),
        redundancy=SnapshotRedundancy(analysis.redundancy.figures()),
        labels=dict(analysis.labels),
        revision=analysis.revision,
        wasted_ms=pipeline.ledger.wasted,
    )
