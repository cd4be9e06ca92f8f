"""A pipeline's memory of its past graphlets, from which features, guards and expected costs are computed.

It changes when an outcome is announced, not when a graphlet is evicted, and it is one small value per pipeline.
Pruned graphlets have no label: they are not counted, and never count as negatives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from stream_app.core.units import DAY_MS, HOUR_MS

T = TypeVar("T")

#: How many pushes, outcomes and delays are remembered.
HISTORY_LENGTH = 20
#: How many graphlets under way are remembered, and how many code versions.
STARTED_MAX = 4
CODES_MAX = 8
#: Of how many measurements the spread is remembered: a graphlet has 24 at most.
NUMBERS_MAX = 64
#: Weight of the newest value in exponentially weighted means.
NEWEST = 0.15
#: The grace after a run's end before "not pushed" is announced, in ms: at first, and at most.
GRACE_FIRST_MS = HOUR_MS
GRACE_MAX_MS = 7 * DAY_MS


@dataclass(slots=True)
class Snapshot:
    """The values of a graphlet with which later ones are compared."""

    #: Its run, or its trainer when it is in no run.
    subject: str = ""
    time_ms: int = 0
    code_version: str = ""
    #: Hashes of its data artifacts, sorted.
    data: list[int] = field(default_factory=list)
    #: Numeric property name -> value, of its data (`data.`), training (`train.`) and validation (`validate.`).
    numbers: dict[str, float] = field(default_factory=dict)
    #: Node-seconds.
    cost: float = 0.0


@dataclass(slots=True)
class Spread:
    """Exponentially weighted mean and variance of a series of values."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def add(self, value: float) -> None:
        """Adds a value."""
        self.count += 1
        weight = max(NEWEST, 1.0 / self.count)
        difference = value - self.mean
        self.mean += weight * difference
        self.variance = (1.0 - weight) * (self.variance + weight * difference * difference)


@dataclass(slots=True, eq=False)
class History:
    """The outcomes, pushes, costs and measurements of a pipeline's past graphlets. Lists keep the newest last."""

    #: Graphlets labelled, and pushed among them.
    labelled: int = 0
    pushes: int = 0
    #: Of the last labelled: a hash of its graphlet's id; 1 pushed, 0 not; the cause.
    subjects: list[int] = field(default_factory=list)
    outcomes: list[int] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    push_ms: list[int] = field(default_factory=list)
    #: Labelled graphlets from push to push, and since the last.
    runs_between: list[int] = field(default_factory=list)
    runs_since: int = 0
    #: The same of graphlets that began, labelled or not: what is under way counts too.
    starts_between: list[int] = field(default_factory=list)
    starts_since: int = 0
    #: Times in ms from the run's end to the push (0 when pushed before it) and from the trainer's start to the push.
    push_delays_ms: list[int] = field(default_factory=list)
    push_leads_ms: list[int] = field(default_factory=list)
    #: Number of graphlets in a row that validators blessed and that were not pushed.
    blessed_unpushed: int = 0
    #: Code version -> [labelled, pushed, failed] of the last few versions.
    codes: dict[str, list[int]] = field(default_factory=dict)
    last: Snapshot | None = None
    last_pushed: Snapshot | None = None
    #: The last graphlets seen to start: what is under way counts too.
    started: list[Snapshot] = field(default_factory=list)
    start_gap: Spread = field(default_factory=Spread)
    #: Numeric property name -> its spread over labelled graphlets.
    numbers: dict[str, Spread] = field(default_factory=dict)
    #: Stage -> node-seconds used from it on; "before." and the stage -> those used before it.
    costs: dict[str, Spread] = field(default_factory=dict)
    #: Bits of the budgets whose policy had flagged each of the last pushes.
    push_flags: list[int] = field(default_factory=list)
    #: Index of a budget -> number of graphlets in a row that its policy flagged.
    flag_streaks: dict[int, int] = field(default_factory=dict)
    failed: Spread = field(default_factory=Spread)
    pushed: Spread = field(default_factory=Spread)
    #: The share of pushes among graphlets that were blessed, or pushed without a blessing.
    taken: Spread = field(default_factory=Spread)

    @property
    def row(self) -> tuple[str, str]:
        """Kind and name of its row."""
        return "history", ""

    def grace_ms(self) -> int:
        """How long after a run's end a push may still come, in ms, judged by past delays."""
        if len(self.push_delays_ms) < 3:
            return GRACE_FIRST_MS
        return min(GRACE_MAX_MS, max(0, max(self.push_delays_ms) * 3 // 2))

    def lead_ms(self) -> int:
        """How long after its trainer's start a graphlet may still be pushed, in ms, judged by past pushes."""
        slowest_ms = max(self.push_leads_ms, default=0) * 3 // 2
        return max(GRACE_FIRST_MS, slowest_ms) if len(self.push_leads_ms) < 3 else slowest_ms

    def usual_interval_ms(self) -> float | None:
        """Median time in ms between the last pushes; None before the third push."""
        if len(self.push_ms) < 3:
            return None
        return median([later - sooner for sooner, later in zip(self.push_ms, self.push_ms[1:], strict=False)])

    def started_before(self, subject: str) -> Snapshot | None:
        """The newest graphlet that started, other than the subject's."""
        return next((snapshot for snapshot in reversed(self.started) if snapshot.subject != subject), None)

    def usual_runs_between(self) -> float | None:
        """Median number of graphlets from push to push; None before the third push."""
        return median(self.runs_between) if len(self.push_ms) >= 3 else None


def median(values: list[int]) -> float:
    """The median of a list that is not empty."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2


def spread_of(values: list[float], count: int) -> Spread:
    """The spread of a series of values.

    Parameters
    ----------
    values
        The last values of the series, the newest last.
    count
        The number of values in the whole series.

    Returns
    -------
    Spread
        Mean and variance of the last values, with the count of all.
    """
    spread = Spread()
    for value in values:
        spread.add(value)
    spread.count = count
    return spread


def append_bounded(values: list[T], value: T) -> None:
    """Appends to a list that keeps its newest `HISTORY_LENGTH` values.

    Parameters
    ----------
    values
        The list, changed in place.
    value
        The value to append.
    """
    values.append(value)
    del values[:-HISTORY_LENGTH]
