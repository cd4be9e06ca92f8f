"""`stream-app replay`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.cli.assembly import attribution_of, settings_of, sources_of
from stream_app.cli.flags import (
    BudgetFlag,
    ConfigFlag,
    Format,
    FormatFlag,
    JsonFlag,
    ModeFlag,
    NowFlag,
    load_options,
    print_json,
    time_of,
)
from stream_app.cli.stores import SOURCES_HELP, stores_of
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.analysis.figures import Figures
    from stream_app.core.detector import Settings
    from stream_app.replay.decoding import SeenTypes
    from stream_app.replay.replay import Replayed
    from stream_app.replay.sinks import Sinks

_SINK = "FILE"

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help=SOURCES_HELP,
        show_default=False,
    ),
]
VerdictsFlag = Annotated[
    str | None, typer.Option(metavar=_SINK, help="Write every verdict revision, a JSON line each; - for stdout.")
]
DeadLettersFlag = Annotated[
    str | None,
    typer.Option(metavar=_SINK, help="Write messages that are not events, with their places and the reasons."),
]
AlertsFlag = Annotated[
    str | None, typer.Option(metavar=_SINK, help="Write every change of a flag or finding, a CloudEvent a line.")
]
OtlpFlag = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Send runs as traces to a collector of OpenTelemetry, such as http://localhost:4318."
    ),
]


def replay(
    files: Inputs,
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    verdicts: VerdictsFlag = None,
    graphlets: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the final graphlets, sorted.")] = None,
    outcomes: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the final outcomes, sorted.")] = None,
    examples: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the log of examples.")] = None,
    dead_letters: DeadLettersFlag = None,
    alerts: AlertsFlag = None,
    report: Annotated[str | None, typer.Option(metavar=_SINK, help="Write a report in one HTML file.")] = None,
    otlp: OtlpFlag = None,
    config: ConfigFlag = None,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
    now: NowFlag = None,
    json: JsonFlag = False,
) -> None:
    """Read recorded events, or a store, through the detector, and report its verdicts.

    [bold]Example:[/]  stream-app replay events-*.jsonl.gz --verdicts verdicts.jsonl --report report.html
    """
    from stream_app.replay.decoding import SeenTypes
    from stream_app.replay.progress import Progress
    from stream_app.replay.reading import InputError
    from stream_app.replay.replay import replay as run
    from stream_app.replay.sinks import Sinks
    from stream_app.replay.tracing import Tracing
    from stream_app.runtime import garbage

    options = load_options(config, mode, budget)
    garbage.tune()
    settings, attribution, now_ms = settings_of(options), attribution_of(options), time_of(now)
    sinks = Sinks(verdicts, graphlets, outcomes, examples, dead_letters, alerts)
    if report is not None:
        check_report(report, sinks, files)
    to_stdout = "-" in sinks.paths().values()
    if json and to_stdout:
        raise OptionsError("--json prints to standard output; let the other outputs go to files")
    tracing = Tracing(otlp) if otlp is not None else None
    seen = SeenTypes(sources_of(options))
    with Progress(quiet=json) as progress:
        found = run(
            files,
            settings,
            settings.learner(),
            sinks,
            source=format.value,
            sources=seen.sources,
            stores=stores_of(options),
            now_ms=now_ms,
            attribution=attribution,
            tracing=tracing,
            findings=json or report is not None,
            progress=progress.update,
        )
    found = replace(found, figures=replace(found.figures, simulated=seen.simulated))
    if report is not None:
        from stream_app.report.page import write_page

        write_page(report, found.figures)
    if json:
        print_json(found)
    else:
        show(found, why_of(found.figures, seen, settings, files), report, to_stdout)
    if tracing is not None:
        tracing.send()
    faults = [*progress.faults, *nothing(found.figures)]
    if faults:
        raise InputError("; ".join(faults))


def show(found: Replayed, why: str | None, report: str | None, to_stdout: bool) -> None:
    """Prints a summary, to standard error where other outputs go to standard output.

    Parameters
    ----------
    found
        The result.
    why
        Why there is no graphlet or no push; None: there is.
    report
        The path of the report; None: there is none.
    to_stdout
        Whether other outputs go to standard output.
    """
    from stream_app.report.terminal import print_summary

    print_summary(found, sys.stderr if to_stdout else sys.stdout, why)
    if report is not None:
        typer.echo(f"report: {report}", err=to_stdout)


def why_of(figures: Figures, seen: SeenTypes, settings: Settings, files: Sequence[str]) -> str | None:
    """Why there is no graphlet or no push, and what shows more; None where there are both, or no event.

    Parameters
    ----------
    figures
        Of the replay.
    seen
        The execution types of its events.
    settings
        Of the detector.
    files
        What was read.
    """
    from stream_app.analysis.emptiness import why_nothing

    graphlets = sum(each.graphlets for each in figures.outcomes)
    pushes = sum(each.graphlets for each in figures.outcomes if each.outcome == "pushed")
    why = why_nothing(seen.types, settings.operators, graphlets, pushes) if figures.events else None
    return None if why is None else f"{why}; `stream-app check {shlex.join(files)}` shows what each type counts as"


def nothing(figures: Figures) -> list[str]:
    """What there was instead of events; empty where there were some."""
    if figures.events:
        return []
    what = f"none of {figures.ignored:,} messages is about an execution" if figures.ignored else "the input is empty"
    return [f"there are no events: {what}"]


def check_report(path: str, sinks: Sinks, files: Sequence[str]) -> None:
    """Checks, before a long replay, that the report can be written.

    Parameters
    ----------
    path
        Of the report.
    sinks, files
        What else is written, and what is read.

    Raises
    ------
    OptionsError
        The path is a directory, its directory is missing, it may not be written, or is another file of this replay.
    """
    from stream_app.replay.sinks import check_outputs

    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise OptionsError(f"--report {path}: is a directory; name a file in it")
    if not os.path.isdir(folder):
        raise OptionsError(f"--report {path}: there is no directory {folder}")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise OptionsError(f"--report {path}: permission denied")
    check_outputs({**sinks.paths(), "report": path}, files)
