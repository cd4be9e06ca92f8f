"""What a user chooses of a fleet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError


@dataclass(frozen=True)
class FleetOptions:
    """A fleet is a function of these values alone.

    `days` bounds the starts of runs: those in flight at the end run to their ends. `runs_per_day` is the
    fleet's mean per pipeline. `push_scale` 1 gives about 11 % of the trained models pushed, 0.1 about 1 %. On
    `regime_change_day` every pipeline's release policy is drawn anew, and all of them stricter.

    Raises OptionsError for a value that makes no fleet.
    """

    pipelines: int = 200
    days: float = 30.0
    seed: int = 0
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    runs_per_day: float = 5.0
    push_scale: float = 1.0
    regime_change_day: float | None = None

    def __post_init__(self) -> None:
        if self.pipelines < 1:
            raise OptionsError(f"a fleet needs at least one pipeline, not {self.pipelines}")
        for name in ("days", "runs_per_day", "push_scale"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise OptionsError(f"{name} must be a number above 0, not {value}")
        if self.regime_change_day is not None and not self.regime_change_day >= 0:
            raise OptionsError(f"regime_change_day must be 0 or later, not {self.regime_change_day}")
        if self.start.tzinfo is None:
            raise OptionsError("start must say its offset from UTC")

    @property
    def start_ms(self) -> int:
        """The fleet's first instant, in ms since 1970 UTC."""
        return round(self.start.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """No run starts from here on."""
        return self.start_ms + round(self.days * DAY_MS)
