"""`stream-app demo`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from stream_app.cli.assembly import settings_of
from stream_app.cli.flags import load_options


def demo(
    out: Annotated[str, typer.Option(metavar="DIR", help="Where the report goes.")] = "out",
    pipelines: Annotated[int, typer.Option(help="How many simulated pipelines.")] = 40,
    days: Annotated[float, typer.Option(help="How many simulated days.")] = 30.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same fleet.")] = 0,
) -> None:
    """Watch the detector on a simulated fleet of pipelines, and write a report. It takes about half a minute.

    [bold]Example:[/]  stream-app demo
    """
    from stream_app.demo.run import demo as run
    from stream_app.demo.views import LiveView, PlainView
    from stream_app.report.terminal import print_summary
    from stream_app.runtime import garbage
    from stream_app.simulator import FleetOptions

    fleet = FleetOptions(pipelines=pipelines, days=days, seed=seed)
    settings = settings_of(load_options(None))
    view = LiveView() if sys.stdout.isatty() else PlainView()
    garbage.tune()
    found, path, scene = run(fleet, settings, out, view)
    typer.echo("")
    print_summary(found, sys.stdout)
    if scene.first_flag_seconds is not None:
        typer.echo(f"\nfirst flag after {scene.first_flag_seconds:.1f} s")
    typer.echo(f"report: {path}")
