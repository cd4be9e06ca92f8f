"""All findings of one pipeline: what the rules draft becomes a finding with a cost, an act and the act's effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.analysis.findings.effects import effect_of
from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.rules import RULES, Draft
from stream_app.analysis.findings.values import Act, ActKind, Effect, Finding, Kind
from stream_app.core.ids import finding_id

#: Graphlets that a finding names.
GRAPHLETS_MAX = 20
#: An act may lose one push of so many: the share that the default deployment budget allows.
PUSHES_PER_LOSS = 20


@dataclass(frozen=True, slots=True)
class PipelineFindings:
    """The findings of a pipeline in the order of the table of rules.

    Attributes
    ----------
    findings
        The findings; none of them says whether it was announced.
    counted_by
        Graphlet id -> the id of the finding that counts it.
    """

    findings: list[Finding]
    counted_by: Mapping[str, str]


def findings_of(history: History) -> PipelineFindings:
    """Applies every rule to a pipeline.

    Parameters
    ----------
    history
        Its kept graphlets.

    Returns
    -------
    PipelineFindings
        A function of the kept graphlets and of the pipeline's clock.
    """
    found: list[Finding] = []
    counted_by: dict[str, str] = {}
    for kind, rule in RULES.items():
        draft = rule(history)
        if draft is not None:
            found.append(finding_of(history, kind, draft, counted_by))
    return PipelineFindings(found, counted_by)


def finding_of(history: History, kind: Kind, draft: Draft, counted_by: dict[str, str]) -> Finding:
    """Makes a finding of a draft.

    Parameters
    ----------
    history
        The graphlets of the pipeline.
    kind
        The rule.
    draft
        What it found.
    counted_by
        Graphlet id -> finding id; the graphlets that this finding counts are added.
    """
    name = finding_id(history.pipeline, kind)
    counted = [facts for facts in draft.charged if facts.id not in counted_by]
    counted_by.update((facts.id, name) for facts in counted)
    cost, own_cost = history.cost_of(draft.charged), history.cost_of(counted)
    act, effect = best_act(history, draft)
    return Finding(
        id=name,
        revision=0,
        kind=kind,
        pipeline=history.pipeline,
        since_ms=draft.behind[0].start_ms,
        last_ms=draft.behind[-1].start_ms,
        trainings=len(history.graphlets),
        count=len(draft.behind) if draft.count is None else draft.count,
        graphlets=tuple(facts.id for facts in draft.behind[-GRAPHLETS_MAX:]),
        node_ms=cost.node_ms,
        micros=cost.micros,
        month_node_ms=history.month(cost.node_ms),
        counted=len(counted),
        counted_node_ms=own_cost.node_ms,
        counted_micros=own_cost.micros,
        act=act,
        effect=effect,
    )


def best_act(history: History, draft: Draft) -> tuple[Act, Effect]:
    """The act that is recommended, with its effect.

    Parameters
    ----------
    history
        The graphlets of the pipeline.
    draft
        What a rule found, with the acts that it proposes.

    Returns
    -------
    tuple of Act and Effect
        The first proposal, where it loses no more pushes than the bound; else the one that saves most of those that
        do not; else to look at it.
    """
    harmless = []
    for act, skipped in draft.proposals:
        effect = effect_of(history, skipped)
        if effect.lost <= effect.pushes // PUSHES_PER_LOSS:
            if act is draft.proposals[0][0]:
                return act, effect
            harmless.append((act, effect))
    if harmless:
        return max(harmless, key=lambda each: (each[1].micros, each[1].node_ms, -each[1].skipped))
    return Act(ActKind.LOOK), effect_of(history, frozenset())
