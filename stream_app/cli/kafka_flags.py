"""What the commands that talk to Kafka share: flags, what they make of settings, and how Kafka's faults are told."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.errors import OptionsError, StreamAppError

if TYPE_CHECKING:
    from stream_app.kafka.connection import Connection
    from stream_app.kafka.topics import Names
    from stream_app.options import KafkaOptions, Options

ServersFlag = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT,...",
        help="Kafka's addresses (localhost:9092 if not set).",
        show_default=False,
    ),
]

#: What `pip install 'stream-app[worker]'` brings.
_EXTRA = ("aiokafka", "cramjam", "faust", "kafka", "prometheus_client", "rocksdict")


class KafkaFailedError(StreamAppError):
    """Kafka cannot be reached or does not do what it was asked for; exit code 1."""


def load_kafka_options(config: Path | None, servers: str | None, **flags: object) -> Options:
    """The options of file, environment and flags: `metrics_port=1` is the flag of `kafka.metrics_port`.

    Raises OptionsError, also when the packages are not there that all these commands need.
    """
    from stream_app.options import load

    missing = [name for name in _EXTRA if sys.modules.get(name) is None and importlib.util.find_spec(name) is None]
    if missing:
        raise OptionsError(f"this command needs more packages ({', '.join(missing)}): pip install 'stream-app[worker]'")
    given = {f"kafka.{name}": value for name, value in flags.items()}
    return load(config, {"kafka.bootstrap_servers": servers, **given})


def connection_of(options: KafkaOptions) -> Connection:
    """How to reach Kafka, as the options have it.

    Raises OptionsError when the parts do not fit together or the password cannot be read.
    """
    from stream_app.kafka.connection import Connection, read_secret

    given = options.password.get_secret_value() if options.password is not None else None
    return Connection(
        bootstrap_servers=options.bootstrap_servers,
        protocol=options.protocol,
        ca_file=options.ca_file,
        certificate_file=options.certificate_file,
        key_file=options.key_file,
        mechanism=options.mechanism,
        username=options.username,
        password=read_secret(given, options.password_file, "kafka.password"),
    )


def names_of(options: KafkaOptions) -> Names:
    """What the topics are called, as the options have it."""
    from stream_app.kafka.topics import Names

    return Names(options.group, options.sources)


@contextmanager
def talking_to_kafka() -> Iterator[None]:
    """What Kafka's clients raise in this context becomes one line, and what they log is made fit to be read.

    Raises KafkaFailedError.
    """
    from aiokafka.errors import KafkaError as AiokafkaError
    from kafka.errors import KafkaError

    from stream_app.kafka.connection import UnreachableError
    from stream_app.kafka.logs import quieten

    quieten()
    try:
        yield
    except UnreachableError as error:
        raise KafkaFailedError(str(error)) from error
    except (AiokafkaError, KafkaError) as error:
        raise KafkaFailedError(f"Kafka refused or went away: {error}") from error


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    import orjson

    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
