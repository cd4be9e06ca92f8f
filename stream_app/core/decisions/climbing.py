"""What a flag leads to: the ladder of its run, and the verdicts that acts of people revise."""

from __future__ import annotations

from stream_app.core.acts import POLICY, act_id, ladder_of
from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.features.ownership import OwnerOf, find_owner, labels_of
from stream_app.core.ladder import Ladder
from stream_app.core.outputs import PRUNE, Verdict
from stream_app.core.state.acts_on import prolonged_ms
from stream_app.core.state.entities import Subject
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.predictions import OpenFlag


def ladder(pipeline: Pipeline, subject: Subject, policy: Policy, owner_of: OwnerOf | None) -> Ladder:
    """The ladder of a run: that of an act on its pipeline, else of the first rule that holds, else to act at once.

    Parameters
    ----------
    pipeline, subject
        The run or trainer, and its pipeline.
    policy
        Has the rules.
    owner_of
        Finds the owner of a run whose executions report none.
    """
    act = pipeline.executions.get(act_id(POLICY))
    properties = {name: value for name, (_, value) in (act.properties or {}).items()} if act is not None else {}
    found = ladder_of(properties)
    if found is None and not policy.ladders:
        return Ladder()
    labels = labels_of(pipeline, subject)
    if found is None:
        owner = find_owner(pipeline, subject, owner_of)
        found = next((rule.ladder for rule in policy.ladders if rule.holds(pipeline.name, owner, labels)), Ladder())
    return found.of_run(labels)


def address(
    verdict: Verdict, pipeline: Pipeline, subject: Subject, policy: Policy, owner_of: OwnerOf | None
) -> Verdict:
    """Adds to the verdict on what is flagged whom it concerns and what follows, and keeps both with the subject.

    Parameters
    ----------
    verdict
        The verdict, which is changed.
    pipeline, subject
        Its pipeline and its subject.
    policy
        Has the rules of ladders.
    owner_of
        Finds the owner of a run whose executions report none.

    Returns
    -------
    Verdict
        The verdict.
    """
    predictions = subject.predictions
    assert predictions is not None
    if verdict.decision != PRUNE:
        predictions.open_flag = None
        return verdict
    verdict.owner = find_owner(pipeline, subject, owner_of)
    verdict.labels = labels_of(pipeline, subject)
    since_ms = predictions.open_flag.since_ms if predictions.open_flag is not None else verdict.time_ms
    climbed = ladder(pipeline, subject, policy, owner_of)
    verdict.ladder, verdict.exempt_hours = str(climbed.last), climbed.exempt_hours
    verdict.warn_again_ms = climbed.warn_again_ms(since_ms)
    if policy.mode == ENFORCE:
        verdict.stop_ms = climbed.stop_ms(since_ms, prolonged_ms(pipeline, subject))
    predictions.open_flag = OpenFlag(
        since_ms, verdict.threshold, verdict.model,
        tuple((reason.feature, reason.value, reason.effect) for reason in verdict.reasons),
        verdict.ladder, verdict.warn_again_ms, verdict.stop_ms, verdict.exempt_hours,
    )  # fmt: skip
    return verdict
