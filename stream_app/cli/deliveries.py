"""`stream-app deliveries`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from stream_app.cli.flags import DEFAULT_URL, JsonFlag, print_json, time_of
from stream_app.cli.service_flags import TokenFileFlag, UrlFlag, part, service_of
from stream_app.cli.subscriptions import PATH
from stream_app.cli.tables import table

deliveries = typer.Typer(
    help="Show what a subscription was sent and what not, and send it again.", rich_markup_mode="rich"
)

_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id of the subscription.", show_default=False)]


class FateName(StrEnum):
    """What became of a message."""

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"
    DEAD = "dead"


@deliveries.command("list")
def list_(
    name: _IdArgument,
    fate: Annotated[list[FateName] | None, typer.Option(help="Only these; again for more.", show_default=False)] = None,
    last: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most, the latest.")] = 20,
    before: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Only those before this one.", show_default=False)
    ] = None,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show the delivery log, newest first: sent, failed (and tried again), dropped with the reason, or dead (given up).

    [bold]Example:[/]  stream-app deliveries list ads-slack --fate failed --fate dead
    """
    path = f"{PATH}/{part(name)}/deliveries"
    fates = [each.value for each in fate or ()]
    found = service_of(url, token_file).get(path, limit=last, before=before, fate=fates or None)
    if json:
        print_json(found)
        return
    rows = [_row(each) for each in found["deliveries"]]
    heads = ("number", "time", "fate", "attempt", "message", "reason")
    typer.echo(table(heads, rows) if rows else "there are no deliveries")


@deliveries.command()
def redeliver(
    name: _IdArgument,
    number: Annotated[int, typer.Argument(min=1, metavar="NUMBER", help="Its number in the log.", show_default=False)],
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Send one message again, under the same id, so that receivers who have it can tell.

    [bold]Example:[/]  stream-app deliveries redeliver ads-slack 4711
    """
    made = service_of(url, token_file).call("POST", f"{PATH}/{part(name)}/deliveries/{number}/redeliver")
    if json:
        print_json(made if made is not None else {"redelivered": number})
    else:
        typer.echo(f"message {number} is sent again")


@deliveries.command()
def recover(
    name: _IdArgument,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="RFC 3339 time, such as 2026-03-01T00:00:00Z.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the messages, and send none.")] = False,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Send again what was given up since a time, each message once.

    [bold]Example:[/]  stream-app deliveries recover ads-slack --since 2026-03-01T00:00:00Z --dry-run
    """
    time_of(since, "--since")
    body = {"since": since, "dry_run": dry_run}
    made = service_of(url, token_file).call("POST", f"{PATH}/{part(name)}/recover", body)
    if json:
        print_json(made)
    else:
        from stream_app.figures.numbers import plural

        verb = "would be" if dry_run else "is" if made["messages"] == 1 else "are"
        typer.echo(f"{plural(made['messages'], 'message')} {verb} sent again")


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    names = ("number", "time", "fate", "attempt", "message", "reason")
    return tuple(str(each.get(name, "")) for name in names)
