"""What one fleet of a benchmark gave."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.quality.coverage import Coverage
from benchmarks.quality.scores import Score


@dataclass
class Seed:
    """What one fleet gave."""

    events: int
    share_pushed: float
    scores: dict[tuple[str, str], Score] = field(default_factory=dict)
    hidden: dict[str, float] = field(default_factory=dict)
    #: Stage and contender -> AUC by step of the learning curve.
    curve: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    #: Contender -> log loss above the hidden chances', by stage, of the first labels after the change.
    excess: dict[tuple[str, str], float] = field(default_factory=dict)
    #: CPU: seconds of the learner and of the forest per 1,000 trained models; of the learner by tenth of the log.
    cpu: dict[str, float] = field(default_factory=dict)
    tenths: list[float] = field(default_factory=list)
    #: Contender -> budget -> share of waste avoidable; of hindsight's; of pushes flagged.
    waste: dict[str, dict[float, tuple[float, float, float]]] = field(default_factory=dict)
    coverage: Coverage = field(default_factory=Coverage)
