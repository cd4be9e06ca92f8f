"""A streaming detector of wasted compute in machine-learning pipelines.

`Detector` applies events and returns outputs; `dispatch` teaches them to a `Learner` and hands them to `Handlers`.
`decode` makes an event of a native JSON message. `should_prune` asks a running service whether a run should stop.

Names are loaded when they are first used, so that importing this package costs a pipeline nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_app.client.pruning import pruning_verdict, should_prune
    from stream_app.core.decisions.policy import Policy
    from stream_app.core.detector import Detector, Settings
    from stream_app.core.dispatch import Handlers, dispatch
    from stream_app.core.events import ArtifactRef, Event
    from stream_app.core.learning.learner import Learner
    from stream_app.core.operators import Operators
    from stream_app.core.outputs import Closed, Example, Reason, Verdict
    from stream_app.errors import MalformedEvent
    from stream_app.sources.native import decode

#: Public name -> the module that defines it.
_DEFINED_IN = {
    "ArtifactRef": "stream_app.core.events",
    "Closed": "stream_app.core.outputs",
    "Detector": "stream_app.core.detector",
    "Event": "stream_app.core.events",
    "Example": "stream_app.core.outputs",
    "Handlers": "stream_app.core.dispatch",
    "Learner": "stream_app.core.learning.learner",
    "MalformedEvent": "stream_app.errors",
    "Operators": "stream_app.core.operators",
    "Policy": "stream_app.core.decisions.policy",
    "Reason": "stream_app.core.outputs",
    "Settings": "stream_app.core.detector",
    "Verdict": "stream_app.core.outputs",
    "decode": "stream_app.sources.native",
    "dispatch": "stream_app.core.dispatch",
    "pruning_verdict": "stream_app.client.pruning",
    "should_prune": "stream_app.client.pruning",
}

__all__ = [
    "ArtifactRef",
    "Closed",
    "Detector",
    "Event",
    "Example",
    "Handlers",
    "Learner",
    "MalformedEvent",
    "Operators",
    "Policy",
    "Reason",
    "Settings",
    "Verdict",
    "decode",
    "dispatch",
    "pruning_verdict",
    "should_prune",
]


def __getattr__(name: str) -> Any:
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_DEFINED_IN[name]), name)
