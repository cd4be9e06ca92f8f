"""`stream-app check`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.cli.assembly import operators_of, sources_of
from stream_app.cli.flags import EVENTS, ConfigFlag, Format, FormatFlag, JsonFlag, NowFlag, load_options, time_of

if TYPE_CHECKING:
    from stream_app.replay.check import Checked


def check(
    events: Annotated[
        list[str],
        typer.Option(
            "--events",
            metavar="FILE",
            help=f"A file of events, no store: {EVENTS}; - for standard input. May be repeated.",
        ),
    ],
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    config: ConfigFlag = None,
    now: NowFlag = None,
    json: JsonFlag = False,
) -> None:
    """Check which messages are valid events, and why others are not. The exit code is 1 when any is not.

    For OpenLineage it also shows the pipeline and the operator of each job.

    [bold]Example:[/]  stream-app check --events events.jsonl
    """
    from stream_app.core.units import DAY_MS
    from stream_app.replay.check import check as run

    options, now_ms = load_options(config), time_of(now)
    latest_ms = None if now_ms is None else now_ms + DAY_MS
    found = run(events, operators_of(options), format.value, latest_ms, sources_of(options))
    if json:
        import orjson

        sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        _print(found)
    if found.dead_letters or not found.events:
        raise typer.Exit(1)


def _print(found: Checked) -> None:
    period = f" from {found.first} to {found.last}" if found.first else ""
    typer.echo(f"{found.events:,} events of {found.pipelines:,} pipelines{period}")
    for group, types in found.types.items():
        typer.echo(f"  {group:<12}{', '.join(f'{name} ({count:,})' for name, count in types.items())}")
    if found.jobs:
        typer.echo("jobs:")
        for job, became in found.jobs.items():
            typer.echo(f"  {job}: {became.group} ({became.type}) of {became.pipeline}, {became.events:,} events")
    for warning in found.warnings:
        typer.echo(f"note: {warning}")
    if found.ignored:
        typer.echo(f"{found.ignored:,} messages are about no execution and are ignored")
    if found.dead_letters:
        typer.echo(f"{found.dead_letters:,} messages are not events:")
        for fault in found.faults:
            typer.echo(f"  {fault.messages:,} x {fault.kind}\n      first at {fault.place}: {fault.reason}")
    elif found.events:
        typer.echo("all messages are events")
    else:
        typer.echo("there are no messages")
