"""What the commands that talk to Kafka share: flags, what they make of settings, and how Kafka's faults are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.flags import need
from stream_app.errors import StreamAppError

if TYPE_CHECKING:
    from stream_app.options import Options

ServersFlag = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT,...",
        help="Kafka's addresses (localhost:9092 if not set).",
        show_default=False,
    ),
]

#: What the extra `worker` brings.
_EXTRA = ("aiokafka", "cramjam", "faust", "kafka", "prometheus_client", "rocksdict")


class KafkaFailedError(StreamAppError):
    """Kafka does not do what it was asked for; exit code 1."""


def load_kafka_options(config: Path | None, servers: str | None, flags: Mapping[str, object] | None = None) -> Options:
    """The options of file, environment and flags by their options' names.

    Raises OptionsError, also when the packages are not there that all these commands need.
    """
    from stream_app.options import load

    need("worker", *_EXTRA)
    return load(config, {"kafka.bootstrap_servers": servers, **(flags or {})})


@contextmanager
def talking_to_kafka() -> Iterator[None]:
    """What Kafka's clients raise in this context becomes a KafkaFailedError, and their log is made fit to be read."""
    from aiokafka.errors import KafkaError as AiokafkaError
    from kafka.errors import KafkaError

    from stream_app.kafka.clients.logs import quieten

    quieten()
    try:
        yield
    except (AiokafkaError, KafkaError) as error:
        raise KafkaFailedError(f"Kafka refused or went away: {error}") from error


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    import orjson

    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
