"""What a pipeline imports: runs sent as OpenLineage events; `should_prune` is at `stream_app`.

The names below need the package openlineage-python and load it when they are first used. Importing this package, and
asking with `should_prune`, needs the standard library alone.
"""

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
