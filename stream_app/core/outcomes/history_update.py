"""Records the announced outcome of a graphlet, or of a run without a trainer, in its pipeline's history."""

from __future__ import annotations

import zlib
from bisect import insort
from collections.abc import Mapping

from stream_app.core.features import extraction
from stream_app.core.features.validation import blessing
from stream_app.core.outcomes.outcomes import Outcome
from stream_app.core.outputs import NOT_PUSHED, PRUNED, PUSHED, VALIDATE, Cause, StageRecord
from stream_app.core.state.entities import Subject
from stream_app.core.state.history import (
    CODES_MAX,
    HISTORY_LENGTH,
    NUMBERS_MAX,
    History,
    Snapshot,
    Spread,
    append_bounded,
    spread_of,
)
from stream_app.core.state.pipeline import Pipeline

#: Causes for which the training itself was no success.
FAILURES = (Cause.FAILED, Cause.LOST)


def record_outcome(
    pipeline: Pipeline, subject: Subject, outcome: Outcome, announced_kind: str, nodes: Mapping[str, float]
) -> bool:
    """Updates the pipeline's history with one outcome, or with the correction of one.

    An outcome that was counted is not counted again: a push that is taken back stays counted, whatever follows.

    Parameters
    ----------
    pipeline
        The pipeline, whose history is changed.
    subject
        A trainer, or a run without one.
    outcome
        The outcome.
    announced_kind
        The outcome announced before, "" if none. A pruned graphlet was never counted. A run counted before its trainer
        was known was counted as not pushed; that count now belongs to the trainer.
    nodes
        Execution type to number of nodes, for costs.

    Returns
    -------
    bool
        Whether a push was counted.
    """
    history = pipeline.history_to_change()
    pushed = outcome.kind == PUSHED
    if outcome.kind == PRUNED or announced_kind == PUSHED:
        return False
    run, trainer = pipeline.run_of(subject), subject.trainer
    if run is not None and trainer is not None and run.in_history and announced_kind != NOT_PUSHED:
        take_over(history, run.id, subject.graphlet_id(pipeline.name))
        run.set_in_history(False, pipeline.changes)
        announced_kind = NOT_PUSHED
    if announced_kind == NOT_PUSHED and not pushed:
        return False
    final = extraction.snapshot(pipeline, subject, VALIDATE, outcome.time_ms or 0, nodes)
    entry = entry_of(subject.graphlet_id(pipeline.name) if trainer is not None else subject.key)
    age: int | None = 0
    if announced_kind == NOT_PUSHED:
        age = correct(history, entry, final)
    else:
        if trainer is None and run is not None:
            run.set_in_history(True, pipeline.changes)
        blessed = blessing(pipeline, subject.own_executions()) == 1.0
        count(history, entry, final, outcome, blessed)
    if not pushed or age is None:
        return False
    record_push(history, final, outcome.time_ms or 0, run.end_ms() if run is not None else None, age)
    if trainer is not None:
        append_bounded(history.push_leads_ms, max(0, (outcome.time_ms or 0) - trainer.start_ms))
    return True


def entry_of(name: str) -> int:
    """The key of a graphlet, or of a run counted itself, in the history."""
    return zlib.crc32(name.encode())


def take_over(history: History, run: str, graphlet: str) -> None:
    """Gives the count of a run to its trainer, which became known after the run was counted."""
    before, after = entry_of(run), entry_of(graphlet)
    history.subjects = [after if entry == before else entry for entry in history.subjects]


def count(history: History, entry: int, final: Snapshot, outcome: Outcome, blessed: bool) -> None:
    """Counts a graphlet that is labelled for the first time."""
    pushed, failed = outcome.kind == PUSHED, outcome.cause in FAILURES
    history.labelled += 1
    history.runs_since += 1
    append_bounded(history.subjects, entry)
    append_bounded(history.outcomes, int(pushed))
    append_bounded(history.causes, outcome.cause or outcome.kind)
    history.pushed.add(float(pushed))
    history.failed.add(float(failed))
    for name, value in final.numbers.items():
        record_number(history, name, value)
    if blessed or pushed:
        history.taken.add(float(pushed))
    history.blessed_unpushed = 0 if pushed else history.blessed_unpushed + int(blessed)
    history.last = final
    record_code(history, final.code_version, pushed, failed)


def correct(history: History, entry: int, final: Snapshot) -> int | None:
    """Counts the push of a graphlet that was counted as not pushed.

    Returns the number of graphlets labelled since, as far as known; None when it is counted as pushed already, because
    that push was taken back and is announced again.
    """
    position = len(history.subjects) - 1 - history.subjects[::-1].index(entry) if entry in history.subjects else None
    if position is not None and history.outcomes[position]:
        return None
    if final.code_version in history.codes:
        history.codes[final.code_version][1] += 1
    history.taken.add(1.0)
    if position is None:
        return HISTORY_LENGTH
    age = len(history.subjects) - 1 - position
    history.outcomes[position], history.causes[position] = 1, PUSHED
    history.pushed = spread_of([float(value) for value in history.outcomes], history.labelled)
    history.failed = spread_of([float(cause in FAILURES) for cause in history.causes], history.labelled)
    history.blessed_unpushed = min(history.blessed_unpushed, age)
    return age


def record_push(history: History, final: Snapshot, push_ms: int, run_end_ms: int | None, age: int = 0) -> None:
    """Counts a push and makes its graphlet the one with which others are compared.

    `age` is the number of graphlets labelled after the pushed one. A push before the last one cuts an interval between
    pushes in two; that interval is left as it is.
    """
    history.pushes += 1
    if not history.push_ms or push_ms >= history.push_ms[-1]:
        append_bounded(history.starts_between, history.starts_since)
        history.starts_since = 0
    insort(history.push_ms, push_ms)
    del history.push_ms[: -(HISTORY_LENGTH + 1)]
    if age <= history.runs_since:
        append_bounded(history.runs_between, history.runs_since - age)
        history.runs_since = age
    append_bounded(history.push_delays_ms, max(0, push_ms - run_end_ms) if run_end_ms is not None else 0)
    if history.last_pushed is None or push_ms >= history.last_pushed.time_ms:
        history.last_pushed = final


def record_number(history: History, name: str, value: float) -> None:
    """Adds a measurement to its spread; of the names the most recent are kept."""
    spread = history.numbers.pop(name, None) or Spread()
    spread.add(value)
    history.numbers[name] = spread
    while len(history.numbers) > NUMBERS_MAX:
        del history.numbers[next(iter(history.numbers))]


def record_code(history: History, code: str, pushed: bool, failed: bool) -> None:
    """Counts an outcome for one version of the code."""
    if not code:
        return
    counts = history.codes.pop(code, [0, 0, 0])
    history.codes[code] = [counts[0] + 1, counts[1] + int(pushed), counts[2] + int(failed)]
    while len(history.codes) > CODES_MAX:
        del history.codes[next(iter(history.codes))]


def record_costs(history: History, stages: list[StageRecord]) -> None:
    """Records the compute used before and after each stage, from which costs of later graphlets are expected."""
    for stage in stages:
        history.costs.setdefault(stage.stage, Spread()).add(stage.actual_left)
        history.costs.setdefault(f"before.{stage.stage}", Spread()).add(stage.cost)


def record_flags(history: History, pushed: bool, flags: set[int], first: bool) -> None:
    """Records which budgets' policies had flagged the graphlet, for the guards of share and streak.

    `pushed` says whether a push of it was counted now, `first` whether no outcome was announced before.
    """
    if pushed:
        append_bounded(history.push_flags, sum(1 << index for index in flags))
    if first:
        history.flag_streaks = {index: history.flag_streaks.get(index, 0) + 1 for index in sorted(flags)}
