"""What a report needs, taken in output by output: sums per pipeline, never the outputs themselves.

Beside sums, the pushes of each pipeline are kept (14 bytes each, for the intervals between them). A correction bears
the stages that its first label bore, for none is predicted after an outcome was said: so it says itself what to take
back.
"""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

from stream_app.analysis.past_rate import first_stage, rate_bin, waste_after_first_stage
from stream_app.core.decisions.policy import Policy
from stream_app.core.learning.feature_space import log_odds
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import PRUNE, STAGES, Closed, Example, StageRecord, Verdict
from stream_app.core.state.ledger import add
from stream_app.sources.faults import kind_of

#: Bins of log-odds, from -12 to 12: fine enough for intervals of AUC and accuracy.
BINS = 48
_BINS_PER_UNIT = BINS / 24.0
#: Bars of the chart of when flags came.
FLAG_TIME_BINS = 10
#: Features kept as reasons per pipeline, and of reasons for dead letters in all.
REASONS_MAX, LETTERS_MAX = 32, 200
#: Pruned graphlets remembered: they were never counted, and a push later takes nothing back. As many labels are
#: remembered with the waste that they counted, since a correction knows a later amount.
PRUNED_MAX = 50_000

MODEL, BASELINE = 0, 1


@dataclass(slots=True)
class ReasonCount:
    """A feature that spoke against a push: flagging verdicts that name it, and its value in the latest."""

    verdicts: int = 0
    value: float | None = None


@dataclass(slots=True)
class PipelineSums:
    """Sums of one pipeline."""

    #: Graphlets labelled, and those among them that the budget in force had flagged.
    labelled: int = 0
    flagged: int = 0
    #: Pushes with verdicts: when, bits of the budgets that had flagged them, and a checksum of the graphlet's name.
    push_ms: array[int] = field(default_factory=lambda: array("q"))
    push_flags: array[int] = field(default_factory=lambda: array("H"))
    push_names: array[int] = field(default_factory=lambda: array("I"))
    #: `cell(...)` -> labels there.
    cells: dict[int, int] = field(default_factory=dict)
    #: Bin of the past push rate at the first stage -> node-ms wasted after it, and pushes (`past_rate`).
    rate_waste: dict[int, int] = field(default_factory=dict)
    rate_pushes: dict[int, int] = field(default_factory=dict)
    #: Feature -> how often it was a reason to flag.
    reasons: dict[str, ReasonCount] = field(default_factory=dict)


@dataclass(slots=True)
class FlagTimeBin:
    """Flags that came with so many tenths of the run's compute still ahead."""

    wasted: int = 0
    pushed: int = 0
    #: Node-seconds that came after the flags on what was not pushed.
    ahead: float = 0.0


class ReplayStatistics:
    """Sums over a replay.

    Parameters
    ----------
    policy
        Whose budgets are told apart.
    learner
        Asked when each budget has its thresholds; None where nothing is predicted.
    """

    def __init__(self, policy: Policy, learner: Learner | None) -> None:
        self.policy = policy
        self.learner = learner
        self.events = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.pipelines: dict[str, PipelineSums] = {}
        #: (outcome, cause) of graphlets that were evicted.
        self.evicted: Counter[tuple[str, str]] = Counter()
        #: (stage, decision) of verdicts.
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.examples = 0
        #: Messages that are right but tell of no execution.
        self.ignored = 0
        #: Parts of events that nobody reads and that were malformed.
        self.parts_dropped = 0
        #: Kind of reason -> dead letters.
        self.dead_letters: Counter[str] = Counter()
        self.flag_time_bins = [FlagTimeBin() for _ in range(FLAG_TIME_BINS)]
        #: Budget -> event time at which it had its thresholds.
        self.ready_ms: dict[float, int] = {}
        #: Word of a person and whether the graphlet was pushed -> flagged graphlets that went on by it.
        self.words: Counter[tuple[str, bool]] = Counter()
        self._worded: OrderedDict[str, tuple[str, bool]] = OrderedDict()
        self._pruned: OrderedDict[str, None] = OrderedDict()
        #: Graphlet -> the bin and the node-ms of waste that its label counted.
        self._waste: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def event(self, time_ms: int) -> None:
        """An event was read."""
        self.events += 1
        if self.last_ms is None or self.first_ms is None:
            self.first_ms = self.last_ms = time_ms
        elif time_ms > self.last_ms:
            self.last_ms = time_ms
        elif time_ms < self.first_ms:
            self.first_ms = time_ms

    def dead_letter(self, reason: str) -> None:
        """A message was no event."""
        kind = kind_of(reason)
        if kind not in self.dead_letters and len(self.dead_letters) >= LETTERS_MAX:
            kind = "other reasons"
        self.dead_letters[kind] += 1

    def _sums(self, pipeline: str) -> PipelineSums:
        found = self.pipelines.get(pipeline)
        if found is None:
            found = self.pipelines[pipeline] = PipelineSums()
        return found

    def verdict(self, verdict: Verdict) -> None:
        """Counts a revision of a verdict."""
        self.verdicts[verdict.stage, verdict.decision] += 1
        if verdict.decision != PRUNE and not verdict.holdout:
            return
        reasons = self._sums(verdict.pipeline).reasons
        for reason in verdict.reasons:
            if reason.effect <= 0 and (reason.feature in reasons or len(reasons) < REASONS_MAX):
                counted = reasons.setdefault(reason.feature, ReasonCount())
                counted.verdicts += 1
                counted.value = reason.value

    def closed(self, closed: Closed) -> None:
        """Counts an evicted graphlet."""
        self.evicted[closed.graphlet["outcome"], closed.graphlet["cause"] or ""] += 1

    def example(self, example: Example) -> None:
        """Counts a label, or its correction, that the learner has learned."""
        self.examples += 1
        sums = self._sums(example.pipeline)
        if example.pushed is None:
            self._pruned[example.graphlet] = None
            if len(self._pruned) > PRUNED_MAX:
                self._pruned.popitem(last=False)
            return
        was_pruned = example.graphlet in self._pruned
        self._pruned.pop(example.graphlet, None)
        bits = flagged_bits([*example.inherited, *example.stages], self.policy.budgets)
        if example.label_revision > 1 and not was_pruned:
            self._count(sums, example, not example.pushed, bits, -1)
        self._count(sums, example, example.pushed, bits, 1)
        self._count_word(example, example.pushed, bits)
        self._count_waste(sums, example)
        if example.pushed:
            self._note_ready(example.announced_ms)

    def _count(self, sums: PipelineSums, example: Example, pushed: bool, bits: int, sign: int) -> None:
        """Counts a label, or takes it back: in the cells of its stages, and once if it has a trainer."""
        for record in example.stages:
            for series, p in ((MODEL, record.p), (BASELINE, record.baseline)):
                where = cell(STAGES.index(record.stage), series, pushed, p)
                sums.cells[where] = sums.cells.get(where, 0) + sign
        if example.trainer is None:
            return
        sums.labelled += sign
        active = bits >> self.policy.active & 1
        sums.flagged += sign * active
        if active:
            self._count_flag(example, pushed, sign)
        if not pushed:
            return
        first = first_stage(example)
        if first is not None:
            add(sums.rate_pushes, rate_bin(first.baseline), sign)
        name = crc32(example.graphlet.encode())
        if sign > 0:
            sums.push_ms.append(example.time_ms)
            sums.push_flags.append(bits)
            sums.push_names.append(name)
        elif name in sums.push_names:
            place = sums.push_names.index(name)
            del sums.push_ms[place], sums.push_flags[place], sums.push_names[place]

    def _count_waste(self, sums: PipelineSums, example: Example) -> None:
        """Counts what was wasted after the first stage; a correction takes back what its first label counted."""
        counted = self._waste.pop(example.graphlet, None)
        if counted is not None:
            add(sums.rate_waste, counted[0], -counted[1])
        found = waste_after_first_stage(example)
        if found is not None:
            add(sums.rate_waste, *found)
            self._waste[example.graphlet] = found
            if len(self._waste) > PRUNED_MAX:
                self._waste.popitem(last=False)

    def _count_word(self, example: Example, pushed: bool, bits: int) -> None:
        """Counts the word that somebody had for the flag; a correction takes back what its first label counted."""
        counted = self._worded.pop(example.graphlet, None)
        if counted is not None:
            self.words[counted] -= 1
        if example.word and example.trainer is not None and bits >> self.policy.active & 1:
            self.words[example.word, pushed] += 1
            self._worded[example.graphlet] = (example.word, pushed)
            if len(self._worded) > PRUNED_MAX:
                self._worded.popitem(last=False)

    def _count_flag(self, example: Example, pushed: bool, sign: int) -> None:
        """Where in its run's compute the first flag came."""
        budget = self.policy.budget
        flag = next(record for record in (*example.inherited, *example.stages) if budget in record.flagged)
        total = flag.cost + flag.actual_left
        share = flag.actual_left / total if total > 0 else 0.0
        time_bin = self.flag_time_bins[min(FLAG_TIME_BINS - 1, int(share * FLAG_TIME_BINS))]
        if pushed:
            time_bin.pushed += sign
        else:
            time_bin.wasted += sign
            time_bin.ahead += sign * flag.actual_left

    def _note_ready(self, now_ms: int) -> None:
        if self.learner is None or len(self.ready_ms) == len(self.policy.budgets):
            return
        for budget in self.policy.budgets:
            if budget not in self.ready_ms and not self.learner.pushes_missing(budget):
                self.ready_ms[budget] = now_ms


def flagged_bits(records: Sequence[StageRecord], budgets: Sequence[float]) -> int:
    """Bits of the budgets that flagged any of the records."""
    flagged = {budget for record in records for budget in record.flagged}
    return sum(1 << index for index, budget in enumerate(budgets) if budget in flagged)


def cell(stage: int, series: int, pushed: bool, p: float) -> int:
    """The cell of a label: by stage, series (model or baseline), label and log-odds."""
    place = min(max(int((log_odds(p) + 12.0) * _BINS_PER_UNIT), 0), BINS - 1)
    return ((stage * 2 + series) * 2 + pushed) * BINS + place
