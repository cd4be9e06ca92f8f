"""`stream-app explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.assembly import settings_of, sources_of
from stream_app.cli.flags import (
    BudgetFlag,
    ConfigFlag,
    Format,
    FormatFlag,
    JsonFlag,
    ModeFlag,
    NowFlag,
    load_options,
    print_json,
    time_of,
)
from stream_app.cli.stores import SOURCES_HELP, stores_of

if TYPE_CHECKING:
    from stream_app.core.events import Event
    from stream_app.core.outputs import StageRecord, Verdict
    from stream_app.provenance.nearest import Neighbour
    from stream_app.replay.explain import Explanation

#: Ids listed on one line.
_LISTED = 6


def explain(
    graphlet: Annotated[str, typer.Argument(metavar="GRAPHLET", help="Such as ads/train-1, or ads/run:7.")],
    files: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help=f"{SOURCES_HELP} It is read twice.", show_default=False),
    ],
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    config: ConfigFlag = None,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
    now: NowFlag = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare it with the last graphlet before it that was pushed.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write all that the last flag, or else the last verdict, was made of; see verify-decision.",
            show_default=False,
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Explain one graphlet: its events and members, its verdicts with their reasons, and its outcome.

    [bold]Example:[/]  stream-app explain ads/train-1 events.jsonl
    """
    from stream_app.replay.explain import explain as run
    from stream_app.replay.reading import InputError
    from stream_app.runtime import garbage

    options = load_options(config, mode, budget)
    settings, now_ms = settings_of(options), time_of(now)
    garbage.tune()
    explanation = run(
        graphlet,
        files,
        settings,
        settings.learner(),
        format.value,
        now_ms,
        sources_of(options),
        stores_of(options),
        compare=diff,
    )
    if record is not None:
        _write_record(record, explanation)
    if json:
        document = _document(explanation)
        print_json({**document, "diff": explanation.difference} if diff else document)
    else:
        for line in [*_lines(explanation), *(_difference(explanation.difference) if diff else ())]:
            typer.echo(line)
    if explanation.faults:
        raise InputError("; ".join(explanation.faults))


def _write_record(path: Path, explanation: Explanation) -> None:
    import orjson

    from stream_app.core.outputs import PRUNE
    from stream_app.errors import OptionsError

    verdicts = [each for each in explanation.verdicts if each.id in explanation.records]
    if not verdicts:
        raise OptionsError(f"{explanation.graphlet}: there is no verdict of which a record can be written")
    flags = [each for each in verdicts if each.decision == PRUNE or each.holdout]
    chosen = explanation.records[(flags or verdicts)[-1].id]
    try:
        path.write_bytes(orjson.dumps(chosen, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise OptionsError(f"--record {path} cannot be written: {error.strerror}") from None


def _document(explanation: Explanation) -> dict[str, Any]:
    from stream_app.times import time_to_text
    from stream_app.wire import event_to_dict, example_to_dict, graphlet_to_dict, outcome_of, verdict_to_dict

    return {
        "graphlet": graphlet_to_dict(explanation.record) if explanation.record is not None else None,
        "outcome": outcome_of(explanation.record) if explanation.record is not None else None,
        "verdicts": [
            {**verdict_to_dict(verdict), "nearest": _nearest_to_list(explanation.nearest[verdict.id])}
            for verdict in explanation.verdicts
        ],
        "examples": [example_to_dict(example) for example in explanation.examples],
        "story": [
            {"time": time_to_text(time_ms) if time_ms is not None else None, "what": what, "detail": detail}
            for time_ms, what, detail in explanation.story
        ],
        "events": [event_to_dict(event) for event in explanation.events],
    }


def _lines(explanation: Explanation) -> list[str]:
    """The explanation as text."""
    from stream_app.core.units import HOUR_MS

    lines = [f"graphlet {explanation.graphlet}"]
    record = explanation.record
    if record is not None:
        names = _names(explanation)
        trainer = names.get(record["trainer"], record["trainer"])
        if trainer != record["trainer"]:
            lines.append(f"  trainer  {trainer}")
        lines.append(f"  run      {record['run'] or 'none'}")
        for name in ("up", "down", "side"):
            more = f", and {len(record[name]) - _LISTED} more" if len(record[name]) > _LISTED else ""
            listed = ", ".join(names.get(each, each) for each in record[name][:_LISTED])
            lines.append(f"  {name:<8} {listed or 'none'}{more}")
        cost = ", ".join(f"{group} {node_ms / HOUR_MS:.3g}" for group, node_ms in record["cost"].items())
        lines.append(f"  cost     {cost or 'none'} (node-hours)")
    lines += ["", "events", *_events(explanation), "", "story", *_story(explanation), "", "verdicts"]
    stages = explanation.stages()
    for verdict in explanation.verdicts:
        lines += _verdict(verdict, stages.get((verdict.stage, verdict.validator)))
        lines += _nearest(explanation.nearest[verdict.id])
    if not explanation.verdicts:
        lines.append("  none: no stage was reached in time")
    return [*lines, "", "outcome", *_outcome(explanation)]


def _story(explanation: Explanation) -> list[str]:
    from stream_app.times import time_to_text

    return [
        f"  {time_to_text(time_ms) if time_ms is not None else '-':<24}  {what}: {detail}"
        for time_ms, what, detail in explanation.story
    ] or ["  not kept: it was evicted"]


def _names(explanation: Explanation) -> dict[str, str]:
    """Execution id -> its name: with the job of OpenLineage, whose runs have ids that say nothing."""
    from stream_app.core.properties import JOB

    return {
        event.execution_id: f"{event.execution_id} ({event.properties[JOB]})"
        if JOB in event.properties
        else event.execution_id
        for event in explanation.events
    }


def _events(explanation: Explanation) -> list[str]:
    from stream_app.core.acts import is_act
    from stream_app.times import time_to_text

    names = _names(explanation)
    return [
        f"  {time_to_text(event.time_ms)}  "
        + (_act(event) if is_act(event) else f"{event.execution_type:<18} {event.state:<9} {names[event.execution_id]}")
        for event in explanation.events
    ] or ["  none"]


def _act(act: Event) -> str:
    """Who decided what about the run, and why."""
    from stream_app.core.acts import BY, REASON, UNTIL, VALUE
    from stream_app.core.properties import is_true
    from stream_app.times import time_to_text

    word = act.execution_id.partition("/")[0].partition(".")[2].lower()
    until, value = act.properties.get(UNTIL), act.properties.get(VALUE)
    if isinstance(until, int | float):
        word += f" until {time_to_text(int(until))}"
    elif value is not None and not is_true(value):
        word += " taken back"
    return f"{word} by {act.properties.get(BY, 'somebody')}: {act.properties.get(REASON) or 'no reason given'}"


def _verdict(verdict: Verdict, stage: StageRecord | None) -> list[str]:
    from stream_app.figures.wording import policy_name, policy_notes, reason_name
    from stream_app.times import time_to_text

    whose = f" after {verdict.validator}" if verdict.validator else ""
    threshold = f"flagged below {verdict.threshold:.3g}" if verdict.threshold is not None else "no threshold"
    policy = policy_name(verdict.mode, verdict.budget)
    lines = [
        f"  {time_to_text(verdict.time_ms)}  {verdict.stage}{whose}: {verdict.decision} ({policy})",
        f"      chance of a push {verdict.p_push:.1%}, score {verdict.score:.3g}, {threshold}",
        f"      {verdict.cost / 3600:.3g} node-hours so far, {verdict.cost_left / 3600:.3g} expected to come"
        + (f", {stage.actual_left / 3600:.3g} came" if stage is not None else ""),
    ]
    if stage is not None:
        lines.append(f"      the pipeline's past push rate was {stage.baseline:.1%}; {len(stage.features)} features")
    notes = [*policy_notes(verdict), *map(reason_name, verdict.reasons)]
    return [*lines, *(f"      - {note}" for note in notes)]


def _nearest_to_list(neighbours: tuple[Neighbour, ...] | None) -> list[dict[str, Any]] | None:
    return [each.to_dict() for each in neighbours] if neighbours is not None else None


def _nearest(neighbours: tuple[Neighbour, ...] | None) -> list[str]:
    """The past graphlets that were most alike, how they ended, and what differs most."""
    from stream_app.core.features.descriptions import describe
    from stream_app.figures.wording import CAUSES, OUTCOMES

    if neighbours is None:
        return []
    lines = ["      most alike at this stage:" if neighbours else "      no graphlet was labelled at this stage before"]
    for each in neighbours:
        ended = OUTCOMES["pushed"] if each.pushed else CAUSES.get(each.cause, each.cause)
        lines.append(f"        {each.graphlet}, distance {each.distance:.2f}: {ended}")
        for differs in each.differences:
            own, there = describe(differs.feature, differs.value), describe(differs.feature, differs.other)
            lines.append(f"          - {own}; there: {there}")
    return lines


def _difference(compared: dict[str, Any] | None) -> list[str]:
    """What differs from the last push before it."""
    if compared is None:
        return ["", "difference", "  none: later events show that it was no training"]
    against, found = compared["against"], compared["difference"]
    if against is None:
        return ["", "difference", "  none: no graphlet of this pipeline was pushed before it"]
    code, data, operators = found["code_version"], found["data"], found["operators"]
    lines = ["", f"difference from the last push before it, {against['graphlet']} of {against['started']}"]
    if code["before"] != code["after"]:
        lines.append(_change("code version", code["before"], code["after"]))
    else:
        lines.append(f"  code version: {'the same' if code['after'] is not None else 'not known'}")
    for name in ("added", "removed", "kept"):
        lines.append(_ids(f"data {name}", data[name]))
    for name in ("added", "removed"):
        lines.append(_ids(f"operators {name}", operators[name]))
    for each in operators["changed"]["first"]:
        lines.append(_change(f"executions of {each['operator']}", each["before"], each["after"]))
    for kind, name in (("property", "properties"), ("metric", "metrics")):
        changed = [each for each in found[name]["first"] if each["before"] != each["after"]]
        lines += [_change(each[kind], each["before"], each["after"], each.get("difference")) for each in changed]
        if found[name]["count"] > len(found[name]["first"]):
            lines.append(f"  and {found[name]['count'] - len(found[name]['first'])} more {name}")
    for what, unit in (("cost", "node-hours"), ("durations", "hours")):
        for each in found[what]:
            hours = [round(value / 3600, 3) if value is not None else None for value in _values(each)]
            lines.append(_change(f"{unit} of {_of(each['group'])}", *hours))
    return lines


def _values(change: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    return change["before"], change["after"], change["difference"]


def _of(group: str) -> str:
    return "the run" if group == "whole" else group


def _ids(name: str, listed: dict[str, Any]) -> str:
    """A list with its number, cut."""
    shown = listed["first"][:_LISTED]
    more = f", and {listed['count'] - len(shown)} more" if listed["count"] > len(shown) else ""
    return f"  {name}: {', '.join(shown) or 'none'}{more}"


def _change(name: str, before: Any, after: Any, by: float | None = None) -> str:
    """Both values of what differs, and the difference of numbers."""
    return f"  {name}: {_value(before)} -> {_value(after)}" + (f" ({by:+.3g})" if by is not None else "")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _outcome(explanation: Explanation) -> list[str]:
    from stream_app.figures.wording import CAUSES, OUTCOMES
    from stream_app.times import time_to_text
    from stream_app.wire import outcome_of

    lines = []
    outcome = outcome_of(explanation.record) if explanation.record is not None else None
    if explanation.record is not None and outcome is None:
        lines.append("  still open")
    elif outcome is not None:
        cause = CAUSES.get(outcome["cause"], OUTCOMES.get(outcome["cause"], outcome["cause"]))
        lines.append(f"  {outcome['time']}  {cause}")
    for example in explanation.examples:
        said = "no label" if example.pushed is None else "pushed" if example.pushed else "not pushed"
        correction = ", a correction" if example.label_revision > 1 else ""
        lines.append(f"  {time_to_text(example.announced_ms)}  learned as {said}: {example.graphlet}{correction}")
    return lines or ["  not known"]
