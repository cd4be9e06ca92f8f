"""Remembers the examples that were learned, for the retention of their pipeline's own time, and bounded in all."""

from __future__ import annotations

from array import array
from collections import OrderedDict

from stream_app.core.outputs import Example
from stream_app.core.units import DAY_MS

#: The detector's default retention of 30 days and its lateness of 7.
RETENTION_MS = 37 * DAY_MS
#: Graphlets remembered in all; beyond them the pipeline that has been silent longest is forgotten.
GRAPHLETS_MAX = 500_000


class _Pipeline:
    """The labels of one pipeline."""

    def __init__(self) -> None:
        self.clock_ms = 0
        #: When old entries are dropped next.
        self.sweep_ms = 0
        #: Graphlet -> its highest label revision, what the metrics counted for it, and when it was announced. The
        #: numbers are kept as bytes: a worker pauses while its learner is pickled, 150 ms longer with 38,000 arrays.
        self.seen: dict[str, tuple[int, bytes, int]] = {}

    def sweep(self, retention_ms: int) -> None:
        """Drops labels older than the retention; once a day of the pipeline's own time, so that each costs little.

        Whole days count, as in the detector: a graphlet that the detector still keeps may still be corrected.
        """
        self.sweep_ms = self.clock_ms + DAY_MS
        oldest_ms = (self.clock_ms - retention_ms) // DAY_MS * DAY_MS
        self.seen = {graphlet: label for graphlet, label in self.seen.items() if label[2] >= oldest_ms}


class SeenExamples:
    """The label revisions learned, by pipeline.

    Parameters
    ----------
    retention_ms
        How long a label is remembered, in ms of its pipeline's own time. It must not be shorter than the retention and
        lateness of the detector: a correction of a forgotten label counts as a new label.
    """

    def __init__(self, retention_ms: int = RETENTION_MS) -> None:
        self._retention_ms = retention_ms
        self._pipelines: OrderedDict[str, _Pipeline] = OrderedDict()
        self._size = 0
        #: Graphlets forgotten within the retention, because the bound was reached.
        self.forgotten = 0

    def known(self, example: Example) -> bool:
        """Whether this label, or a later one of the same graphlet, was learned."""
        pipeline = self._pipelines.get(example.pipeline)
        found = pipeline.seen.get(example.graphlet) if pipeline else None
        return found is not None and example.label_revision <= found[0]

    def counted(self, example: Example) -> array[float] | None:
        """What was counted for the graphlet's earlier label; None without one."""
        pipeline = self._pipelines.get(example.pipeline)
        found = pipeline.seen.get(example.graphlet) if pipeline else None
        return array("d", found[1]) if found else None

    def keep(self, example: Example, counted: array[float]) -> None:
        """Remembers a label and what was counted for it, and drops labels older than the retention."""
        pipeline = self._pipelines.setdefault(example.pipeline, _Pipeline())
        self._pipelines.move_to_end(example.pipeline)
        self._size -= len(pipeline.seen)
        pipeline.clock_ms = max(pipeline.clock_ms, example.announced_ms)
        pipeline.seen[example.graphlet] = (example.label_revision, counted.tobytes(), example.announced_ms)
        if pipeline.clock_ms >= pipeline.sweep_ms:
            pipeline.sweep(self._retention_ms)
        self._size += len(pipeline.seen)
        while self._size > GRAPHLETS_MAX and len(self._pipelines) > 1:
            _, oldest = self._pipelines.popitem(last=False)
            self._size -= len(oldest.seen)
            self.forgotten += len(oldest.seen)
