"""`stream-app dlq`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.assembly import connection_of, names_of
from stream_app.cli.flags import ConfigFlag, JsonFlag
from stream_app.cli.kafka_flags import ServersFlag, load_kafka_options, print_json, talking_to_kafka

if TYPE_CHECKING:
    from stream_app.kafka.clients.dead_letters import DeadLetter

dlq = typer.Typer(help="Look at dead letters, and give them back.", rich_markup_mode="rich")


@dlq.command("list")
def list_letters(
    last: Annotated[int, typer.Option(min=1, help="How many at most, the latest.")] = 20,
    config: ConfigFlag = None,
    bootstrap_servers: ServersFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show the latest dead letters: what was no event, where it came from, and why.

    [bold]Example:[/]  stream-app dlq list --last 5 --bootstrap-servers localhost:9092
    """
    options = load_kafka_options(config, bootstrap_servers).kafka

    from stream_app.kafka.clients import dead_letters

    with talking_to_kafka():
        found = asyncio.run(dead_letters.read(connection_of(options), names_of(options), last))
    if json:
        print_json([_to_dict(letter) for letter in found])
    else:
        typer.echo("\n".join(_to_text(letter) for letter in found) or "there are no dead letters")


@dlq.command("requeue")
def requeue(config: ConfigFlag = None, bootstrap_servers: ServersFlag = None, json: JsonFlag = False) -> None:
    """Write dead letters back to the topics they came from, each at least once.

    What is still no event becomes a dead letter again; what came since the last time is taken the next time.

    [bold]Example:[/]  stream-app dlq requeue --bootstrap-servers localhost:9092
    """
    options = load_kafka_options(config, bootstrap_servers).kafka

    from stream_app.kafka.clients import dead_letters

    with talking_to_kafka():
        back, truncated = asyncio.run(dead_letters.requeue(connection_of(options), names_of(options)))
    if json:
        print_json({"written": back, "truncated": truncated})
    else:
        typer.echo(f"{back:,} dead letters written back")
        if truncated:
            typer.echo(f"{truncated:,} could not be: only their beginnings were kept")


def _to_dict(letter: DeadLetter) -> dict[str, Any]:
    from stream_app.sources import DeadLetter as Told
    from stream_app.times import time_to_text

    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    told = Told(letter.value or b"", place, letter.reason).to_dict()
    return {"time": time_to_text(letter.time_ms), **told, "truncated": letter.truncated}


def _to_text(letter: DeadLetter) -> str:
    from stream_app.sources.strict_json import shown

    told = _to_dict(letter)
    message = shown((letter.value or b"").decode(errors="replace"))
    return f"{told['time']}  {told['place']}  {letter.reason}\n    {message}"
