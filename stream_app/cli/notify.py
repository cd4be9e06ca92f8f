"""`stream-app notify`."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.cli.alert_assembly import alerts_of, tokens_of
from stream_app.cli.assembly import connection_of, names_of
from stream_app.cli.flags import ConfigFlag
from stream_app.cli.kafka_flags import (
    AcceptLossFlag,
    FolderFlag,
    MetricsPortFlag,
    ReplicationFlag,
    ServersFlag,
    kafka_errors,
    load_kafka_options,
)
from stream_app.cli.serve import check_address, limits_of
from stream_app.cli.worker import bind_errors, configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from stream_app.alerts.access import Tokens
    from stream_app.alerts.served import ServedAlerts
    from stream_app.kafka.process.notifier import NotifierSettings
    from stream_app.options import Options


def notify(
    config: ConfigFlag = None,
    bootstrap_servers: ServersFlag = None,
    folder: FolderFlag = None,
    metrics_port: MetricsPortFlag = None,
    host: Annotated[str | None, typer.Option(help="Address of the API (127.0.0.1 if not set).")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the API (8484 if not set; 0 takes any).")
    ] = None,
    replication: ReplicationFlag = None,
    accept_loss: AcceptLossFlag = False,
) -> None:
    """Tell subscribers of the flags that workers raise, and keep subscriptions, until SIGTERM or SIGINT.

    Any number of notifiers share the work beside any number of workers; each needs a folder of its own. All need the
    same alerts.key, and answer the same at /v1/subscriptions and /v1/flags.

    [bold]Example:[/]  stream-app notify --config stream-app.toml --bootstrap-servers localhost:9092
    """
    flags: dict[str, object] = {
        "kafka.folder": folder,
        "kafka.metrics_port": metrics_port,
        "kafka.replication": replication,
        "serve.host": host,
        "serve.port": port,
    }
    options = load_kafka_options(config, bootstrap_servers, flags)
    settings, tokens = replace(settings_of(options), accept_loss=accept_loss), tokens_of(options)
    check_address(options.serve.host, tokens)

    from stream_app.kafka.process.notifier import NotifierProcess
    from stream_app.runtime import garbage

    configure_logging()
    garbage.tune()

    async def run() -> int:
        process = NotifierProcess(settings)
        process.serve_api = api_of(options, process.monitor.registry, tokens)
        return await process.run()

    with kafka_errors(), bind_errors(settings.host, settings.port):
        code = asyncio.run(run())
    raise typer.Exit(code)


def api_of(
    options: Options, registry: CollectorRegistry, tokens: Tokens
) -> Callable[[ServedAlerts], AbstractAsyncContextManager[None]]:
    """Serves the API of a notifier.

    Parameters
    ----------
    options
        The options.
    registry
        The metrics that it exports.
    tokens
        The tokens that it asks for.
    """
    from stream_app.cli.serve import listening as announce
    from stream_app.web.serving import listening, notifier_app

    def serve(served: ServedAlerts) -> AbstractAsyncContextManager[None]:
        app = notifier_app(served, registry, tokens, limits_of(options.serve))
        return listening(app, options.serve.host, options.serve.port, announce)

    return serve


def settings_of(options: Options) -> NotifierSettings:
    """The settings of a notifier.

    Raises
    ------
    OptionsError
        A setting is missing, a secret cannot be read, or a package is missing.
    """
    from stream_app.errors import OptionsError
    from stream_app.kafka.process.notifier import NotifierSettings

    chosen = options.kafka
    alerts = alerts_of(options, chosen.folder)
    if alerts.key is None:
        raise OptionsError(
            "alerts.key: set it, or alerts.key_file, to the same value for all notifiers: it encrypts the secrets of "
            "subscriptions in Kafka"
        )
    return NotifierSettings(
        connection=connection_of(chosen),
        names=names_of(chosen),
        key=alerts.key,
        folder=chosen.folder,
        partitions=chosen.partitions,
        replication=chosen.replication,
        instance_id=chosen.instance_id,
        session_seconds=chosen.session_seconds,
        stale_seconds=chosen.stale_seconds,
        host=chosen.metrics_host,
        port=chosen.metrics_port,
        alerts=alerts,
    )
