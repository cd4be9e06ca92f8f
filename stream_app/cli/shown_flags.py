"""`stream-app flags`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from stream_app.cli.flags import DEFAULT_URL, print_json
from stream_app.cli.service_flags import TokenFileFlag, UrlFlag, service_of
from stream_app.cli.tables import line, table

if TYPE_CHECKING:
    from stream_app.cli.service_client import Service

PATH = "/v1/flags"
_HEADS = ("pipeline", "run", "since", "node-hours left", "p_push", "ladder", "stop from", "state")
#: Changes of flags that are open, and how they read.
_OPEN = {"raised": "open", "revised": "open", "reminded": "open: warned again", "due": "open: may be stopped"}
#: The widths of the columns where flags are followed, for what comes is not known yet.
_WIDTHS = (24, 24, 17, 15, 6, 10, 17, 0)


flags = typer.Typer(rich_markup_mode="rich")


@flags.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    pipeline: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Only flags of this pipeline.", show_default=False)
    ] = None,
    opened: Annotated[bool, typer.Option("--open", help="Only flags that are open.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most, the latest.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each change of a flag as it comes.")
    ] = False,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document; one a line with --follow.")] = False,
) -> None:
    """Show the latest flags of a service, or follow them; the commands below decide what becomes of one.

    [bold]Example:[/]  stream-app flags --open --pipeline 'ads-*'
    """
    if context.invoked_subcommand is not None:
        return
    service = service_of(url, token_file)
    if follow:
        _follow(service, pipeline, limit, json=json, opened=opened)
        return
    found = _latest(service, pipeline, limit, opened=opened)
    if json:
        print_json({"flags": found})
    else:
        typer.echo(table(_HEADS, [_row(each) for each in found]) if found else "there are no flags")


def _latest(service: Service, pipeline: str | None, limit: int, *, opened: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get(PATH, pipeline=pipeline, open="true" if opened else None, limit=limit)[
        "flags"
    ]
    return found


def _follow(service: Service, pipeline: str | None, limit: int, *, json: bool, opened: bool) -> None:
    """Prints the latest flags, the newest last, and then each change."""
    from stream_app.cli.event_stream import EventStream

    query = f"?{urlencode({'pipeline': pipeline})}" if pipeline is not None else ""
    # Before the list is asked for: what comes in between is in both, and nothing is missed.
    stream = EventStream(service, f"{PATH}/stream{query}", _lost)
    if not json:
        typer.echo(line(_HEADS, _WIDTHS))
    listed = _latest(service, pipeline, limit, opened=opened)
    for each in reversed(listed):
        _print(each, json=json)
    shown = {each["flag"]: each["revision"] for each in listed}
    for event in stream:
        record = event["data"]
        if "flag" not in record:
            continue  # the stream has findings too
        if record["revision"] > shown.get(record["flag"], 0):
            _print(record, json=json)


def _print(record: dict[str, Any], *, json: bool) -> None:
    if json:
        import orjson

        sys.stdout.buffer.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    else:
        typer.echo(line(_row(record), _WIDTHS))


def _lost(what: str) -> None:
    typer.echo(f"stream-app: {what}", err=True)


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    """A flag as people read it. A training outside of any run stands for its run."""
    from stream_app.figures.numbers import node_hours

    flagged = record["graphlets"]
    run = record["run"] if record["run"] is not None else next((each["trainer"] or "" for each in flagged), "")
    ladder = record.get("ladder") or {"last": "", "stop_from": None}
    return (
        record["pipeline"],
        run,
        _minute(record["raised"]),
        node_hours(record["cost_left"]),
        f"{record['p_push']:.3f}",
        ladder["last"],
        _minute(ladder["stop_from"]) if ladder["stop_from"] is not None else "",
        _state(record),
    )


def _minute(time: str) -> str:
    return f"{time[:16]}Z"


def _state(record: dict[str, Any]) -> str:
    """What became of a flag, such as `open` and `resolved: not_pushed (run_ended)`."""
    if record["change"] in _OPEN:
        return _OPEN[record["change"]]
    if record["outcome"] is None:
        return f"withdrawn: {record['cause']}"
    cause = f" ({record['cause']})" if record["cause"] is not None else ""
    return f"resolved: {record['outcome']}{cause}"
