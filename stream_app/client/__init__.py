"""The client that a pipeline imports: `should_prune` and OpenLineage facets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_app.client.openlineage import (
        Data,
        Execution,
        PipelineRun,
        Pruned,
        StreamAppArtifactDatasetFacet,
        StreamAppExecutionRunFacet,
    )

__all__ = [
    "Data",
    "Execution",
    "PipelineRun",
    "Pruned",
    "StreamAppArtifactDatasetFacet",
    "StreamAppExecutionRunFacet",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("stream_app.client.openlineage"), name)
