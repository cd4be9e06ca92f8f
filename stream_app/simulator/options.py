"""The options of a simulated fleet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError


@dataclass(frozen=True)
class FleetOptions:
    """The options of a fleet, which is a function of them alone.

    Parameters
    ----------
    pipelines
        How many pipelines.
    days
        Days in which runs start; those in progress at the end run to their ends.
    seed
        Seed of all draws.
    start
        When the fleet begins, with its offset from UTC.
    runs_per_day
        Mean runs of a pipeline in a day.
    push_scale
        With 1 about 11 % of the trained models are pushed, with 0.1 about 1 %.
    regime_change_day
        The day on which the release policy of every pipeline is replaced by a stricter one; None: never.

    Raises
    ------
    OptionsError
        A value is out of its range.
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
        """When the fleet begins, in ms since 1970 UTC."""
        return round(self.start.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """The time from which on no run starts, in ms since 1970 UTC."""
        return self.start_ms + round(self.days * DAY_MS)
