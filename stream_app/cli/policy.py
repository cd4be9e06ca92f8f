"""`stream-app policy`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from stream_app.cli.flags import DEFAULT_URL, JsonFlag, print_json
from stream_app.cli.service_flags import TokenFileFlag, UrlFlag, part, service_of

PATH = "/v1/policies"


class StepName(StrEnum):
    """The steps of the ladder."""

    OBSERVE = "observe"
    WARN = "warn"
    WARN_TWICE = "warn_twice"
    ACT = "act"


policy = typer.Typer(help="How far flags of a pipeline lead: the ladder.", rich_markup_mode="rich")
_Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="The name of the pipeline.")]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the decision.")]


@policy.command()
def show(
    pipeline: _Pipeline, url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False
) -> None:
    """Show what holds for a pipeline: by whose decision and why, or by the settings.

    [bold]Example:[/]  stream-app policy show ads
    """
    _print(service_of(url, token_file).get(f"{PATH}/{part(pipeline)}"), json=json)


@policy.command("set")
def set_(
    pipeline: _Pipeline,
    last: Annotated[StepName, typer.Option("--last", help="The last step; act needs a token with the scope admin.")],
    reason: _Reason,
    between_hours: Annotated[
        float, typer.Option("--between-hours", metavar="N", help="From the flag to the second warning, and from there.")
    ] = 0.0,
    exempt_label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=GLOB", help="Runs with this label are never stopped; again for more.", show_default=False
        ),
    ] = None,
    exempt_hours: Annotated[
        str,
        typer.Option(
            metavar="HOURS", help="No run is stopped then: such as '22:00-06:00 Europe/Berlin'.", show_default=False
        ),
    ] = "",
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Decide how far flags of a pipeline lead, whatever the settings say.

    [bold]Example:[/]  stream-app policy set ads --last warn_twice --between-hours 2 --reason 'a launch in May'
    """
    body = {
        "last": last.value,
        "between_hours": between_hours,
        "exempt_labels": exempt_label or [],
        "exempt_hours": exempt_hours,
        "reason": reason,
    }
    _print(service_of(url, token_file).call("PUT", f"{PATH}/{part(pipeline)}", body), json=json)


@policy.command()
def clear(
    pipeline: _Pipeline,
    reason: _Reason,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Let the settings hold for a pipeline again.

    [bold]Example:[/]  stream-app policy clear ads --reason 'the launch is over'
    """
    path = f"{PATH}/{part(pipeline)}?{urlencode({'reason': reason})}"
    _print(service_of(url, token_file).call("DELETE", path), json=json)


def _print(shown: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(shown)
        return
    if shown["ladder"] is not None:
        typer.echo(f"{shown['pipeline']}: {_words(shown['ladder'])}")
    else:
        typer.echo(f"{shown['pipeline']}: as the settings say")
        rules = [*shown["rules"], None] if not shown["rules"] or _chooses(shown["rules"][-1]) else shown["rules"]
        for rule in rules:
            typer.echo(f"  {_conditions(rule)}: {_words(rule['ladder']) if rule is not None else 'act, at once'}")
    if shown["by"] is not None:
        typer.echo(f"decided by {shown['by']} at {shown['time']}: {shown['reason']}")


def _chooses(rule: dict[str, Any]) -> bool:
    """Whether a rule holds for some runs of a pipeline alone."""
    return rule["owner"] != "*" or bool(rule["labels"])


def _conditions(rule: dict[str, Any] | None) -> str:
    if rule is None or not _chooses(rule):
        return "runs"
    owner = [f"owner {rule['owner']}"] if rule["owner"] != "*" else []
    return f"runs of {', '.join([*owner, *(f'{name}={value}' for name, value in rule['labels'].items())])}"


def _words(ladder: dict[str, Any]) -> str:
    """A ladder as people read it, such as `act, 2 h between steps, not 22:00-06:00 UTC`."""
    parts = [ladder["last"]]
    if ladder["between_hours"]:
        parts.append(f"{ladder['between_hours']:g} h between steps")
    if ladder["exempt_labels"]:
        parts.append(f"not runs with {' or '.join(ladder['exempt_labels'])}")
    if ladder["exempt_hours"]:
        parts.append(f"not within {ladder['exempt_hours']}")
    return ", ".join(parts)
