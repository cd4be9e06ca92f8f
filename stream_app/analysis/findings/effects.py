"""Replays a pipeline's kept graphlets with an act applied: which trainings it skips, and what becomes of the pushes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import median_low

from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.values import Effect
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts
from stream_app.core.outputs import PUSHED


@dataclass(frozen=True, slots=True)
class Pushes:
    """What becomes of the pushes: how many are lost, and by how many ms each delayed one is late, in order."""

    lost: int
    delays_ms: tuple[int, ...]


def pushes_without(graphlets: Sequence[GraphletFacts], skipped: Collection[str], trained: Collection[str]) -> Pushes:
    """Replays graphlets of which some are not trained.

    A push whose training is skipped comes with the next training that is not skipped, gives a model of the same type,
    and does not have a push itself. It is late by the time between their starts. Where that training has a push, one
    push does for both, and the other is lost; so is a push after which there is no such training.

    Parameters
    ----------
    graphlets
        In order.
    skipped, trained
        Trainers that are skipped, and those that gave a model.

    Returns
    -------
    Pushes
        How many pushes are lost and delayed.
    """
    taken = {facts.trainer for facts in graphlets if facts.outcome == PUSHED and facts.trainer not in skipped}
    lost, delays = 0, []
    for place, facts in enumerate(graphlets):
        if facts.outcome != PUSHED or facts.trainer not in skipped:
            continue
        for later in graphlets[place + 1 :]:
            if later.trainer not in skipped and later.trainer in trained and later.model_type == facts.model_type:
                if later.trainer in taken:
                    lost += 1
                else:
                    taken.add(later.trainer)
                    delays.append(later.start_ms - facts.start_ms)
                break
        else:
            lost += 1
    return Pushes(lost, tuple(delays))


def effect_of(history: History, skipped: Collection[str]) -> Effect:
    """The effect of skipping some trainings.

    Parameters
    ----------
    history
        The graphlets of the pipeline.
    skipped
        The trainers that the act skips.

    Returns
    -------
    Effect
        What is saved, and what becomes of the pushes.
    """
    saved = history.saved_without(skipped)
    pushes = pushes_without(history.graphlets, skipped, history.trained)
    delays = pushes.delays_ms
    return Effect(
        skipped=len(skipped),
        node_ms=saved.node_ms,
        micros=saved.micros,
        month_node_ms=history.month(saved.node_ms),
        pushes=sum(facts.outcome == PUSHED for facts in history.graphlets),
        lost=pushes.lost,
        delayed=len(delays),
        delay_median_ms=median_low(delays) if delays else None,
        delay_worst_ms=max(delays, default=None),
    )


def all_but_every(runs: Sequence[Sequence[GraphletFacts]], every: int) -> frozenset[str]:
    """The trainers that are skipped when only every k-th run trains.

    Parameters
    ----------
    runs
        The graphlets of each run, in order; the first run trains.
    every
        The k.
    """
    return frozenset(facts.trainer for place, run in enumerate(runs) if place % every for facts in run)


def after_streaks(
    graphlets: Sequence[GraphletFacts],
    key_of: Callable[[GraphletFacts], tuple[str, str] | None],
    is_bad: Callable[[GraphletFacts], bool],
    is_good: Callable[[GraphletFacts], bool],
    length: int,
) -> frozenset[str]:
    """The trainers that are skipped when nothing trains again that went wrong several times in a row.

    Parameters
    ----------
    graphlets
        In order.
    key_of
        What is the same in trainings that are alike; None: unlike all others.
    is_bad, is_good
        Whether a training lengthens, or ends, the streak of its key. A skipped one does neither.
    length
        The streak after which nothing of its key trains.
    """
    streaks: dict[tuple[str, str], int] = {}
    skipped = []
    for facts in graphlets:
        key = key_of(facts)
        if key is None:
            continue
        if streaks.get(key, 0) >= length:
            skipped.append(facts.trainer)
        elif is_bad(facts):
            streaks[key] = streaks.get(key, 0) + 1
        elif is_good(facts):
            streaks[key] = 0
    return frozenset(skipped)
