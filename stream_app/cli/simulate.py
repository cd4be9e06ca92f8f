"""`stream-app simulate`."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_app.cli.flags import JsonFlag, print_json
from stream_app.errors import OptionsError


def simulate(
    out: Annotated[
        str, typer.Option(metavar="FILE", help="Where the events go; gzipped if it ends in .gz; - for stdout.")
    ],
    pipelines: Annotated[int, typer.Option(help="How many pipelines.")] = 200,
    days: Annotated[float, typer.Option(help="Days in which runs start.")] = 30.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same fleet.")] = 0,
    truth: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where the hidden truth is written.", show_default=False)
    ] = None,
    runs_per_day: Annotated[float, typer.Option(help="Mean runs of a pipeline in a day.")] = 5.0,
    push_scale: Annotated[float, typer.Option(help="1: about 11 % of models are pushed; 0.1: about 1 %.")] = 1.0,
    regime_change_day: Annotated[
        float | None, typer.Option(help="Day on which release policies change.", show_default=False)
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Simulate a fleet of pipelines, and write its events.

    [bold]Example:[/]  stream-app simulate --pipelines 50 --days 30 --seed 1 --out events.jsonl.gz
    """
    from stream_app.replay.progress import Progress
    from stream_app.replay.sinks import check_outputs
    from stream_app.simulator import FleetOptions, write_fleet

    options = FleetOptions(
        pipelines=pipelines,
        days=days,
        seed=seed,
        runs_per_day=runs_per_day,
        push_scale=push_scale,
        regime_change_day=regime_change_day,
    )
    check_outputs({"out": out, **({"truth": truth} if truth is not None else {})}, ())
    if json and "-" in (out, truth):
        raise OptionsError("--json prints to standard output; let the events go to a file")
    try:
        with Progress(quiet=json) as progress:
            summary = write_fleet(options, out, truth, progress.share)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OptionsError(f"{error.filename}: cannot be written: {(error.strerror or '').lower()}") from None
    if json:
        print_json(summary)
        return
    stages = ", ".join(f"{stage} {value:.3f}" for stage, value in summary.best_balanced_accuracy.items())
    typer.echo(
        f"{summary.events:,} events; {summary.trained:,} models trained, {summary.pushed_share:.1%} of them pushed; "
        f"{summary.cost_node_seconds / 3600:,.0f} node-hours, {summary.wasted_share:.1%} of them wasted\n"
        f"best balanced accuracy that the simulator's own chances allow: {stages}",
        err=out == "-" or truth == "-",
    )
