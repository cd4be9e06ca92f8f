"""`stream-app advise`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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
from stream_app.cli.histories import read_history
from stream_app.cli.stores import SOURCES_HELP
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.analysis.figures import Figures


def advise(
    files: Annotated[list[str], typer.Argument(metavar="SOURCE...", help=SOURCES_HELP, show_default=False)],
    canary: Annotated[
        str | None,
        typer.Option(
            metavar="PIPELINE",
            help="Measure what acting on this pipeline did, against pipelines like it; needs --since.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DAY", help="The day on which acting on it began, such as 2026-03-02.", show_default=False
        ),
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(metavar="PIPELINE", help="A pipeline to compare it with (chosen if not set).", show_default=False),
    ] = None,
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    config: ConfigFlag = None,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
    now: NowFlag = None,
    json: JsonFlag = False,
) -> None:
    """Read one's own history, and say in one line what to do next: observe, warn, or act, with the evidence.

    [bold]Example:[/]  stream-app advise events-*.jsonl.gz
    """
    if (canary is None) != (since is None) or (control and canary is None):
        raise OptionsError("--canary and --since go together, --control with them")
    options = load_options(config, mode, budget)
    found = read_history(files, format, options, time_of(now), predicted=canary is None, quiet=json)
    if canary is None:
        _step(found.figures, json=json)
    else:
        assert since is not None
        _effect(found.figures, canary, since, control or [], json=json)
    if found.faults:
        from stream_app.replay.reading import InputError

        raise InputError("; ".join(found.faults))


def _step(found: Figures, *, json: bool) -> None:
    from stream_app.analysis.rollout import advise as next_advice
    from stream_app.figures.rollout_wording import evidence_lines, next_step, settings_of

    advice, currency = next_advice(found), found.rates.currency
    if json:
        print_json({"next": next_step(advice, currency), "advice": advice, "settings": settings_of(advice)})
        return
    typer.echo(next_step(advice, currency))
    for line in evidence_lines(advice, currency):
        typer.echo(f"  {line}")
    settings = settings_of(advice)
    if settings:
        typer.echo(f"\nsettings for it, with six minutes before each step (docs/acting.md):\n\n{settings}", nl=False)


def _effect(found: Figures, canary: str, since: str, control: list[str], *, json: bool) -> None:
    from datetime import date

    from stream_app.analysis.canary import control_of, measure
    from stream_app.figures.rollout_wording import canary_lines

    try:
        date.fromisoformat(since)
    except ValueError:
        raise OptionsError(f"--since {since[:40]}: expected a day such as 2026-03-02") from None
    assert found.fleet is not None
    pipelines = found.fleet.pipelines
    effect = measure(pipelines, canary, since, control or control_of(pipelines, canary))
    if json:
        print_json({"effect": effect})
        return
    first, *rest = canary_lines(effect)
    typer.echo(first)
    for line in rest:
        typer.echo(f"  {line}")
