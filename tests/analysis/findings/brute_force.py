"""What an act would have done to trainings, step by step in time, from nothing but the trainings themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_app.analysis.findings import Act, ActKind, Kind
from tests.analysis.findings.pipelines import PUSH, SPAN, VALIDATOR, Training
from tests.support.builders import HOUR


@dataclass(frozen=True)
class Outcome:
    """What is left out, what that saves, and what becomes of the pushes."""

    skipped: tuple[int, ...]
    saved: int
    lost: int
    delays_ms: tuple[int, ...]


def left_out(kind: Kind, act: Act, trainings: Sequence[Training]) -> tuple[int, ...]:
    """The places of the trainings that an act leaves out, in a pipeline that trains one model a run."""
    k = act.parameter or 1
    if act.kind is ActKind.STOP_PIPELINE:
        return tuple(range(len(trainings)))
    if act.kind is ActKind.TRAIN_EVERY:
        return tuple(place for place in range(len(trainings)) if place not in range(0, len(trainings), k))
    found: list[int] = []
    if act.kind is ActKind.SKIP_UNCHANGED:
        last: dict[str, Training] = {}
        for place, each in enumerate(trainings):
            before = last.get(each.model)
            if before is not None and each.data and (set(before.data), before.code) == (set(each.data), each.code):
                found.append(place)
            elif not each.failed:
                last[each.model] = each
    if act.kind is ActKind.FIX_CODE and kind is Kind.SAME_FAILURE:
        for place, each in enumerate(trainings):
            same = [other for at, other in enumerate(trainings[:place]) if at not in found and other.code == each.code]
            if len(same) >= k and all(other.failed for other in same[-k:]):
                found.append(place)
    if act.kind is ActKind.FIX_CODE and kind is Kind.NOT_BLESSED:
        for place, each in enumerate(trainings):
            judged = [
                other
                for at, other in enumerate(trainings[:place])
                if at not in found and (other.code, other.model) == (each.code, each.model)
                and not other.failed and other.blessed is not None
            ]  # fmt: skip
            if len(judged) >= k and not any(other.blessed or other.pushed for other in judged[-k:]):
                found.append(place)
    return tuple(found)


def outcome_of(skipped: Sequence[int], trainings: Sequence[Training]) -> Outcome:
    """Trains what is left, one after the other, while models that were to be pushed wait for the next training."""
    waiting: dict[str, list[Training]] = {}
    lost, delays, saved = 0, [], 0
    for place, each in enumerate(trainings):
        queue = waiting.setdefault(each.model, [])
        if place in skipped:
            if each.pushed:
                queue.append(each)
            continue
        if each.failed:
            continue
        if queue and not each.pushed:
            first = queue.pop(0)
            delays.append(round((each.hour - first.hour) * HOUR))
        lost += len(queue)
        queue.clear()
    lost += sum(map(len, waiting.values()))
    for place in skipped:
        each = trainings[place]
        saved += each.node_ms + (VALIDATOR if each.blessed is not None and not each.failed else 0)
        saved += PUSH if each.pushed else 0
    read = {name for each in trainings for name in each.data}
    still_read = {name for place, each in enumerate(trainings) if place not in skipped for name in each.data}
    return Outcome(tuple(skipped), saved + SPAN * len(read - still_read), lost, tuple(delays))
