"""What an execution keeps of others that were evicted before it."""

from __future__ import annotations

from typing import NamedTuple


class EvictionSummary(NamedTuple):
    """What an execution keeps of graphlets and trainers that were evicted before it."""

    #: Whether one of the graphlets was pushed; bits of the policies that had flagged all of them when it began.
    pushed: bool = False
    policies: int = -1
    #: Start and id of the latest of their trainers, and why its compute was wasted; "" when no graphlet was evicted.
    latest: tuple[int, str] = (0, "")
    cause: str = ""
    #: Whether a trainer of the execution's own run, whose model it read, was evicted; whether any trainer was.
    own_trainer: bool = False
    read_trainer: bool = False
    #: Whether another execution that named it as its run was evicted; whether the last try of its task was.
    is_run: bool = False
    retried: bool = False
    #: How many graphlets it belonged to that were evicted.
    graphlets: int = 0
