"""The clocks of a notifier."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of a notifier: ms since 1970 UTC, seconds of a monotonic clock, and chance for jitter."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    now: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random
