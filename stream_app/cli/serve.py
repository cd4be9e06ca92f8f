"""`stream-app serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_app.cli.flags import BudgetFlag, ConfigFlag, ModeFlag, load_options, settings_of, sources_of
from stream_app.errors import OptionsError


def serve(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where the log of events and the state are kept.")] = Path(
        "stream-app-data"
    ),
    host: Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1 if not set).")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port (5000 if not set; 0 takes any).")] = None,
    config: ConfigFlag = None,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
) -> None:
    """Take OpenLineage events over HTTP and answer with verdicts; everything is kept in one folder.

    Speaks plain HTTP: let a proxy add TLS before others than this machine may come in, and set serve.token.

    [bold]Example:[/]  stream-app serve --data ./data --port 5000
    """
    import logging

    from stream_app.collector import calm
    from stream_app.web.embedded import EmbeddedSettings
    from stream_app.web.serving import serve_embedded

    options = load_options(config, mode, budget)
    token = options.serve.token.get_secret_value() if options.serve.token is not None else None
    address = host if host is not None else options.serve.host
    if token is None and address not in ("127.0.0.1", "::1", "localhost"):
        raise OptionsError(f"--host {address}: set serve.token before others than this machine may come in")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    calm()
    serve_embedded(
        data / "events.sqlite",
        EmbeddedSettings(settings_of(options), sources_of(options), keep_days=options.serve.keep_days),
        address,
        port if port is not None else options.serve.port,
        token,
        lambda url: typer.echo(f"serving at {url}"),
    )
