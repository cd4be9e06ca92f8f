"""`stream-app dlq`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.assembly import connection_of, names_of
from stream_app.cli.flags import ConfigFlag, JsonFlag
from stream_app.cli.kafka_flags import ServersFlag, kafka_errors, load_kafka_options, print_json

if TYPE_CHECKING:
    from stream_app.kafka.clients.dead_letters import DeadLetter

dlq = typer.Typer(help="List dead letters, and write them back.", rich_markup_mode="rich")


@dlq.command("list")
def list_letters(
    last: Annotated[int, typer.Option(min=1, help="How many at most, the latest.")] = 20,
    config: ConfigFlag = None,
    bootstrap_servers: ServersFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show the latest dead letters: the messages, where they came from, and why they are not events.

    [bold]Example:[/]  stream-app dlq list --last 5 --bootstrap-servers localhost:9092
    """
    options = load_kafka_options(config, bootstrap_servers).kafka

    from stream_app.kafka.clients import dead_letters

    with kafka_errors():
        found = asyncio.run(dead_letters.read(connection_of(options), names_of(options), last))
    if json:
        print_json([_to_dict(letter) for letter in found])
    else:
        typer.echo("\n".join(_to_text(letter) for letter in found) or "there are no dead letters")


@dlq.command("requeue")
def requeue(config: ConfigFlag = None, bootstrap_servers: ServersFlag = None, json: JsonFlag = False) -> None:
    """Write dead letters back to the topics they came from, each at least once.

    Messages that are still not events become dead letters again. A later call takes only newer dead letters.

    [bold]Example:[/]  stream-app dlq requeue --bootstrap-servers localhost:9092
    """
    options = load_kafka_options(config, bootstrap_servers).kafka

    from stream_app.kafka.clients import dead_letters

    with kafka_errors():
        done = asyncio.run(dead_letters.requeue(connection_of(options), names_of(options)))
    if json:
        lost = sum(each.count for each in done.lost)
        print_json({"written": done.written, "truncated": done.truncated, "lost": lost})
    else:
        typer.echo(f"{done.written:,} dead letters written back")
        if done.truncated:
            typer.echo(f"{done.truncated:,} could not be: only their beginnings were kept")
        for each in done.lost:
            typer.echo(str(each))


def _to_dict(letter: DeadLetter) -> dict[str, Any]:
    from stream_app.sources import DeadLetter as Record
    from stream_app.times import time_to_text

    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    record = Record(letter.value or b"", place, letter.reason).to_dict()
    return {"time": time_to_text(letter.time_ms), **record, "truncated": letter.truncated}


def _to_text(letter: DeadLetter) -> str:
    from stream_app.sources.strict_json import shown

    record = _to_dict(letter)
    message = shown((letter.value or b"").decode(errors="replace"))
    return f"{record['time']}  {record['place']}  {letter.reason}\n    {message}"
