"""The rules: what each finds in the kept graphlets of a pipeline, what it charges, and which acts it proposes.

docs/findings.md defines them. Each is a function of a `History`; `RULES` is the table of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from stream_app.analysis.findings.effects import after_streaks, all_but_every
from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.values import Act, ActKind, Kind
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts
from stream_app.core.outputs import NOT_PUSHED, PUSHED, UNKNOWN, Cause
from stream_app.core.units import DAY_MS

#: Graphlets with an outcome, none pushed: a pipeline that pushes one model in five, which is usual, has no push in 20
#: by chance once in 87 times.
NO_PUSH_MIN = 20
#: Trainings for each push: at two, skipping every other one would save little and delay many.
RATIO_MIN = 3
#: Pushes without which a ratio means nothing.
RATIO_PUSHES_MIN = 3
#: The largest k of "train every k-th run" that is tried: beyond it, pushes come at random times.
EVERY_MAX = 10
#: Failures in a row: the first is news, one more may be chance.
FAILURES_MIN = 3
#: Refused models in a row: validation refuses single models rightly.
REFUSED_MIN = 5
#: Code is blamed only if of so many trainings that waiting for new code would have skipped one at most went well.
WENT_WELL = 20
#: Models that nobody validated, and their share of all: a validator that did not run once is no missing validation.
UNVALIDATED_MIN, UNVALIDATED_SHARE = 10, 0.9
#: Intervals between runs from which a usual one is known; how much longer, and how long at least, a silence is. A day,
#: since a daily pipeline may be moved, and a frequent one be paused for a while.
INTERVALS_MIN, SILENCE_FACTOR, SILENCE_MIN_MS = 5, 3, DAY_MS


@dataclass(frozen=True, slots=True)
class Draft:
    """What a rule found.

    Attributes
    ----------
    behind
        The graphlets behind it, in order.
    charged
        Those of them whose compute it counts as its cost.
    proposals
        Acts with the trainers that they would have skipped: the first one if it does no harm, else the best.
    count
        As of `Finding`; None: the number of graphlets behind it.
    """

    behind: Sequence[GraphletFacts]
    charged: Sequence[GraphletFacts]
    proposals: Sequence[tuple[Act, frozenset[str]]] = ()
    count: int | None = None


def no_push(history: History) -> Draft | None:
    """A pipeline that has not pushed any of its many graphlets."""
    decided = [facts for facts in history.graphlets if is_decided(facts)]
    if len(decided) < NO_PUSH_MIN or any(facts.outcome in (PUSHED, UNKNOWN) for facts in history.graphlets):
        return None
    # Without any deploy execution, pushes may just not be reported, unless validation refuses every model.
    blessed = {facts.blessed for facts in history.graphlets}
    known = history.reports_deploys or (False in blessed and True not in blessed)
    stop = (Act(ActKind.STOP_PIPELINE), frozenset(facts.trainer for facts in history.graphlets))
    return Draft(decided, decided, [stop] if known else [])


def trains_too_often(history: History) -> Draft | None:
    """A pipeline that trains in several runs for each run that pushes."""
    pushed = sum(any(facts.outcome == PUSHED for facts in run) for run in history.runs)
    not_pushed = sum(all(facts.outcome == NOT_PUSHED for facts in run) for run in history.runs)
    if pushed < RATIO_PUSHES_MIN or (pushed + not_pushed) // pushed < RATIO_MIN:
        return None
    ratio = min(EVERY_MAX, (pushed + not_pushed) // pushed)
    beyond = all_but_every(history.runs, ratio)
    charged = [facts for facts in history.graphlets if facts.trainer in beyond and facts.outcome == NOT_PUSHED]
    proposals = [(Act(ActKind.TRAIN_EVERY, k), all_but_every(history.runs, k)) for k in range(ratio, 1, -1)]
    return Draft(charged, charged, proposals)


def same_failure(history: History) -> Draft | None:
    """Code that failed, and was trained again until it had failed at least three times in a row."""
    found: set[str] = set()
    streaks: dict[str, list[str]] = {}
    for facts in history.graphlets:
        if facts.code and has_failed(facts):
            streak = streaks.setdefault(facts.code, [])
            streak.append(facts.trainer)
            if len(streak) >= FAILURES_MIN:
                found.update(streak[1:])
        elif facts.trainer in history.trained:
            streaks.pop(facts.code, None)
    behind = [facts for facts in history.graphlets if facts.trainer in found]

    def has_trained(facts: GraphletFacts) -> bool:
        return facts.trainer in history.trained

    # A second try tells a fault of the code from one of a machine, and still saves the third.
    proposals = [
        proposal
        for failures in range(1, FAILURES_MIN)
        for proposal in fix_code(history, lambda facts: ("", facts.code), has_failed, has_trained, failures)
    ]
    return Draft(behind, behind, proposals) if behind else None


def not_blessed(history: History) -> Draft | None:
    """Models of one type that validation has refused in a row, up to now."""
    by_type: dict[str, list[GraphletFacts]] = {}
    for facts in history.graphlets:
        if facts.blessed is not None:
            by_type.setdefault(facts.model_type, []).append(facts)
    streaks = [list(takewhile(is_refused, reversed(of_type))) for of_type in by_type.values()]
    found = {facts.trainer for streak in streaks if len(streak) >= REFUSED_MIN for facts in streak}
    if not found:
        return None
    behind = [facts for facts in history.graphlets if facts.trainer in found]
    proposals = fix_code(
        history,
        lambda facts: (facts.model_type, facts.code),
        is_refused,
        lambda facts: facts.blessed is not None and not is_refused(facts),
        REFUSED_MIN,
    )
    return Draft(behind, [facts for facts in behind if facts.outcome == NOT_PUSHED], proposals)


def unchanged(history: History) -> Draft | None:
    """Trainings with the data and the code of the model before them."""
    last: dict[str, GraphletFacts] = {}
    behind = []
    for facts in history.graphlets:
        before = last.get(facts.model_type)
        if before is not None and is_repeat(history, before, facts):
            behind.append(facts)
        if facts.trainer in history.trained:
            last[facts.model_type] = facts
    if not behind:
        return None
    charged = [facts for facts in behind if facts.outcome == NOT_PUSHED]
    return Draft(behind, charged, [(Act(ActKind.SKIP_UNCHANGED), frozenset(facts.trainer for facts in behind))])


def not_validated(history: History) -> Draft | None:
    """Models that nobody validated, and none of which was pushed."""
    found = unvalidated(history)
    if not found or any(facts.outcome == PUSHED for facts in found):
        return None
    return Draft(found, found, [(Act(ActKind.ADD_VALIDATION), frozenset())])


def pushed_unvalidated(history: History) -> Draft | None:
    """Models that were pushed although nobody validates."""
    pushed = [facts for facts in unvalidated(history) if facts.outcome == PUSHED]
    return Draft(pushed, [], [(Act(ActKind.ADD_VALIDATION), frozenset())]) if pushed else None


def silent(history: History) -> Draft | None:
    """A pipeline whose next run is overdue by its usual intervals."""
    starts = [run[0].start_ms for run in history.runs]
    intervals = sorted(later - sooner for sooner, later in pairwise(starts))
    if len(intervals) < INTERVALS_MIN:
        return None
    usual_ms = intervals[len(intervals) - 1 - len(intervals) // 10]  # 90 % of them are not longer
    silence_ms = history.now_ms - starts[-1]
    if silence_ms <= max(SILENCE_FACTOR * usual_ms, SILENCE_MIN_MS):
        return None
    return Draft(history.runs[-1], [], count=silence_ms // max(1, usual_ms))


#: Every rule; the first one that finds a graphlet counts it.
RULES: Mapping[Kind, Callable[[History], Draft | None]] = {
    Kind.NO_PUSH: no_push,
    Kind.TRAINS_TOO_OFTEN: trains_too_often,
    Kind.SAME_FAILURE: same_failure,
    Kind.NOT_BLESSED: not_blessed,
    Kind.UNCHANGED: unchanged,
    Kind.NOT_VALIDATED: not_validated,
    Kind.PUSHED_UNVALIDATED: pushed_unvalidated,
    Kind.SILENT: silent,
}


def fix_code(
    history: History,
    key_of: Callable[[GraphletFacts], tuple[str, str]],
    is_bad: Callable[[GraphletFacts], bool],
    is_good: Callable[[GraphletFacts], bool],
    length: int,
) -> list[tuple[Act, frozenset[str]]]:
    """The proposal to train nothing again that went wrong several times in a row; none where that is no good advice.

    Parameters
    ----------
    history
        The graphlets of the pipeline.
    key_of
        Of a training whose code is known, what is the same in trainings that are alike.
    is_bad, is_good, length
        As of `after_streaks`.

    Returns
    -------
    list of tuple of Act and frozenset of str
        Empty where nothing would be skipped, or too much that went well.
    """
    skipped = after_streaks(
        history.graphlets, lambda facts: key_of(facts) if facts.code else None, is_bad, is_good, length
    )
    well = sum(facts.trainer in skipped and is_good(facts) for facts in history.graphlets)
    return [(Act(ActKind.FIX_CODE, length), skipped)] if skipped and well <= len(skipped) // WENT_WELL else []


def is_decided(facts: GraphletFacts) -> bool:
    """Whether it is known that a graphlet was pushed, or that it was not."""
    return facts.outcome in (PUSHED, NOT_PUSHED)


def has_failed(facts: GraphletFacts) -> bool:
    """Whether a graphlet was not pushed because its training failed."""
    return facts.outcome == NOT_PUSHED and facts.cause == Cause.FAILED


def is_refused(facts: GraphletFacts) -> bool:
    """Whether validators refused the model of a graphlet, and it was not pushed all the same."""
    return facts.blessed is False and facts.outcome != PUSHED


def is_repeat(history: History, before: GraphletFacts, facts: GraphletFacts) -> bool:
    """Whether a training has the data and the code of the one before it, which gave a model in another run."""
    return (
        facts.code != ""
        and facts.code == before.code
        and facts.inputs == before.inputs
        and not facts.warm
        and (facts.run is None or facts.run != before.run)
        and history.reads_versions(facts)
    )


def unvalidated(history: History) -> list[GraphletFacts]:
    """The decided graphlets whose model nobody validated; empty unless these are many and nearly all."""
    models = [facts for facts in history.graphlets if is_decided(facts) and facts.trainer in history.trained]
    found = [facts for facts in models if not facts.validated]
    enough = len(found) >= UNVALIDATED_MIN and len(found) / len(models) >= UNVALIDATED_SHARE
    return found if enough else []
