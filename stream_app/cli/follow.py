"""`stream-app follow`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.cli.assembly import (
    connection_of,
    mlflow_client,
    mlflow_rules_of,
    mlmd_rules_of,
    names_of,
    redaction_of,
)
from stream_app.cli.flags import ConfigFlag, load_options, need
from stream_app.cli.kafka_flags import load_kafka_options
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.follow.follower import Begin, Outlet
    from stream_app.options import Options


class Kind(StrEnum):
    """What is followed."""

    MLMD = "mlmd"
    MLFLOW = "mlflow"


def follow(
    kind: Annotated[Kind, typer.Argument(help="What is followed: ML Metadata or MLflow.", show_default=False)],
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE",
            help="ML Metadata: a SQLite file or a URL, such as mysql+pymysql://reader@host/metadb. MLflow: the address "
            "of its tracking server.",
            show_default=False,
        ),
    ],
    cursor: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File in which the position in the store is saved; for one store and one target.",
            show_default=False,
        ),
    ],
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,...",
            help="Kafka's addresses (localhost:9092 if not set): events go to the workers' topic of events.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A `stream-app serve` to send to instead of Kafka.", show_default=False),
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds from one pass to the next.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="One pass, and fail where something does not answer.")] = False,
    config: ConfigFlag = None,
) -> None:
    """Send the changes of a store, until it is stopped: to Kafka, or with --url to `stream-app serve`.

    Each change is sent at least once: the cursor is saved when a whole pass is acknowledged. Failed requests are
    repeated.

    [bold]Example:[/]  stream-app follow mlmd metadata.sqlite --cursor mlmd.cursor --url http://localhost:8484
    """
    import logging

    from stream_app.follow.cursor_file import CursorFile
    from stream_app.follow.follower import Follower

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs each attempt of MLflow's client
    begin, name, options = passes_of(kind, store, config)
    outlet, target = outlet_of(options, bootstrap_servers, url, config)
    file = CursorFile(cursor, {"kind": kind.value, "store": name, "to": target})
    follower = Follower(begin, outlet, file, redaction_of(options), retries=not once)
    if once:
        typer.echo(f"{follower.one_pass():,} events sent to {target}")
    else:
        until_stopped(lambda: follower.run(every))


def passes_of(kind: Kind, store: str, config: Path | None) -> tuple[Begin, str, Options]:
    """How a store is read, its name in the cursor file, and the options.

    Parameters
    ----------
    kind
        What is followed.
    store
        Its file or address.
    config
        The file of settings.

    Raises
    ------
    OptionsError
        The settings, or the address, are wrong.
    """
    options = load_options(config)
    if kind is Kind.MLFLOW:
        from stream_app.follow.stores import mlflow_passes

        return mlflow_passes(mlflow_client(store), mlflow_rules_of(options)), store, options
    need("mlmd", "sqlalchemy")
    from stream_app.follow.stores import mlmd_passes
    from stream_app.sources.mlmd.store import called

    return mlmd_passes(store, mlmd_rules_of(options)), called(store), options


def outlet_of(options: Options, servers: str | None, url: str | None, config: Path | None) -> tuple[Outlet, str]:
    """Where events are sent, and the name of that in the cursor file.

    Parameters
    ----------
    options
        The options.
    servers
        Kafka's addresses, if given as a flag.
    url
        The address of a service; None: events are sent to Kafka.
    config
        The file of settings.

    Raises
    ------
    OptionsError
        Both targets are given, or the settings are wrong.
    """
    if url is not None:
        from stream_app.follow.event_poster import EventPoster

        if servers is not None:
            raise OptionsError("--url and --bootstrap-servers are two targets; give one")
        token = options.serve.token
        return EventPoster(url, None if token is None else token.get_secret_value()), url
    chosen = load_kafka_options(config, servers).kafka  # before what needs the packages that it checks
    from stream_app.kafka.clients.event_producer import EventProducer
    from stream_app.kafka.clients.logs import quieten

    quieten()
    names = names_of(chosen)
    return EventProducer(connection_of(chosen), names), names.events


def until_stopped(work: Callable[[], None]) -> None:
    """Runs `work` on a thread until it ends, or until SIGTERM, which ends it at any point."""
    over = threading.Event()
    failures: list[BaseException] = []

    def working() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            over.set()

    before = signal.signal(signal.SIGTERM, lambda *_: over.set())
    try:
        threading.Thread(target=working, name="following", daemon=True).start()
        over.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    if failures:
        raise failures[0]
