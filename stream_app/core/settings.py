"""The settings of a detector."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.core.decisions.policy import Policy
from stream_app.core.features.ownership import OwnerOf
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.seen_examples import RETENTION_MS
from stream_app.core.operators import Operators
from stream_app.core.outcomes import outcomes
from stream_app.core.units import DAY_MS, HOUR_MS

#: How far one execution may move its pipeline's clock ahead alone, in ms, at least.
LEAP_MIN_MS = 37 * DAY_MS


@dataclass(frozen=True)
class Settings:
    """The settings of a detector, which do not change during its life.

    Parameters
    ----------
    operators
        Maps execution types to operator groups and to numbers of nodes.
    policy
        Decides which graphlets are flagged.
    horizon_ms
        Time after its trainer's start, in ms, at which a graphlet without an outcome counts as not pushed.
    lost_ms
        Time after the last report, in ms, at which a trainer that reported its progress counts as lost.
    retention_ms
        Time in ms for which an execution or graphlet that no event touches is kept. Not shorter than the horizon.
    lateness_ms
        The most that an event may be behind its pipeline's clock, in ms.
    owner_of
        The owner, by pipeline and properties, of graphlets whose events name none; None: it remains empty.
    invariants
        Whether each step checks the invariants of the execution that it changed.

    Raises
    ------
    ValueError
        The horizon is longer than the retention.
    """

    operators: Operators = field(default_factory=Operators)
    policy: Policy = field(default_factory=Policy)
    horizon_ms: int = 14 * DAY_MS
    lost_ms: int = 6 * HOUR_MS
    retention_ms: int = 30 * DAY_MS
    lateness_ms: int = 7 * DAY_MS
    owner_of: OwnerOf | None = None
    invariants: bool = False

    def __post_init__(self) -> None:
        if self.horizon_ms > self.retention_ms:
            raise ValueError("the horizon must not be longer than the retention: outcomes would be evicted unannounced")

    @property
    def limits(self) -> outcomes.Limits:
        """How long the detector waits for an outcome."""
        return outcomes.Limits(self.horizon_ms, self.lost_ms)

    @property
    def leap_ms(self) -> int:
        """How far ahead of its pipeline's clock one execution may move it alone, in ms."""
        return max(self.keep_ms, LEAP_MIN_MS)

    @property
    def keep_ms(self) -> int:
        """Retention and lateness together, in ms: how long an untouched execution or graphlet is kept."""
        return self.retention_ms + self.lateness_ms

    def learner(self) -> Learner:
        """Makes a learner without labels that fits a detector of these settings.

        It keeps thresholds for the policy's budgets. It remembers labels for as long as the detector keeps graphlets,
        since their labels may be corrected until then, and at least for the default retention, since examples may be
        repeated.

        Returns
        -------
        Learner
            A new learner.
        """
        return Learner(self.policy.budgets, max(self.keep_ms, RETENTION_MS))
