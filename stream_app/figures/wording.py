"""What verdicts, causes, outcomes and advice are in words: for the report, the pages and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from stream_app.analysis.figures import Owner
from stream_app.analysis.summary import Act, Because, Recommendation
from stream_app.core.decisions.policy import FIRST_GRAPHLETS
from stream_app.core.features.descriptions import describe
from stream_app.core.outputs import Guard, Reason, Verdict, Withdrawal
from stream_app.figures.numbers import budget_name, plural

#: Why a graphlet, or compute, was not pushed.
CAUSES = {
    "failed": "training failed",
    "run_ended": "run ended without a push",
    "superseded": "superseded by a later push",
    "expired": "no outcome within the horizon",
    "no_trainer": "run without training",
    "evicted": "used after its graphlets were forgotten",
    "pruned": "pruned",
    "lost": "training stopped reporting",
    "refused": "every push was refused",
    "registry_gap": "unknown: the registry does not tell",
}
OUTCOMES = {
    "pushed": "pushed",
    "not_pushed": "not pushed",
    "pruned": "pruned",
    "unknown": "unknown",
    "open": "still open",
}
#: Why a flag is not raised, or is withdrawn.
GUARDS: Mapping[str, str] = {
    Guard.KEEP: "tagged keep",
    Guard.FIRST: f"among the pipeline's first {FIRST_GRAPHLETS} graphlets",
    Guard.NOTHING_LEFT: "nothing left worth saving",
    Guard.DUE: "a push is due by the pipeline's usual interval",
    Guard.STREAK: "as many consecutive flags as the pipeline has runs between pushes",
    Guard.PIPELINE_SHARE: "the pipeline's last pushes were flagged often enough",
    Guard.STOPPED: "flags are stopped: too many of the last pushes had been flagged",
    Withdrawal.RECOVERED: "the score recovered",
    Withdrawal.NO_THRESHOLD: "no threshold at this stage",
    Withdrawal.HELD_OUT: "drawn to continue, so that its outcome is seen",
}
#: What is recommended, at a budget.
ACTS: Mapping[Act, str] = {
    Act.ENFORCE: "Stop flagged runs, at a budget of {budget}.",
    Act.GO_ON: "Go on stopping flagged runs, at a budget of {budget}.",
    Act.OBSERVE: "Look at flags, and stop no runs yet.",
    Act.WAIT: "Collect more pushes before you act on flags.",
    Act.PREDICT: "Report executions when they start, not only when they end.",
}
BECAUSE: Mapping[Because, str] = {
    Because.STOPPED: "Flags are stopped: more of the last pushes had been flagged than the budget and chance explain.",
    Because.FEW_PIPELINES: "There are too few pipelines to say how far these figures can be relied on.",
    Because.SAVES_NOTHING: "It is not certain that they would have saved anything.",
    Because.OVER_BUDGET: "More pushes would have been stopped than the budget allows.",
    Because.PAST_RATE: "A plain rule by past push rate would have saved as much.",
}
#: Days in a year, and a longer time than anybody waits for.
_YEAR, _TOO_LONG = 365, 730


def advice(found: Recommendation) -> str:
    """What is recommended, and why not more, as one or two sentences."""
    act = ACTS[found.act].format(budget=budget_name(found.evidence.budget))
    return act if found.because is None else f"{act} {BECAUSE[found.because]}"


def missing(pushes: int, days: float | None) -> str:
    """The labelled pushes that a budget still needs, with the time they take.

    Parameters
    ----------
    pushes
        How many.
    days
        How long they take at the rate so far; None when there is no rate.

    Examples
    --------
    >>> missing(15, 36.6)
    '15 more labelled pushes: about 37 days at your rate'
    >>> missing(1, None)
    '1 more labelled push: no rate of pushes is known yet, so nobody can say how long that takes'
    """
    words = plural(pushes, "more labelled push")
    if days is None:
        return f"{words}: no rate of pushes is known yet, so nobody can say how long that takes"
    if days < 1:
        return f"{words}: less than a day at your rate"
    if days > _TOO_LONG:
        return f"{words}: about {days / _YEAR:.0f} years at your rate"
    return f"{words}: about {plural(math.ceil(days), 'day')} at your rate"


def contacts(owners: Iterable[Owner]) -> dict[str, str]:
    """How to reach each owner, such as `Ads ranking, ads@example.com`; owners of whom nothing is known are left out."""
    found = {each.owner: ", ".join(filter(None, (each.team, each.address))) for each in owners}
    return {name: words for name, words in found.items() if words}


def policy_name(mode: str, budget: float) -> str:
    """A policy, such as `observe 5 %`."""
    return f"{mode} {budget_name(budget)}"


def reason_name(reason: Reason) -> str:
    """A reason, such as `3 runs since the last push (against a push)`."""
    return f"{describe(reason.feature, reason.value)} ({'for' if reason.effect > 0 else 'against'} a push)"


def policy_notes(verdict: Verdict) -> list[str]:
    """What the policy, rather than the model, has to say about a verdict."""
    if verdict.held_back == Guard.PUSHES_MISSING:
        return [f"no flags yet: {verdict.pushes_missing} more labelled pushes are needed at this budget"]
    if verdict.held_back is not None:
        return [f"not flagged: {GUARDS.get(verdict.held_back, verdict.held_back)}"]
    if verdict.withdrawn is not None:
        return [f"flag withdrawn: {GUARDS.get(verdict.withdrawn, verdict.withdrawn)}"]
    return ["held out: the run continues, to be learned from"] if verdict.holdout else []
