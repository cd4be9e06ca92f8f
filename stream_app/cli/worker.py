"""`stream-app worker`."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.cli.assembly import worker_settings
from stream_app.cli.flags import BudgetFlag, ConfigFlag, ModeFlag
from stream_app.cli.kafka_flags import ServersFlag, load_kafka_options, talking_to_kafka
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    pass

#: What binding to an address raises; nothing else in a worker does.
_NO_ADDRESS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


def worker(
    config: ConfigFlag = None,
    bootstrap_servers: ServersFlag = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where local copies of the state lie (stream-app-state if not set).", show_default=False
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Of metrics and probes (9464 if not set); 0 takes a free one.", show_default=False),
    ] = None,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
) -> None:
    """Serve: read events from Kafka, say verdicts, learn from outcomes. Ends when it gets SIGTERM or SIGINT.

    Start as many as there is work for, each with a folder of its own; they share the partitions.

    [bold]Example:[/]  stream-app worker --config stream-app.toml --bootstrap-servers localhost:9092
    """
    flags: dict[str, object] = {
        "kafka.folder": folder,
        "kafka.metrics_port": metrics_port,
        "detector.mode": mode.value if mode else None,
        "detector.budget": budget,
    }
    options = load_kafka_options(config, bootstrap_servers, flags)

    from stream_app.core.detector import Detector
    from stream_app.kafka.process.worker import Worker
    from stream_app.runtime import garbage

    given = worker_settings(options)
    _make_folder(given.folder)
    _log()
    garbage.tune()
    with talking_to_kafka():
        try:
            code = asyncio.run(Worker(given, Detector.load).run())
        except OSError as error:
            if not isinstance(error, socket.gaierror) and error.errno not in _NO_ADDRESS:
                raise
            raise OptionsError(
                f"metrics and probes at {given.host}:{given.port}: {(error.strerror or '').lower()}"
            ) from error
    raise typer.Exit(code)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionsError(f"kafka.folder {folder}: {(error.strerror or 'cannot be made').lower()}") from None


def _log() -> None:
    """Log to standard error, a line each, in UTC."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
