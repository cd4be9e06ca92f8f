"""Books executions in the ledger.

The class of an execution may change back (a span used again later, a corrected label), so an execution is booked under
its present class and booked again when that changes. The sums are therefore gauges, never counters.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.core.outputs import OPEN, PUSHED, UNKNOWN, Cause
from stream_app.core.state.entities import Execution, Graphlet
from stream_app.core.state.ledger import HINDSIGHT, NOT_KNOWN, PENDING, UNATTRIBUTED, USEFUL, WASTED, Charge, Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.predictions import PredictionRecord


def settle(pipeline: Pipeline, nodes_of: Mapping[str, float]) -> Ledger:
    """Books every execution on the work list again.

    Parameters
    ----------
    pipeline
        The pipeline.
    nodes_of
        Execution type to number of nodes, for executions without a reported cost.

    Returns
    -------
    Ledger
        The pipeline's ledger, up to date.
    """
    ledger = pipeline.ledger
    for execution in pipeline.work.take_stale():
        charge = charge_of(pipeline, execution, nodes_of)
        if charge == execution.charged:
            continue
        if execution.charged is not None:
            ledger.book(execution.charged, -1)
        if charge is not None:
            ledger.book(charge, 1)
        execution.charged = charge
    return ledger


def charge_of(pipeline: Pipeline, execution: Execution, nodes_of: Mapping[str, float]) -> Charge | None:
    """The charge of an execution now; None for executions of group run, which have no cost of their own."""
    if execution.group == "run":
        return None
    node_ms = execution.node_ms(nodes_of.get(execution.type, 1.0))
    graphlets = list(execution.members_of) if execution.members_of else []
    if execution.graphlet is not None:
        graphlets.append(execution.graphlet)
    eviction = execution.eviction
    if not graphlets and (eviction is None or not eviction.cause):
        return charge_without_graphlet(pipeline, execution, node_ms)
    kinds = {graphlet.kind for graphlet in graphlets}
    if PUSHED in kinds or (eviction is not None and eviction.pushed):
        kind, cause = USEFUL, ""
    elif OPEN in kinds:
        kind, cause = PENDING, ""
    elif UNKNOWN in kinds or (eviction is not None and eviction.cause == Cause.REGISTRY_GAP):
        kind, cause = NOT_KNOWN, ""
    elif len(graphlets) == 1 and eviction is None:
        kind, cause = WASTED, graphlets[0].cause or graphlets[0].kind
    else:
        causes = [(graphlet.trainer.sort_key(), graphlet.cause or graphlet.kind) for graphlet in graphlets]
        if eviction is not None and eviction.cause:
            causes.append((eviction.latest, eviction.cause))
        kind, cause = WASTED, max(causes)[1]
    policies = eviction.policies if eviction is not None else -1
    for graphlet in graphlets:
        if not policies:
            break
        policies &= policies_of(pipeline, execution, graphlet)
    return (kind, cause, execution.group, node_ms, policies)


def charge_without_graphlet(pipeline: Pipeline, execution: Execution, node_ms: int) -> Charge:
    """The charge of an execution in no graphlet: wasted when its run ended without a trainer, else unattributed."""
    policies = policies_before(execution, None, run_predictions(pipeline, execution.run))
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    if run is not None and not run.trainers and not run.had_trainer and run.end_ms() is not None:
        return (WASTED, Cause.NO_TRAINER, execution.group, node_ms, policies)
    return (UNATTRIBUTED, "", execution.group, node_ms, 0)


def policies_of(pipeline: Pipeline, execution: Execution, graphlet: Graphlet) -> int:
    """Finds the policies that had flagged a graphlet, or its run, before an execution began.

    Parameters
    ----------
    pipeline
        The pipeline of the graphlet.
    execution
        A member or the trainer of the graphlet.
    graphlet
        The graphlet.

    Returns
    -------
    int
        Bits of the policies: the indices of their budgets, and `HINDSIGHT`.
    """
    return policies_before(execution, graphlet.predictions, run_predictions(pipeline, graphlet.trainer.run))


def run_predictions(pipeline: Pipeline, run_id: str | None) -> PredictionRecord | None:
    """The predictions about a run made while its trainer was not known."""
    run = pipeline.runs.get(run_id) if run_id is not None else None
    return run.predictions if run is not None else None


def policies_before(execution: Execution, own: PredictionRecord | None, inherited: PredictionRecord | None) -> int:
    """Bits of the policies that had flagged a graphlet when the execution began."""
    bits = 0
    if own is None and inherited is None:
        return bits
    start_ms = execution.start_ms
    for predictions in (own, inherited):
        if predictions is not None:
            if predictions.first_ms <= start_ms:
                bits |= 1 << HINDSIGHT
            for policy, flag_ms in predictions.flag_ms.items():
                if flag_ms <= start_ms:
                    bits |= 1 << policy
    return bits
