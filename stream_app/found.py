"""What a finding has, be it a figure of an analysis or a record that is announced: what words about it are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EffectFigures:
    """What an act would have done.

    Parameters
    ----------
    skipped
        Trainings that it skips.
    saved, saved_money, saved_a_month
        Node-seconds, their price (None where it is not known), and node-seconds for 30 days.
    pushes, lost, delayed
        Pushes there were, and those that would have been lost or delayed.
    delay_median, delay_worst
        Seconds; None where no push is delayed.
    """

    skipped: int
    saved: float
    saved_money: float | None
    saved_a_month: float
    pushes: int
    lost: int
    delayed: int
    delay_median: float | None
    delay_worst: float | None


class Found(Protocol):
    """What is told of a finding; see `FindingFigures`."""

    @property
    def kind(self) -> str: ...
    @property
    def since(self) -> str: ...
    @property
    def last(self) -> str: ...
    @property
    def trainings(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def act(self) -> str: ...
    @property
    def parameter(self) -> int | None: ...
    @property
    def effect(self) -> EffectFigures: ...
