"""`stream-app flags keep`, and the other commands by which people decide what becomes of a flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.flags import DEFAULT_URL, JsonFlag, print_json
from stream_app.cli.service_flags import TokenFileFlag, UrlFlag, part, service_of
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.cli.service_client import Service

PATH = "/v1/flags"

_Flag = Annotated[
    str, typer.Argument(metavar="FLAG", help="The id of the flag; with --pipeline the name of its run, or training.")
]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the decision.")]
_Pipeline = Annotated[
    str | None, typer.Option("--pipeline", metavar="NAME", help="The pipeline of the run.", show_default=False)
]
_Undo = Annotated[bool, typer.Option("--undo", help="Take it back: the run is judged as before.")]
_Hours = Annotated[
    float | None, typer.Option("--hours", metavar="N", help="For so many hours, 336 at most.", show_default=False)
]
_Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Until a time, such as 2026-03-01T12:00:00Z.", show_default=False),
]
_Subscription = Annotated[
    str | None, typer.Option("--subscription", metavar="ID", help="Only for this subscription.", show_default=False)
]
_Owner = Annotated[
    str | None,
    typer.Option(
        "--owner", metavar="NAME", help="For all subscriptions of this owner (the owner of the run if not set).",
        show_default=False,
    ),
]  # fmt: skip


def add_to(flags: typer.Typer) -> None:
    """Adds the commands to `stream-app flags`."""
    for command in (keep, wrong, prolong, snooze, mute):
        flags.command()(command)


def keep(
    flag: _Flag,
    reason: _Reason,
    pipeline: _Pipeline = None,
    undo: _Undo = False,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Let a flagged run go on, whatever is predicted of it.

    [bold]Example:[/]  stream-app flags keep ads/run:17 --reason 'it is for the launch on Friday'
    """
    body = {"reason": reason, "value": not undo}
    _print(_act(service_of(url, token_file), flag, pipeline, "keep", body), json=json)


def wrong(
    flag: _Flag,
    reason: _Reason,
    pipeline: _Pipeline = None,
    undo: _Undo = False,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Say that a flag is wrong: its run goes on, too.

    [bold]Example:[/]  stream-app flags wrong 17 --pipeline ads --reason 'the last push was by hand'
    """
    body = {"reason": reason, "value": not undo}
    _print(_act(service_of(url, token_file), flag, pipeline, "wrong", body), json=json)


def prolong(
    flag: _Flag,
    reason: _Reason,
    hours: _Hours = None,
    until: _Until = None,
    pipeline: _Pipeline = None,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Let a flagged run go on for a while, from now or from when it may be stopped if that is later.

    [bold]Example:[/]  stream-app flags prolong ads/run:17 --hours 24 --reason 'it is nearly done'
    """
    body = {"reason": reason, **_while(hours, until)}
    _print(_act(service_of(url, token_file), flag, pipeline, "prolong", body), json=json)


def snooze(
    flag: _Flag,
    reason: _Reason,
    hours: _Hours = None,
    until: _Until = None,
    subscription: _Subscription = None,
    owner: _Owner = None,
    pipeline: _Pipeline = None,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Hold the messages about a flag for a while. Nothing else changes: its run may still be stopped.

    [bold]Example:[/]  stream-app flags snooze ads/run:17 --hours 8 --reason 'I look at it tomorrow'
    """
    body = {"reason": reason, **_while(hours, until), **_whose(subscription, owner)}
    _print_quiet(_act(service_of(url, token_file), flag, pipeline, "snooze", body), json=json)


def mute(
    flag: _Flag,
    reason: _Reason,
    subscription: _Subscription = None,
    owner: _Owner = None,
    pipeline: _Pipeline = None,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Send no more messages about a flag. Nothing else changes: its run may still be stopped.

    [bold]Example:[/]  stream-app flags mute ads/run:17 --subscription ads-oncall --reason 'known'
    """
    body = {"reason": reason, **_whose(subscription, owner)}
    _print_quiet(_act(service_of(url, token_file), flag, pipeline, "mute", body), json=json)


def _whose(subscription: str | None, owner: str | None) -> dict[str, Any]:
    if subscription is not None and owner is not None:
        raise OptionsError("expected --subscription or --owner, not both")
    return {name: value for name, value in (("subscription", subscription), ("owner", owner)) if value is not None}


def _while(hours: float | None, until: str | None) -> dict[str, Any]:
    if (hours is None) == (until is None):
        raise OptionsError("expected either --hours or --until")
    return {"hours": hours} if until is None else {"until": until}


def _act(service: Service, flag: str, pipeline: str | None, what: str, body: dict[str, Any]) -> dict[str, Any]:
    """Asks the service to act on a flag, of which a run or a training may be named alone."""
    from stream_app.cli.service_client import ServiceError
    from stream_app.core.ids import graphlet_id, run_graphlet_id

    if not flag:
        raise OptionsError("expected the id of a flag, or with --pipeline the name of a run")
    names = [flag] if pipeline is None else [run_graphlet_id(pipeline, flag), graphlet_id(pipeline, flag)]
    refused: list[ServiceError] = []
    for name in names:
        try:
            found: dict[str, Any] = service.call("POST", f"{PATH}/{part(name)}/{what}", body)
        except ServiceError as error:
            refused.append(error)
            if error.status != 404:
                raise
        else:
            return found
    # Of a run that is known the reason says more than that there is no such training.
    raise next((each for each in refused if "no such flag" not in str(each)), refused[0])


def _print(made: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(made)
        return
    done = {"keep": "kept", "wrong": "called wrong", "prolong": f"prolonged until {made.get('until')}"}
    undone = "" if made.get("value", True) else "no longer "
    typer.echo(f"{made['flag']} is {undone}{done[made['act']]}: {made['reason']} ({made['by']}, {made['time']})")


def _print_quiet(made: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(made)
        return
    how = f"snoozed until {made['until']}" if made["until"] is not None else "muted"
    whose = ", ".join(made["subscriptions"])
    typer.echo(f"{made['flag']} is {how} for {whose}: {made['reason']} ({made['by']}, {made['time']})")
