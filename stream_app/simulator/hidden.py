"""What happens to a pipeline from outside, whatever it runs: its data, its code, freezes and changes of policy.

Nothing here depends on what was run or pruned, and time only moves forward: each stream makes what happened
up to an instant and keeps no more of it than a run can still read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.simulator.draws import generator, spread
from stream_app.simulator.options import FleetOptions
from stream_app.simulator.traits import Policy, Traits, draw_policy

#: Spans kept: the longest window and what a run may catch up with.
SPANS_KEPT = 40
#: Mean days between a pipeline's own changes of policy, and between freezes.
POLICY_DAYS, FREEZE_DAYS = 90.0, 25.0


@dataclass(frozen=True, slots=True)
class Span:
    """One unit of input data."""

    index: int
    #: How far the data has moved since the beginning, in units in which policies weigh it.
    drift: float
    #: What statistics show of the last move.
    drift_distance: float
    examples: int
    #: Broken at its source; `anomalies` is what validation finds, in good spans too.
    bad: bool
    anomalies: int


class Spans:
    """The data spans of a pipeline, with slow drift and sudden shifts."""

    def __init__(self, options: FleetOptions, traits: Traits) -> None:
        self._rng = generator(options.seed, "spans", traits.index)
        self._step_ms = max(1, round(traits.period_ms * traits.span_periods))
        self._next_ms = traits.born_ms - SPANS_KEPT // 2 * self._step_ms
        self._rate = spread(self._rng, 0.08, 0.7, 0.01, 0.4)
        self._examples = spread(self._rng, 1e6, 1.5, 1e3, 1e9)
        self._index = 0
        self._drift = 0.0
        self.recent: deque[Span] = deque(maxlen=SPANS_KEPT)

    def advance(self, now_ms: int) -> None:
        """Make the spans that arrived up to now."""
        while self._next_ms <= now_ms:
            self._next_ms += round(self._step_ms * (0.9 + 0.2 * self._rng.random()))
            self.recent.append(self._make())

    def _make(self) -> Span:
        rng = self._rng
        shift = 2.0 * rng.random() if rng.random() < 0.02 else 0.0
        move = self._rate * 2.0 * rng.random() + shift
        bad = rng.random() < 0.03
        anomalies = int(rng.expovariate(0.25)) + 1 if bad and rng.random() < 0.7 else int(rng.random() < 0.06)
        self._index += 1
        self._drift += move
        return Span(
            index=self._index,
            drift=self._drift,
            drift_distance=round(move * spread(rng, 1.0, 0.5, 0.1, 10.0), 4),
            examples=int(self._examples * spread(rng, 1.0, 0.15, 0.5, 2.0)),
            bad=bad,
            anomalies=anomalies,
        )


class Code:
    """The code of a pipeline: commits move quality a little, and some break it until the next commit mends it."""

    def __init__(self, options: FleetOptions, traits: Traits) -> None:
        self._rng = generator(options.seed, "code", traits.index)
        self._traits = traits
        self._per_day = spread(self._rng, 0.25, 0.8, 0.03, 2.0)
        self._breaks = spread(self._rng, 0.14, 0.5, 0.03, 0.5)
        self._next_ms = traits.born_ms + round(self._rng.expovariate(self._per_day) * DAY_MS)
        #: What broken code does: "" when it is sound, `transform` and `train` crash, `silent` makes bad
        #: models.
        self.broken = ""
        self.quality = 0.0
        self.version = f"{self._rng.getrandbits(28):07x}"

    def advance(self, now_ms: int) -> None:
        """Make the commits up to now."""
        while self._next_ms <= now_ms:
            rng = self._rng
            self.version = f"{rng.getrandbits(28):07x}"
            breaks = not self.broken and rng.random() < self._breaks
            if breaks:
                kind = rng.choices(("transform", "train", "silent"), (0.2, 0.4, 0.4))[0]
                self.broken = "train" if kind == "transform" and not self._traits.has_transform else kind
                wait_ms = HOUR_MS * spread(rng, 20.0, 0.8, 1.0, 240.0)
            else:
                self.broken = ""
                self.quality += rng.gauss(0.05, 0.35)
                wait_ms = DAY_MS * rng.expovariate(self._per_day)
            self._next_ms += max(1, round(wait_ms))


class Rules:
    """The release policy in force, and whether pushes are frozen."""

    def __init__(self, options: FleetOptions, traits: Traits) -> None:
        self._rng = generator(options.seed, "rules", traits.index)
        self._options = options
        self._traits = traits
        self._changes = 0
        self._next_change_ms = traits.born_ms + self._wait_ms(POLICY_DAYS)
        self._fleet_change_ms: int | None = None
        if options.regime_change_day is not None:
            self._fleet_change_ms = options.start_ms + round(options.regime_change_day * DAY_MS)
        self._freeze_ms = traits.born_ms + self._wait_ms(FREEZE_DAYS)
        self._thaw_ms = self._freeze_ms + self._freeze_length_ms()
        self._strict = False
        self.frozen = False
        self.policy: Policy = draw_policy(options, traits, "first", strict=False)

    def advance(self, now_ms: int) -> None:
        """Apply what changed up to now."""
        if self._fleet_change_ms is not None and self._fleet_change_ms <= now_ms:
            self._fleet_change_ms, self._strict = None, True
            self.policy = draw_policy(self._options, self._traits, "fleet", strict=True)
        while self._next_change_ms <= now_ms:
            self._changes += 1
            self._next_change_ms += self._wait_ms(POLICY_DAYS)
            self.policy = draw_policy(self._options, self._traits, f"own {self._changes}", self._strict)
        while self._thaw_ms <= now_ms:
            self._freeze_ms = self._thaw_ms + self._wait_ms(FREEZE_DAYS)
            self._thaw_ms = self._freeze_ms + self._freeze_length_ms()
        self.frozen = self._freeze_ms <= now_ms

    def _wait_ms(self, days: float) -> int:
        return round(self._rng.expovariate(1.0 / days) * DAY_MS)

    def _freeze_length_ms(self) -> int:
        return round(spread(self._rng, 1.5, 0.6, 0.3, 6.0) * DAY_MS)
