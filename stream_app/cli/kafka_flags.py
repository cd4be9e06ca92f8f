"""Shared by the commands that use Kafka: flags, options, and how errors of Kafka are reported."""

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

ReplicationFlag = Annotated[
    int | None,
    typer.Option("--replication", min=1, help="Copies of each topic (3 if not set).", show_default=False),
]

FolderFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where local copies of the state are kept (stream-app-state if not set).",
        show_default=False,
    ),
]

MetricsPortFlag = Annotated[
    int | None,
    typer.Option(help="Port of metrics and probes (9464 if not set); 0 chooses a free one.", show_default=False),
]

AcceptLossFlag = Annotated[
    bool,
    typer.Option(
        "--accept-loss", help="Begin anew where the state of the group is lost; the refusal says what that does."
    ),
]

#: The packages of the extra `worker`.
_EXTRA = ("aiokafka", "cramjam", "faust", "kafka", "prometheus_client", "rocksdict")


class KafkaFailedError(StreamAppError):
    """Kafka refused a request or did not answer it; exit code 1."""


def load_kafka_options(config: Path | None, servers: str | None, flags: Mapping[str, object] | None = None) -> Options:
    """The options of file, environment and flags.

    Parameters
    ----------
    config
        The file of settings.
    servers
        The flag of Kafka's addresses.
    flags
        Further flags by the names of their options; None: not given.

    Raises
    ------
    OptionsError
        An option is wrong, or packages of the extra `worker` are missing.
    """
    from stream_app.options import load

    need("worker", *_EXTRA)
    return load(config, {"kafka.bootstrap_servers": servers, **(flags or {})})


@contextmanager
def kafka_errors() -> Iterator[None]:
    """Turns errors of Kafka's clients into KafkaFailedError, and limits their repeated log lines."""
    from aiokafka.errors import KafkaError as AiokafkaError
    from kafka.errors import KafkaError

    from stream_app.kafka.clients.logs import quieten

    quieten()
    try:
        yield
    except (AiokafkaError, KafkaError) as error:
        raise KafkaFailedError(f"Kafka refused or went away: {error}") from error


def print_json(document: Any) -> None:
    """Prints one JSON document."""
    import orjson

    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
