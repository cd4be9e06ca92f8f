"""`stream-app analyze`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.cli.assembly import settings_of
from stream_app.cli.flags import ConfigFlag, Format, FormatFlag, JsonFlag, NowFlag, load_options, print_json, time_of
from stream_app.cli.histories import read_history
from stream_app.cli.service_flags import TokenFileFlag, running_service
from stream_app.cli.stores import SOURCES_HELP
from stream_app.cli.tables import table

if TYPE_CHECKING:
    from stream_app.analysis.fleet_document import FleetDocument


def analyze(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help=f"{SOURCES_HELP} Or the address of one running stream-app serve, which is asked.",
            show_default=False,
        ),
    ],
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    report: Annotated[str | None, typer.Option(metavar="FILE", help="Write a report in one HTML file.")] = None,
    config: ConfigFlag = None,
    now: NowFlag = None,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show how a fleet of pipelines trains and deploys, what that costs, and where work is done twice.

    It needs no model and no history: every figure is a sum over the events.

    [bold]Example:[/]  stream-app analyze events-*.jsonl.gz --report fleet.html
    """
    if report is not None:
        from stream_app.cli.replay import check_report
        from stream_app.replay.sinks import Sinks

        check_report(report, Sinks(), files)
    service = running_service(files, token_file)
    notes: list[str] = []
    faults: list[str] = []
    if service is not None:
        from stream_app.cli.fleet_client import fleet_of

        served = fleet_of(service)
        found, notes = served.document, served.lines()
    else:
        from stream_app.cli.replay import why_of

        options = load_options(config)
        history = read_history(files, format, options, time_of(now), predicted=False, quiet=json)
        assert history.figures.fleet is not None
        found, faults = history.figures.fleet, history.faults
        why = why_of(history.figures, history.seen, settings_of(options), files)
        notes += [] if why is None else [why]
    if report is not None:
        from stream_app.report.fleet_page import write_fleet_page

        write_fleet_page(report, found)
    if json:
        print_json(found)
    else:
        _show(found)
        for note in notes:
            typer.echo(note)
        if report is not None:
            typer.echo(f"report: {report}")
    if faults:
        from stream_app.replay.reading import InputError

        raise InputError("; ".join(faults))


def _show(found: FleetDocument) -> None:
    """Prints a summary, and what is largest."""
    from stream_app.report.fleet_lines import (
        PIPELINE_HEADS,
        finding_lines,
        pipeline_rows,
        redundant_rows,
        summary_lines,
    )

    for line in summary_lines(found):
        typer.echo(line)
    for title, heads, rows in (
        ("pipelines that spent most:", PIPELINE_HEADS, pipeline_rows(found)),
        ("redundant work:", ("what", "executions", "node-hours", "saved by"), redundant_rows(found)),
    ):
        if rows:
            typer.echo(f"\n{title}\n{table(heads, rows)}")
    findings = list(finding_lines(found))
    if findings:
        typer.echo("\nfindings:\n" + "\n".join(findings))
