"""`stream-app serve`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.cli.alert_assembly import alerts_of, tokens_of
from stream_app.cli.assembly import (
    attribution_of,
    connection_of,
    flag_age_of,
    names_of,
    settings_of,
    sources_of,
    webhooks_of,
)
from stream_app.cli.flags import INTERRUPTED, BudgetFlag, ConfigFlag, ModeFlag, load_options, need
from stream_app.cli.kafka_flags import load_kafka_options
from stream_app.cli.query_assembly import query_token_of
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.alerts.access import Tokens
    from stream_app.options import Options
    from stream_app.options.services import ServeOptions
    from stream_app.service.settings import EmbeddedSettings
    from stream_app.web.limits import Limits


def serve(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the log of events and the state are kept (stream-app-data if not set).",
            show_default=False,
        ),
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,...",
            help="Kafka's addresses: events are sent to the workers there, which issue the verdicts.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1 if not set).")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port (8484 if not set; 0 takes any).")] = None,
    config: ConfigFlag = None,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
) -> None:
    """Take events over HTTP (OpenLineage, native, MLflow's webhooks) and answer with verdicts.

    By itself it runs the detector, with everything in one folder; with --bootstrap-servers it serves workers.

    It speaks plain HTTP: use a proxy that adds TLS before other machines may connect, and set serve.token.

    [bold]Example:[/]  stream-app serve --data ./data --port 8484
    """
    import logging

    need("serve", "aiohttp", "prometheus_client")
    from stream_app.runtime import allocator, garbage
    from stream_app.web.serving import serve_embedded

    options = load_options(config, mode, budget)
    tokens = tokens_of(options)
    address = host if host is not None else options.serve.host
    check_address(address, tokens)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    garbage.tune(garbage.YOUNG_OF_SERVICES)
    allocator.tune()
    chosen = port if port is not None else options.serve.port
    if bootstrap_servers is not None:
        if data is not None:
            raise OptionsError("--data is of no use with --bootstrap-servers: the workers keep the state")
        end(interrupted=relay(config, bootstrap_servers, address, chosen, tokens))
        return
    folder = data if data is not None else Path("stream-app-data")
    interrupted = serve_embedded(
        folder / "events.sqlite",
        embedded_of(options),
        address,
        chosen,
        tokens,
        webhooks_of(options),
        listening,
        limits_of(options.serve),
        alerts_of(options, folder),
    )
    end(interrupted=interrupted)


def embedded_of(options: Options) -> EmbeddedSettings:
    """The settings of the embedded detector."""
    from stream_app.options import read_owners
    from stream_app.service.settings import EmbeddedSettings

    return EmbeddedSettings(
        settings_of(options),
        sources_of(options),
        keep_days=options.serve.keep_days,
        flag_age_ms=flag_age_of(options),
        rates=attribution_of(options).rates,
        owners=read_owners(options.owners),
    )


def check_address(host: str, tokens: Tokens) -> None:
    """Raises OptionsError where everybody who can reach the machine would be let in."""
    if not tokens and host not in ("127.0.0.1", "::1", "localhost"):
        raise OptionsError(f"--host {host}: set serve.token before other machines may connect")


def limits_of(options: ServeOptions) -> Limits:
    """The limits that are set."""
    from stream_app.web.limits import Limits

    return Limits(options.address_rate, options.token_rate, options.access_log)


def end(*, interrupted: bool) -> None:
    """Ends the command: with 130 after SIGINT, as every command, and with 0 after SIGTERM."""
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def relay(config: Path | None, servers: str, host: str, port: int, tokens: Tokens) -> bool:
    """Serves in front of workers; returns whether SIGINT ended it.

    Parameters
    ----------
    config
        The file of settings.
    servers
        Kafka's addresses.
    host, port, tokens
        As of `stream_app.web.serving.serve_embedded`.
    """
    options = load_kafka_options(config, servers)  # before what needs the packages that it checks
    from stream_app.analysis.published_fleet import PublishedFleet
    from stream_app.kafka.alerting.switch_log import GroupSwitch
    from stream_app.kafka.clients.act_writer import ActWriter
    from stream_app.kafka.clients.logs import quieten
    from stream_app.kafka.clients.relay import Relay
    from stream_app.kafka.queries.worker_directory import WorkerDirectory
    from stream_app.metrics.registry import counter, make_registry
    from stream_app.service.policies import Policies
    from stream_app.web.serving import serve_relayed
    from stream_app.web.worker_keepers import WorkerKeepers

    quieten()
    names, registry = names_of(options.kafka), make_registry()
    lost = counter(registry, "records_lost_total").labels(names.verdicts)
    connection, fleet = connection_of(options.kafka), PublishedFleet()
    keepers = WorkerKeepers(WorkerDirectory(connection, names), query_token_of(options.queries))
    workers = Relay(connection, names, keepers.verdicts.add, lost.inc, fleet)
    switch = GroupSwitch(connection, names, options.acting.off_file)
    with contextlib.closing(ActWriter(connection, names)) as write:
        return serve_relayed(
            workers,
            keepers,
            fleet,
            sources_of(options),
            host,
            port,
            tokens,
            webhooks_of(options),
            listening,
            registry,
            limits_of(options.serve),
            switch,
            Policies(keepers, write, settings_of(options).policy.ladders),
        )


def listening(url: str) -> None:
    """Prints the address."""
    typer.echo(f"serving at {url}")
