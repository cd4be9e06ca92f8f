"""Which examples were learned: kept for the retention of their pipeline's own time, and bounded in all."""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque

from stream_app.core.outputs import Example

#: 30 days of retention and 7 of lateness: no example is sent twice or corrected further apart than that.
RETENTION_MS = 37 * 24 * 3600 * 1000
#: Graphlets remembered in all; beyond them the pipeline that has been silent longest is forgotten.
GRAPHLETS_MAX = 500_000


class _Pipeline:
    def __init__(self) -> None:
        self.clock_ms = 0
        #: (when said, graphlet, label revision) in the order of the log.
        self.said: deque[tuple[int, str, int]] = deque()
        #: Graphlet -> its highest label revision, and what the metrics counted for that.
        self.seen: dict[str, tuple[int, array[float]]] = {}


class Memory:
    """Label revisions learned, by pipeline."""

    def __init__(self) -> None:
        self._pipelines: OrderedDict[str, _Pipeline] = OrderedDict()
        self._size = 0

    def known(self, example: Example) -> bool:
        """Whether this label, or a later one of the same graphlet, was learned."""
        pipeline = self._pipelines.get(example.pipeline)
        found = pipeline.seen.get(example.graphlet) if pipeline else None
        return found is not None and example.label_revision <= found[0]

    def counted(self, example: Example) -> array[float] | None:
        """What was counted for the graphlet's earlier label; None without one."""
        pipeline = self._pipelines.get(example.pipeline)
        found = pipeline.seen.get(example.graphlet) if pipeline else None
        return found[1] if found else None

    def keep(self, example: Example, counted: array[float]) -> None:
        """Remember a label and what was counted for it, and forget what is older than the retention."""
        pipeline = self._pipelines.setdefault(example.pipeline, _Pipeline())
        self._pipelines.move_to_end(example.pipeline)
        self._size -= len(pipeline.seen)
        pipeline.clock_ms = max(pipeline.clock_ms, example.said_ms)
        pipeline.said.append((example.said_ms, example.graphlet, example.label_revision))
        pipeline.seen[example.graphlet] = (example.label_revision, counted)
        oldest_ms = pipeline.clock_ms - RETENTION_MS
        while pipeline.said[0][0] < oldest_ms:
            _, graphlet, revision = pipeline.said.popleft()
            if pipeline.seen[graphlet][0] == revision:
                del pipeline.seen[graphlet]
        self._size += len(pipeline.seen)
        while self._size > GRAPHLETS_MAX and len(self._pipelines) > 1:
            _, silent = self._pipelines.popitem(last=False)
            self._size -= len(silent.seen)
