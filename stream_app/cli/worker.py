"""`stream-app worker`."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import typer

from stream_app.cli.assembly import worker_settings
from stream_app.cli.flags import BudgetFlag, ConfigFlag, ModeFlag
from stream_app.cli.kafka_flags import (
    AcceptLossFlag,
    FolderFlag,
    MetricsPortFlag,
    ReplicationFlag,
    ServersFlag,
    kafka_errors,
    load_kafka_options,
)
from stream_app.cli.query_assembly import answering_of
from stream_app.errors import OptionsError

#: Errors of binding to an address; nothing else in a worker raises them.
_NO_ADDRESS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


def worker(
    config: ConfigFlag = None,
    bootstrap_servers: ServersFlag = None,
    folder: FolderFlag = None,
    metrics_port: MetricsPortFlag = None,
    replication: ReplicationFlag = None,
    accept_loss: AcceptLossFlag = False,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
) -> None:
    """Run a worker: it reads events from Kafka, writes verdicts, and learns from outcomes, until SIGTERM or SIGINT.

    Any number of workers share the partitions; each needs a folder of its own.

    [bold]Example:[/]  stream-app worker --config stream-app.toml --bootstrap-servers localhost:9092
    """
    flags: dict[str, object] = {
        "kafka.folder": folder,
        "kafka.metrics_port": metrics_port,
        "kafka.replication": replication,
        "detector.mode": mode.value if mode else None,
        "detector.budget": budget,
    }
    options = load_kafka_options(config, bootstrap_servers, flags)

    from stream_app.core.detector import Detector
    from stream_app.kafka.process.worker import Worker
    from stream_app.runtime import garbage

    given = replace(worker_settings(options), accept_loss=accept_loss)
    answering = answering_of(options.queries)
    configure_logging()
    garbage.tune()

    async def run() -> int:
        process = Worker(given, Detector.load)
        process.answer_questions = answering
        return await process.run()

    with kafka_errors(), bind_errors(given.host, given.port):
        code = asyncio.run(run())
    raise typer.Exit(code)


@contextmanager
def bind_errors(host: str, port: int) -> Iterator[None]:
    """Turns errors of binding metrics and probes to an address into OptionsError."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, socket.gaierror) and error.errno not in _NO_ADDRESS:
            raise
        raise OptionsError(f"metrics and probes at {host}:{port}: {(error.strerror or '').lower()}") from error


def configure_logging() -> None:
    """Configures logging: lines on standard error, with times in UTC."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
