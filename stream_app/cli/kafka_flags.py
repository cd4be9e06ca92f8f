"""What the commands that talk to Kafka share: flags, what they make of settings, and how Kafka's faults are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.flags import need
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

#: What the extra `worker` brings.
_EXTRA = ("aiokafka", "cramjam", "faust", "kafka", "prometheus_client", "rocksdict")


#: Characters of the shortest key that is taken.
_KEY_LENGTH = 16


class KafkaFailedError(StreamAppError):
    """Kafka does not do what it was asked for; exit code 1."""


def load_kafka_options(config: Path | None, servers: str | None, flags: Mapping[str, object] | None = None) -> Options:
    """The options of file, environment and flags by their options' names.

    Raises OptionsError, also when the packages are not there that all these commands need.
    """
    from stream_app.options import load

    need("worker", *_EXTRA)
    return load(config, {"kafka.bootstrap_servers": servers, **(flags or {})})


def connection_of(options: KafkaOptions) -> Connection:
    """How to reach Kafka, as the options have it.

    Raises OptionsError when the parts do not fit together or the password cannot be read.
    """
    from stream_app.kafka.connection import Connection
    from stream_app.options import read_secret

    return Connection(
        bootstrap_servers=options.bootstrap_servers,
        protocol=options.protocol,
        ca_file=options.ca_file,
        certificate_file=options.certificate_file,
        key_file=options.key_file,
        mechanism=options.mechanism,
        username=options.username,
        password=read_secret(options.password, options.password_file, "kafka.password"),
    )


def checkpoint_key_of(options: KafkaOptions) -> bytes | None:
    """What signs checkpoints of the model, as the options have it; None: a key that the worker makes.

    Raises OptionsError when it cannot be read or is too short to protect anything.
    """
    from stream_app.options import read_secret

    key = read_secret(options.checkpoint_key, options.checkpoint_key_file, "kafka.checkpoint_key")
    if key is not None and len(key) < _KEY_LENGTH:
        raise OptionsError(f"kafka.checkpoint_key: too short; expected {_KEY_LENGTH} characters or more")
    return None if key is None else key.encode()


def names_of(options: KafkaOptions) -> Names:
    """What the topics are called, as the options have it."""
    from stream_app.kafka.topics import Names

    return Names(options.group, options.sources)


@contextmanager
def talking_to_kafka() -> Iterator[None]:
    """What Kafka's clients raise in this context becomes a KafkaFailedError, and their log is made fit to be read."""
    from aiokafka.errors import KafkaError as AiokafkaError
    from kafka.errors import KafkaError

    from stream_app.kafka.logs import quieten

    quieten()
    try:
        yield
    except (AiokafkaError, KafkaError) as error:
        raise KafkaFailedError(f"Kafka refused or went away: {error}") from error


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    import orjson

    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
