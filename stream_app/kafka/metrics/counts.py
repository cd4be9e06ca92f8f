"""What a worker counts as it works; counting costs an addition."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.core.events import STATES
from stream_app.kafka.metrics.histogram import Tally
from stream_app.metrics.outputs import OUTCOMES

#: Why a record is a dead letter: it is no event, it was moved to the wrong partition, the detector failed on it.
MALFORMED, MISPLACED, FAILED = "malformed", "misplaced", "failed"
#: What becomes of a flag: a later verdict withdraws it, the outcome is said, or its graphlet is evicted before.
WITHDRAWN, EVICTED = "withdrawn", "evicted"

LEVELS = ("info", "warning", "error", "critical")
_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0


def _zeros(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, 0)


def _seconds() -> Tally:
    return Tally(0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass
class Counts:
    """What a worker has done since it started."""

    #: Records of source topics read, by topic; events of the events topic given to the detector, by their state.
    sources: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=lambda: _zeros(*STATES))
    #: Records that were no events, of all topics, by the kind of reason.
    reasons: dict[str, int] = field(default_factory=lambda: _zeros(MALFORMED, MISPLACED, FAILED))
    #: Lines logged, by level.
    lines: dict[str, int] = field(default_factory=lambda: _zeros(*LEVELS))
    #: Flags raised, and what became of flags.
    raised: int = 0
    flags: dict[str, int] = field(default_factory=lambda: _zeros(WITHDRAWN, *OUTCOMES, EVICTED))
    #: Other records of the events topic: ticks, known already, misplaced, or touching only what was evicted.
    ticks: int = 0
    #: Log time of the last tick, ms since 1970 UTC.
    tick_ms: int = 0
    skipped: int = 0
    forwarded: int = 0
    late: int = 0
    #: Records that tell of no execution.
    passed_over: int = 0
    #: Groups of changed rows appended to changelogs, and rows in them.
    commits: int = 0
    rows: int = 0
    rebalances: int = 0
    #: Partitions restored from their changelogs.
    restored: int = 0
    #: Records of the examples log that are no example.
    examples_skipped: int = 0
    #: Checkpoints of the model that were not believed, and that could not be written.
    checkpoints_dropped: int = 0
    checkpoint_failures: int = 0
    #: Seconds: of an event, from its bytes to what came of it; from its time to its record's log time.
    step: Tally = field(default_factory=lambda: Tally(5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 0.01, 0.05, 0.25))
    delay: Tally = field(
        default_factory=lambda: Tally(1.0, 10.0, _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY)
    )
    #: Seconds: from a record's log time to the sending of what it led to, and of a flag.
    latency: Tally = field(default_factory=lambda: Tally(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0))
    flag_latency: Tally = field(default_factory=lambda: Tally(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0))
    #: Seconds: of a rebalance, of restoring a partition, of a commit of offsets, and by which the event loop was late.
    rebalance: Tally = field(default_factory=_seconds)
    restore: Tally = field(default_factory=_seconds)
    commit: Tally = field(default_factory=lambda: Tally(0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0))
    loop: Tally = field(default_factory=lambda: Tally(0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0))

    @property
    def sourced(self) -> int:
        return sum(self.sources.values())

    @property
    def events(self) -> int:
        return sum(self.states.values())

    @property
    def dead_letters(self) -> int:
        return sum(self.reasons.values())
