"""`stream-app verify-decision`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stream_app.cli.assembly import settings_of
from stream_app.cli.flags import BudgetFlag, ConfigFlag, JsonFlag, load_options, print_json
from stream_app.cli.stores import stores_of
from stream_app.errors import OptionsError, StreamAppError


class OtherProbabilityError(StreamAppError):
    """The probability is not the one in the record; exit code 1."""


def verify_decision(
    record: Annotated[
        Path, typer.Argument(metavar="RECORD", help="What `explain --record` has written.", show_default=False)
    ],
    examples: Annotated[
        list[str],
        typer.Argument(
            metavar="EXAMPLES...",
            help="The examples log from its beginning: files of `replay --examples`, or the workers' topic, such as "
            "kafka://host:9092/stream-app-examples.",
            show_default=False,
        ),
    ],
    config: ConfigFlag = None,
    budget: BudgetFlag = None,
    json: JsonFlag = False,
) -> None:
    """Make the probability of a verdict again, from its record and the examples log, and compare.

    [bold]Example:[/]  stream-app verify-decision stopped.json examples.jsonl
    """
    from stream_app.replay.reading import InputError, MessageReader
    from stream_app.replay.remaking import remake

    options = load_options(config, None, budget)
    reading = MessageReader(examples, stores_of(options))
    found = remake(_read(record), reading, settings_of(options).learner())
    if json:
        print_json({"same": found.is_same, "remade": found})
    else:
        typer.echo(f"{found.verdict}: {found.recorded!r} in the record, {found.remade!r} made again")
        typer.echo(f"model {found.model} in the record, {found.remade_model} after {found.examples:,} examples")
    if reading.faults:
        raise InputError("; ".join(reading.faults))
    if not found.is_same:
        raise OtherProbabilityError(
            "the probability is not that of the record: are these the examples, the budgets and the release of then?"
        )


def _read(path: Path) -> dict[str, Any]:
    import orjson

    try:
        found = orjson.loads(path.read_bytes())
    except OSError as error:
        raise OptionsError(f"{path} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise OptionsError(f"{path} is no record of a verdict: {error}") from None
    if not isinstance(found, dict):
        raise OptionsError(f"{path} is no record of a verdict: expected an object")
    return found
