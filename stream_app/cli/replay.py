"""`stream-app replay`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from stream_app.cli.assembly import attribution_of, settings_of, sources_of, stores_of
from stream_app.cli.flags import (
    EVENTS,
    BudgetFlag,
    ConfigFlag,
    Format,
    FormatFlag,
    JsonFlag,
    ModeFlag,
    NowFlag,
    load_options,
    time_of,
)
from stream_app.errors import OptionsError

_SINK = "FILE"

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help=f"Events: {EVENTS}; - for standard input; or a store of ML Metadata, a database of SQLite.",
        show_default=False,
    ),
]


def replay(
    files: Inputs,
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    verdicts: Annotated[
        str | None, typer.Option(metavar=_SINK, help="Write every verdict revision, a JSON line each; - for stdout.")
    ] = None,
    graphlets: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the final graphlets, sorted.")] = None,
    outcomes: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the final outcomes, sorted.")] = None,
    examples: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the log of examples.")] = None,
    dead_letters: Annotated[
        str | None,
        typer.Option(metavar=_SINK, help="Write messages that are not events, with their places and the reasons."),
    ] = None,
    report: Annotated[str | None, typer.Option(metavar=_SINK, help="Write a report in one HTML file.")] = None,
    config: ConfigFlag = None,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
    now: NowFlag = None,
    json: JsonFlag = False,
) -> None:
    """Read recorded events, or a store of ML Metadata, through the detector, and report its verdicts.

    [bold]Example:[/]  stream-app replay events-*.jsonl.gz --verdicts verdicts.jsonl --report report.html
    """
    from stream_app.replay.progress import Progress
    from stream_app.replay.replay import replay as run
    from stream_app.replay.sinks import Sinks, check_outputs
    from stream_app.runtime import garbage

    options = load_options(config, mode, budget)
    garbage.tune()
    settings, attribution, now_ms = settings_of(options), attribution_of(options), time_of(now)
    sinks = Sinks(verdicts, graphlets, outcomes, examples, dead_letters)
    if report is not None:
        check_report(report)
        check_outputs({**sinks.paths(), "report": report}, files)
    to_stdout = "-" in sinks.paths().values()
    if json and to_stdout:
        raise OptionsError("--json prints to standard output; let the other outputs go to files")
    with Progress(quiet=json) as progress:
        found = run(
            files,
            settings,
            settings.learner(),
            sinks,
            source=format.value,
            sources=sources_of(options),
            stores=stores_of(options),
            now_ms=now_ms,
            attribution=attribution,
            progress=progress.update,
        )
    if report is not None:
        from stream_app.report.page import write_page

        write_page(report, found.figures)
    if json:
        import orjson

        sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    else:
        from stream_app.report.terminal import print_summary

        print_summary(found, sys.stderr if to_stdout else sys.stdout)
        if report is not None:
            typer.echo(f"report: {report}", err=to_stdout)


def check_report(path: str) -> None:
    """Checks, before a long replay, that the report can be written.

    Raises
    ------
    OptionsError
        The path is a directory, its directory is missing, or it may not be written.
    """
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise OptionsError(f"--report {path}: is a directory; name a file in it")
    if not os.path.isdir(folder):
        raise OptionsError(f"--report {path}: there is no directory {folder}")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise OptionsError(f"--report {path}: permission denied")
