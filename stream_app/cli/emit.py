"""`stream-app emit`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.cli.flags import INTERRUPTED, TOKEN_VARIABLE, URL_VARIABLE, ConfigFlag, need
from stream_app.cli.service_flags import TokenFileFlag
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.sidecar.answers import Ask
    from stream_app.sidecar.forwarding import Target
    from stream_app.sidecar.process import Connect

_MIB = 1 << 20

_Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar=URL_VARIABLE,
        show_default=False,
        help="The address of `stream-app serve`: events go there, and it says whether a run should stop.",
    ),
]
_BootstrapServers = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT,...",
        show_default=False,
        help="Kafka's addresses: events go there instead. With --url as well the service is still asked.",
    ),
]
_Topic = Annotated[str | None, typer.Option(help="The topic (the first source topic if not set).", show_default=False)]
_Spool = Annotated[Path, typer.Option(metavar="DIR", help="Where events are kept until they are delivered.")]
_SpoolMib = Annotated[int, typer.Option(min=1, max=1 << 20, help="MiB that they may take.")]
_Tail = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="A file to which the training writes events, one JSON object a line; may be given several times.",
    ),
]
_RunLog = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="The file to which the reason of a stop is appended (standard error if not set).",
    ),
]
_Port = Annotated[
    int, typer.Option(min=0, max=65535, envvar="STREAM_APP_EMIT_PORT", help="Port on 127.0.0.1; 0 takes any.")
]
_DrainSeconds = Annotated[
    float, typer.Option(min=0, max=3600, help="Seconds for which it goes on delivering after SIGTERM.")
]


def emit(
    url: _Url = None,
    bootstrap_servers: _BootstrapServers = None,
    topic: _Topic = None,
    spool: _Spool = Path("stream-app-spool"),
    spool_mib: _SpoolMib = 256,
    tail: _Tail = None,
    run_log: _RunLog = None,
    port: _Port = 8486,
    drain_seconds: _DrainSeconds = 20.0,
    token_file: TokenFileFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Run beside a training: take its events, keep them on disk until delivered, answer whether it should stop.

    The training sends OpenLineage or native events to http://127.0.0.1:8486, or writes them to a file. Nothing that
    happens here fails or delays it. The only machine that can connect is this one.

    [bold]Example:[/]  stream-app emit --url http://detector:8484 --tail events.jsonl
    """
    import asyncio
    import logging

    need("serve", "aiohttp", "prometheus_client")
    from stream_app.runtime import allocator
    from stream_app.sidecar.process import Sidecar, SidecarSettings

    if url is None and bootstrap_servers is None:
        raise OptionsError("expected --url or --bootstrap-servers: where do events go?")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    allocator.tune()
    connect = _connect(url, _token(token_file), bootstrap_servers, topic, config)
    settings = SidecarSettings(spool, spool_mib * _MIB, tail or [], run_log, port, drain_seconds)
    sidecar = Sidecar(settings, connect, lambda at: typer.echo(f"taking events at {at}"))
    if asyncio.run(sidecar.run()):
        raise typer.Exit(INTERRUPTED)


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = file.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"--token-file {file} cannot be read: {getattr(error, 'strerror', error)}") from None
    if not token:
        raise OptionsError(f"--token-file {file} is empty")
    return token


def _connect(
    url: str | None, token: str | None, servers: str | None, topic: str | None, config: Path | None
) -> Connect:
    if servers is None:
        if topic is not None or config is not None:
            raise OptionsError("--topic and --config are of use with --bootstrap-servers alone")
    else:
        from stream_app.cli.assembly import connection_of, names_of
        from stream_app.cli.kafka_flags import load_kafka_options

        options = load_kafka_options(config, servers)
        connection, names = connection_of(options.kafka), names_of(options.kafka)

    def connect() -> tuple[Target, Ask | None]:
        from stream_app.sidecar.http_target import HttpTarget

        service = HttpTarget(url, token) if url is not None else None
        if servers is not None:
            from stream_app.sidecar.kafka_target import KafkaTarget

            kafka = KafkaTarget(connection, topic or next(iter(names.sources), names.events))
            return kafka, service.ask if service is not None else None
        assert service is not None
        return service, service.ask

    return connect
