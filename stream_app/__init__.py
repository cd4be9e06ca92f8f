"""A streaming detector of wasted compute in machine-learning pipelines.

`Detector` with a `Learner` is the whole of it, to be embedded; `decode` makes events of native JSON messages;
`should_prune` is for pipelines that ask a running service whether to go on.
Everything is loaded when it is first asked for, so that importing this package costs a pipeline nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_app.client.pruning import should_prune
    from stream_app.core.decisions.policy import Policy
    from stream_app.core.detector import Detector, Settings
    from stream_app.core.learning.learner import Learner
    from stream_app.core.operators import Operators
    from stream_app.sources.native import decode

_HOMES = {
    "Detector": "stream_app.core.detector",
    "Learner": "stream_app.core.learning.learner",
    "Operators": "stream_app.core.operators",
    "Policy": "stream_app.core.decisions.policy",
    "Settings": "stream_app.core.detector",
    "decode": "stream_app.sources.native",
    "should_prune": "stream_app.client.pruning",
}

__all__ = ["Detector", "Learner", "Operators", "Policy", "Settings", "decode", "should_prune"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
