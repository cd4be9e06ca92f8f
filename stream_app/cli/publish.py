"""`stream-app publish`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated

import typer

from stream_app.cli.assembly import connection_of, names_of, sources_of
from stream_app.cli.flags import ConfigFlag, Files, JsonFlag, time_of
from stream_app.cli.kafka_flags import ServersFlag, kafka_errors, load_kafka_options, print_json
from stream_app.errors import OptionsError


def publish(
    files: Files,
    bootstrap_servers: ServersFlag = None,
    topic: Annotated[
        str | None, typer.Option(help="The topic (the first source topic if not set).", show_default=False)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Events per second; not limited if not set.", show_default=False)
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Shift the times of native events so that the first one is at this time (RFC 3339), and write each at "
            "its time; those in the past at once.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFlag = None,
    json: JsonFlag = False,
) -> None:
    """Write recorded events into Kafka in order. Native events are keyed by their pipeline; others have no key.

    [bold]Example:[/]  stream-app publish events.jsonl.gz --bootstrap-servers localhost:9092 --rate 100
    """
    chosen = load_kafka_options(config, bootstrap_servers)

    from stream_app.kafka.clients import publishing, rate_limit
    from stream_app.replay.decoding import Redacted
    from stream_app.replay.progress import Progress
    from stream_app.replay.reading import InputError, MessageReader

    if rate is not None and not rate > 0:
        raise OptionsError(f"--rate {rate:g}: expected a number above 0")
    start_ms = time_of(start, "--start")
    if rate is not None and start_ms is not None:
        raise OptionsError("--rate and --start exclude each other; give one")
    connection, names, reading = connection_of(chosen.kafka), names_of(chosen.kafka), MessageReader(files)
    target = topic or next(iter(names.sources), names.events)
    sources = sources_of(chosen)
    redacted = Redacted(reading, sources)
    messages: Iterable[bytes] = redacted if sources.redaction else reading
    if rate is not None:
        messages = rate_limit.at_rate(messages, rate)
    elif start_ms is not None:
        messages = rate_limit.in_real_time(messages, start_ms)
    began = time.monotonic()
    with kafka_errors(), Progress(quiet=json) as progress:

        def update(count: int) -> None:
            progress.update(count, reading)

        written = publishing.publish(connection, names, target, messages, update)
    seconds = time.monotonic() - began
    if json:
        print_json({"written": written, "topic": target, "seconds": seconds, "left_out": redacted.left_out})
    else:
        typer.echo(f"{written:,} messages written to {target} in {seconds:.1f} s")
        if redacted.left_out:
            typer.echo(f"{redacted.left_out:,} messages that are no events were left out, since sources.redact is set")
    if reading.faults or not written:
        raise InputError("; ".join(reading.faults) or "there are no events: the input is empty")
