"""The ledger of compute: the cost of each execution and its class, every execution counted once.

Amounts are whole node-ms, so that sums do not depend on order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypeVar

USEFUL, WASTED, PENDING, UNATTRIBUTED, NOT_KNOWN = "useful", "wasted", "pending", "unattributed", "unknown"

K = TypeVar("K")

#: The index, among those of budgets, of the policy that knows every outcome at the first stage.
HINDSIGHT = 63

#: (class, cause of the waste, operator group, node-milliseconds, policies whose flag would have saved it)
Charge = tuple[str, str, str, int, int]


@dataclass(slots=True)
class Ledger:
    """Sums in node-ms. Those by policy (the index of its budget, or `HINDSIGHT`) are sparse.

    A policy flags an execution when it had flagged every graphlet of the execution before the execution began.

    Attributes
    ----------
    useful, wasted, pending, unattributed, unknown
        Compute by class; they add up to `total`. Unknown is that of graphlets whose outcome is not known.
    saved, harmed, undecided
        By policy: flagged compute that turned out to be wasted (avoidable), useful, or is pending.
    wasted_by
        Waste by operator group and cause.
    avoided
        Compute expected to be left when runs were pruned. It was never used, hence an estimate.
    """

    useful: int = 0
    wasted: int = 0
    pending: int = 0
    unattributed: int = 0
    unknown: int = 0
    saved: dict[int, int] = field(default_factory=dict)
    harmed: dict[int, int] = field(default_factory=dict)
    undecided: dict[int, int] = field(default_factory=dict)
    wasted_by: dict[tuple[str, str], int] = field(default_factory=dict)
    avoided: int = 0

    def book(self, charge: Charge, sign: int) -> None:
        """Books one execution's charge, or takes it back.

        Parameters
        ----------
        charge
            Class, cause, operator group, node-ms, and bits of the policies that flag the execution.
        sign
            1 to book, -1 to take back.
        """
        kind, cause, group, node_ms, policies = charge
        amount = sign * node_ms
        if kind == USEFUL:
            self.useful += amount
        elif kind == WASTED:
            self.wasted += amount
            add(self.wasted_by, (group, cause), amount)
        elif kind == PENDING:
            self.pending += amount
        elif kind == NOT_KNOWN:
            self.unknown += amount
        else:
            self.unattributed += amount
        if policies and kind in (WASTED, USEFUL, PENDING):
            by_policy = self.saved if kind == WASTED else self.harmed if kind == USEFUL else self.undecided
            while policies:
                add(by_policy, (policies & -policies).bit_length() - 1, amount)
                policies &= policies - 1

    def merge(self, other: Ledger) -> None:
        """Adds another ledger, sum by sum.

        Parameters
        ----------
        other
            The ledger to add; it is not changed.
        """
        for name in (entry.name for entry in fields(other)):
            amount = getattr(other, name)
            if isinstance(amount, dict):
                for key, value in amount.items():
                    add(getattr(self, name), key, value)
            else:
                setattr(self, name, getattr(self, name) + amount)

    def total(self) -> int:
        """All compute in node-ms."""
        return self.useful + self.wasted + self.pending + self.unattributed + self.unknown


def add(sums: dict[K, int], key: K, amount: int) -> None:
    """Adds to a sparse sum; an entry that falls to zero is removed, so that equal ledgers compare equal."""
    value = sums.get(key, 0) + amount
    if value:
        sums[key] = value
    else:
        sums.pop(key, None)
