"""What findings are in words: for the report, the pages and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_app.analysis.findings import ActKind, FindingFigures, Kind
from stream_app.analysis.summary import FindingLine
from stream_app.figures.numbers import count, hours, node_hours, plural
from stream_app.found import EffectFigures, Found

#: What is wrong, as a headline.
TITLES: Mapping[str, str] = {
    Kind.NO_PUSH: "Trains and does not push",
    Kind.TRAINS_TOO_OFTEN: "Trains more often than it pushes",
    Kind.SAME_FAILURE: "The same code fails again",
    Kind.NOT_BLESSED: "Validation refuses every model",
    Kind.UNCHANGED: "Trains again on the same data",
    Kind.NOT_VALIDATED: "Trains models that nobody validates",
    Kind.PUSHED_UNVALIDATED: "Pushes models that nobody validated",
    Kind.SILENT: "The next run is overdue",
}
#: What to do where no act is recommended.
LOOKS: Mapping[str, str] = {
    Kind.NO_PUSH: "look whether its pushes are reported: no deploy execution was seen",
    Kind.TRAINS_TOO_OFTEN: "look at its trainings one by one: every slower pace would have lost too many pushes",
    Kind.SAME_FAILURE: "look why it fails: the same code has trained in between, or later",
    Kind.NOT_BLESSED: "look why its models are refused",
    Kind.UNCHANGED: "look what makes these trainings differ: without them too many pushes would have been lost",
    Kind.SILENT: "look whether it is still scheduled",
}
#: What to do, of acts without a parameter.
ACTS: Mapping[str, str] = {
    ActKind.SKIP_UNCHANGED: "train only when the data or the code has changed",
    ActKind.ADD_VALIDATION: "add a validator after the trainer",
    ActKind.STOP_PIPELINE: "stop the pipeline",
}
_EVERY = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth"}
_SECONDS = 3600


def title(finding: Found) -> str:
    """What is wrong, as a headline."""
    return TITLES.get(finding.kind, finding.kind)


def sentence(finding: Found) -> str:
    """What was found, in one or two sentences.

    Parameters
    ----------
    finding
        The finding.
    """
    number, pushes = finding.count, finding.effect.pushes
    since = finding.since[:10]
    if finding.kind == Kind.NO_PUSH:
        return f"None of {plural(number, 'graphlet')} since {since} was pushed."
    if finding.kind == Kind.TRAINS_TOO_OFTEN:
        return (
            f"{plural(finding.trainings, 'training')} for {plural(pushes, 'push')}. At the pace of the pushes, "
            f"{plural(number, 'training')} without a push would not have run."
        )
    if finding.kind == Kind.SAME_FAILURE:
        return f"{plural(number, 'training')} failed with code that had failed before, since {since}."
    if finding.kind == Kind.NOT_BLESSED:
        return f"Validation has refused {plural(number, 'model')} in a row since {since}."
    if finding.kind == Kind.UNCHANGED:
        return f"{plural(number, 'training')} had the data and the code of the model before, since {since}."
    if finding.kind == Kind.NOT_VALIDATED:
        return f"{plural(number, 'model')} since {since}: no validator judged any of them, and none was pushed."
    if finding.kind == Kind.PUSHED_UNVALIDATED:
        return f"{plural(number, 'model')} since {since} reached serving without a validator."
    if finding.kind != Kind.SILENT:
        return f"{plural(number, 'training')} since {since}."  # of a later release
    return f"The last run began on {finding.last[:16].replace('T', ' ')} UTC, {plural(number, 'usual interval')} ago."


def act(finding: Found) -> str:
    """What is recommended, without its effect."""
    parameter = finding.parameter or 1
    if finding.act == ActKind.TRAIN_EVERY:
        return f"train every {_EVERY.get(parameter, f'{parameter}th')} run"
    if finding.act == ActKind.FIX_CODE:
        again = "a failure" if finding.kind == Kind.SAME_FAILURE else "a refused model"
        if parameter > 1:
            again = f"{parameter} {'failures' if finding.kind == Kind.SAME_FAILURE else 'refused models'} in a row"
        return f"after {again}, train again only with new code"
    if finding.act == ActKind.LOOK:
        return LOOKS.get(finding.kind, "look at it")
    return ACTS.get(finding.act, finding.act)


def effect(found: EffectFigures) -> str:
    """What an act that skips trainings would have done, such as `412 node-hours a month, no push would have been lost`.

    Parameters
    ----------
    found
        The effect of the act.
    """
    parts = [f"{node_hours(found.saved_a_month)} node-hours a month"]
    if not found.pushes:
        return f"{parts[0]}, there was no push to lose"
    parts.append(
        f"{count(found.lost) if found.lost else 'no'} {'push' if found.lost <= 1 else 'pushes'} would have been lost"
    )
    if found.delayed and found.delay_median is not None and found.delay_worst is not None:
        worst = hours(found.delay_worst / _SECONDS)
        late = f"{worst} later"
        if found.delayed > 1:
            late = f"{hours(found.delay_median / _SECONDS)} later at the median, {worst} at worst"
        parts.append(f"{count(found.delayed)} would have been {late}")
    return ", ".join(parts)


def advice(finding: Found) -> str:
    """What is recommended with what it would have done, such as `train every third run: 412 node-hours a month, ...`.

    Parameters
    ----------
    finding
        The finding.
    """
    words = act(finding)
    return f"{words}: {effect(finding.effect)}" if finding.effect.skipped else words


def lines(findings: Iterable[FindingFigures]) -> list[FindingLine]:
    """Findings as the summary of a report takes them.

    Parameters
    ----------
    findings
        In any order.

    Returns
    -------
    list of FindingLine
        One for each.
    """
    return [
        FindingLine(title(each), each.pipeline, each.cost / _SECONDS, each.cost_money, advice(each))
        for each in findings
    ]
