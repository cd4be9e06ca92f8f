"""The ledger of compute: what each execution cost and what became of it, every execution counted once.

Amounts are whole node-milliseconds, so sums depend on no order. Classes move back (a span used later, a corrected
label), so an execution is booked under what holds now and booked anew when that changes: gauges, never counters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, TypeVar

from stream_app.core.outputs import OPEN, PUSHED

if TYPE_CHECKING:
    from stream_app.core.state import Execution, Graphlet, Pipeline, Talk

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


def settle(pipeline: Pipeline, nodes_of: Mapping[str, float]) -> Ledger:
    """Books every stale execution under what holds now and returns the pipeline's ledger."""
    ledger = pipeline.ledger
    for execution in pipeline.stale:
        charge = charge_of(pipeline, execution, nodes_of)
        if charge == execution.charged:
            continue
        if execution.charged is not None:
            ledger.book(execution.charged, -1)
        if charge is not None:
            ledger.book(charge, 1)
        execution.charged = charge
    pipeline.stale.clear()
    return ledger


def charge_of(pipeline: Pipeline, execution: Execution, nodes_of: Mapping[str, float]) -> Charge | None:
    """What an execution is booked under now; None for executions of group run, which cost nothing themselves."""
    if execution.group == "run":
        return None
    node_ms = execution.node_ms(nodes_of.get(execution.type, 1.0))
    graphlets = list(execution.members_of) if execution.members_of else []
    if execution.graphlet is not None:
        graphlets.append(execution.graphlet)
    left = execution.left
    if not graphlets and (left is None or not left.cause):
        return charge_without_graphlet(pipeline, execution, node_ms)
    kinds = {graphlet.kind for graphlet in graphlets}
    if PUSHED in kinds or (left is not None and left.pushed):
        kind, cause = USEFUL, ""
    elif OPEN in kinds:
        kind, cause = PENDING, ""
    elif len(graphlets) == 1 and left is None:
        kind, cause = WASTED, graphlets[0].cause or graphlets[0].kind
    else:
        causes = [(graphlet.trainer.sort_key(), graphlet.cause or graphlet.kind) for graphlet in graphlets]
        if left is not None and left.cause:
            causes.append((left.latest, left.cause))
        kind, cause = WASTED, max(causes)[1]
    policies = left.policies if left is not None else -1
    for graphlet in graphlets:
        if not policies:
            break
        policies &= policies_of(pipeline, execution, graphlet)
    return (kind, cause, execution.group, node_ms, policies)


def charge_without_graphlet(pipeline: Pipeline, execution: Execution, node_ms: int) -> Charge:
    """Of no graphlet: wasted when its run ended without a trainer, else unattributed."""
    policies = policies_before(execution, None, run_talk(pipeline, execution.run))
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    if run is not None and not run.trainers and not run.had_trainer and run.end_ms() is not None:
        return (WASTED, "no_trainer", execution.group, node_ms, policies)
    return (UNATTRIBUTED, "", execution.group, node_ms, 0)


def policies_of(pipeline: Pipeline, execution: Execution, graphlet: Graphlet) -> int:
    """Bits of the policies that had flagged a graphlet, or its run before the trainer was known, before a member."""
    return policies_before(execution, graphlet.talk, run_talk(pipeline, graphlet.trainer.run))


def run_talk(pipeline: Pipeline, run_id: str | None) -> Talk | None:
    """What was said of a run while its trainer was not known."""
    run = pipeline.runs.get(run_id) if run_id is not None else None
    return run.talk if run is not None else None


def policies_before(execution: Execution, own: Talk | None, inherited: Talk | None) -> int:
    """Bits of the policies that had flagged a graphlet when the execution began."""
    bits = 0
    if own is None and inherited is None:
        return bits
    start_ms = execution.start_ms
    for talk in (own, inherited):
        if talk is not None:
            if talk.first_ms <= start_ms:
                bits |= 1 << HINDSIGHT
            for policy, flag_ms in talk.flag_ms.items():
                if flag_ms <= start_ms:
                    bits |= 1 << policy
    return bits
