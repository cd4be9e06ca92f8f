"""Pickles arrays as plain bytes, so that a checkpoint names no classes but the project's own."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_MARK = "array"
#: Types of plain numbers. For other texts numpy has a language of its own, which it parses as source.
_KIND = re.compile(r"[<>|][biuf][1248]")


class Packed:
    """Base of classes whose attributes are pickled as they are, arrays among them as (mark, type, shape, bytes)."""

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: (_MARK, value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
            for name, value in self.__dict__.items()
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            if isinstance(value, tuple) and value and value[0] == _MARK:
                _, kind, shape, raw = value
                if not _KIND.fullmatch(kind):
                    raise ValueError(f"no type of numbers: {kind!r:.40}")
                value = np.frombuffer(raw, dtype=kind).reshape(shape).copy()
            self.__dict__[name] = value
