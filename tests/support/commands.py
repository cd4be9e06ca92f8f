"""How a command of `stream-app` ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Run = Callable[..., "Ran"]


class Ran:
    """How a command ended and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> Any:
        """What was printed, as JSON."""
        return json.loads(self.out)
