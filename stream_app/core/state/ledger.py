"""The ledger of compute: what each execution cost and what became of it, every execution counted once.

Amounts are whole node-milliseconds, so sums depend on no order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypeVar

USEFUL, WASTED, PENDING, UNATTRIBUTED = "useful", "wasted", "pending", "unattributed"

K = TypeVar("K")

#: Stands among the policies for knowing every outcome at the first stage.
HINDSIGHT = 63

#: (class, cause of the waste, operator group, node-milliseconds, policies whose flag would have saved it)
Charge = tuple[str, str, str, int, int]


@dataclass(slots=True)
class Ledger:
    """Sums in node-milliseconds; those by policy (the index of its budget, or HINDSIGHT) are sparse.

    An execution is flagged by a policy when that had flagged every graphlet it served before it began.
    """

    useful: int = 0
    wasted: int = 0
    pending: int = 0
    unattributed: int = 0
    #: Policy -> flagged compute that turned out wasted (avoidable), useful, or is pending.
    saved: dict[int, int] = field(default_factory=dict)
    harmed: dict[int, int] = field(default_factory=dict)
    undecided: dict[int, int] = field(default_factory=dict)
    #: (operator group, cause) -> node-milliseconds of waste.
    wasted_by: dict[tuple[str, str], int] = field(default_factory=dict)
    #: Expected compute left when runs were pruned: never spent, hence an estimate.
    avoided: int = 0

    def book(self, charge: Charge, sign: int) -> None:
        """Books (sign 1) or takes back (sign -1) one execution's charge."""
        kind, cause, group, node_ms, policies = charge
        amount = sign * node_ms
        if kind == USEFUL:
            self.useful += amount
        elif kind == WASTED:
            self.wasted += amount
            add(self.wasted_by, (group, cause), amount)
        elif kind == PENDING:
            self.pending += amount
        else:
            self.unattributed += amount
        if policies and kind != UNATTRIBUTED:
            by_policy = self.saved if kind == WASTED else self.harmed if kind == USEFUL else self.undecided
            while policies:
                add(by_policy, (policies & -policies).bit_length() - 1, amount)
                policies &= policies - 1

    def merge(self, other: Ledger) -> None:
        """Adds another ledger, sum by sum."""
        for name in (entry.name for entry in fields(other)):
            amount = getattr(other, name)
            if isinstance(amount, dict):
                for key, value in amount.items():
                    add(getattr(self, name), key, value)
            else:
                setattr(self, name, getattr(self, name) + amount)

    def total(self) -> int:
        return self.useful + self.wasted + self.pending + self.unattributed


def add(sums: dict[K, int], key: K, amount: int) -> None:
    """Adds to a sparse sum; what falls to zero leaves, so equal ledgers compare equal."""
    value = sums.get(key, 0) + amount
    if value:
        sums[key] = value
    else:
        sums.pop(key, None)
