"""Unpickling that creates nothing but the parts of a learner.

A pickle names the callables that restore it. Here only listed names are looked up: classes of the core, which perform
no I/O, and the few classes of river and the standard library that a learner contains.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from stream_app.errors import StateError

_CORE = "stream_app.core."
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("collections", "deque"),
    ("river._river_rust.drift", "AdaptiveWindowing"),
    ("river.drift.adwin", "ADWIN"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        if module.startswith(_CORE) and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise StateError(f"it names {module}.{name}, which is not part of a learner")


def loads(pickled: bytes) -> object:
    """The object that was pickled.

    Raises
    ------
    StateError
        The pickle is damaged, or names anything that is not part of a learner.
    """
    try:
        return _Unpickler(io.BytesIO(pickled)).load()
    except StateError:
        raise
    except Exception as error:  # a damaged pickle may raise anything at all
        raise StateError(f"it cannot be unpickled: {type(error).__name__}: {error}") from error
