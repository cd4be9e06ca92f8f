"""The next step of a rollout, and what came of a canary, in words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

from stream_app.analysis.canary import CanaryEffect
from stream_app.analysis.rollout import Advice, Step
from stream_app.figures.numbers import budget_name, cost, node_hours, percent, plural, share_of
from stream_app.figures.wording import BECAUSE, missing


def next_step(found: Advice, currency: str) -> str:
    """What to do next, in one line.

    Parameters
    ----------
    found
        The advice.
    currency
        Of amounts of money.
    """
    budget = budget_name(found.evidence.budget)
    if found.step is Step.REPORT:
        return "report executions when they start, not only when they end: nothing can be predicted so far"
    if found.step is Step.OBSERVE:
        return f"observe{_weeks(found)}: {missing(found.evidence.missing_pushes, found.evidence.missing_days)}"
    if found.step is Step.LOOK:
        why = BECAUSE[found.because] if found.because is not None else ""
        return f"look at flags, and stop nothing yet: {why[:1].lower()}{why[1:].rstrip('.')}"
    saved = f"{cost(found.saved_a_month, found.money_a_month, currency)} a month"
    risk = f"{plural(round(found.pushes_at_risk_a_month), 'push')} at risk"
    if found.step is Step.WARN:
        return f"warn at {budget}: {saved}, {risk}"
    if found.step is Step.GO_ON:
        return f"go on stopping flagged runs at {budget}: {saved}, {risk}"
    names = ", ".join(each.pipeline for each in found.pipelines)
    kept = sum(each.saved_a_month for each in found.pipelines)
    these = "this pipeline" if len(found.pipelines) == 1 else f"these {len(found.pipelines)} pipelines"
    return f"act on {these} at {budget}: {names}: {node_hours(kept)} node-hours a month, no push was flagged in them"


def _weeks(found: Advice) -> str:
    days = found.evidence.missing_days
    return "" if days is None else f" {plural(max(1, math.ceil(days / 7)), 'more week')}"


def evidence_lines(found: Advice, currency: str) -> Iterator[str]:
    """The figures behind an advice, a line each.

    Parameters
    ----------
    found, currency
        As of `next_step`.
    """
    evidence = found.evidence
    yield f"{found.days:.0f} days of events; budget {budget_name(evidence.budget)} of pushes"
    if found.step in (Step.REPORT, Step.OBSERVE):
        return
    yield f"waste that would have been avoided: {share_of(evidence.avoided)}"
    flagged = f"{evidence.pushes_flagged} of {evidence.pushes}"
    yield f"pushes that would have been flagged: {flagged}, {share_of(evidence.missed)}"
    yield f"by a plain rule of past push rate, at as many pushes: {share_of(evidence.by_past_rate)}"
    for each in found.pipelines:
        saved = cost(each.saved_a_month, each.money_a_month, currency)
        yield (
            f"{each.pipeline}: {saved} a month; {plural(each.labelled, 'graphlet')}, "
            f"{plural(each.pushes, 'push')}, none of them flagged"
        )


def settings_of(found: Advice) -> str:
    """The settings by which an advice to act is followed: those pipelines climb the ladder to its end, all others not.

    Parameters
    ----------
    found
        The advice.

    Returns
    -------
    str
        In TOML; "" for another advice.
    """
    if found.step is not Step.ACT:
        return ""
    lines = ["[detector]", 'mode = "enforce"', f"budget = {found.evidence.budget:g}"]
    for each in found.pipelines:
        condition = json.dumps(re.sub(r"([*?\[])", r"[\1]", each.pipeline), ensure_ascii=False)
        lines += ["", "[[detector.ladders]]", f"pipeline = {condition}", 'last = "act"', "between_hours = 0.1"]
    return "\n".join([*lines, "", "[[detector.ladders]]", 'last = "warn"', ""])


def canary_lines(found: CanaryEffect) -> Iterator[str]:
    """What came of a canary, a line each.

    Parameters
    ----------
    found
        The effect.
    """
    saved = "not known" if found.saved_share is None else percent(found.saved_share)
    pushes = "not known" if found.pushes_share is None else percent(found.pushes_share)
    yield f"{found.pipeline} since {found.since}: {saved} of its compute saved, {pushes} of its pushes kept"
    weeks = f"{plural(found.weeks_before, 'whole week')} before and {found.weeks_after} after"
    yield f"{weeks}, against the median of its control"
    for name, change in ((found.pipeline, found.canary), *found.control.items()):
        yield (
            f"{name}: {node_hours(change.node_seconds_before)} to {node_hours(change.node_seconds_after)} node-hours "
            f"a week, {change.pushes_before:.1f} to {change.pushes_after:.1f} pushes"
        )
