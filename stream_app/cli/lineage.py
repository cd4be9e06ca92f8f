"""`stream-app lineage`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.assembly import settings_of, sources_of
from stream_app.cli.flags import ConfigFlag, Format, FormatFlag, JsonFlag, NowFlag, load_options, print_json, time_of
from stream_app.cli.service_flags import TokenFileFlag, running_service
from stream_app.cli.stores import SOURCES_HELP, stores_of

if TYPE_CHECKING:
    from stream_app.cli.service_client import Service

PATH = "/v1/lineage"

_GraphletFlag = Annotated[
    str | None,
    typer.Option(
        "--in",
        metavar="GRAPHLET",
        help="Tell instead why the execution is in this graphlet, or why not.",
        show_default=False,
    ),
]


def lineage(
    name: Annotated[
        str,
        typer.Argument(metavar="ID", help="An execution, artifact or run, such as ads/push-7 or ads/run:7."),
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help=f"{SOURCES_HELP} Or the address of one running stream-app serve, which is asked.",
            show_default=False,
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="Only what is behind it.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what came of it.")] = False,
    depth: Annotated[
        int | None,
        typer.Option(
            metavar="HOPS",
            help="How far: a hop leads from an execution to the next, to an artifact it is half (50 if not set).",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="NODES", help="Nodes of a page (200 if not set).", show_default=False)
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="CURSOR", help="The page after the one that names this cursor.", show_default=False),
    ] = None,
    across: Annotated[
        bool, typer.Option("--across", help="Follow artifacts into other pipelines that name the same id.")
    ] = False,
    graphlet: _GraphletFlag = None,
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    config: ConfigFlag = None,
    now: NowFlag = None,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """List what is behind an execution or artifact and what came of it, or why it is in a graphlet.

    [bold]Example:[/]  stream-app lineage ads/push-7 events.jsonl --up
    """
    how: dict[str, Any] = {
        "direction": "up" if up and not down else "down" if down and not up else None,
        "depth": depth,
        "limit": limit,
        "after": after,
        "across": across or None,
    }
    service = running_service(files, token_file)
    faults: list[str] = []
    if service is not None:
        answer = _of_service(service, name, graphlet, how)
    else:
        answer, faults = _of_files(files, name, graphlet, how, (format, config, now), quiet=json)
    if json:
        print_json(answer)
    else:
        _print(answer)
    if faults:
        from stream_app.replay.reading import InputError

        raise InputError("; ".join(faults))


def _of_service(service: Service, name: str, graphlet: str | None, how: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = (
        service.get(f"{PATH}/why", execution=name, graphlet=graphlet)
        if graphlet is not None
        else service.get(PATH, id=name, **{**how, "across": "true" if how["across"] else None})
    )
    return answer


def _of_files(
    files: list[str],
    name: str,
    graphlet: str | None,
    how: dict[str, Any],
    reading: tuple[Format, Path | None, str | None],
    *,
    quiet: bool,
) -> tuple[dict[str, Any], list[str]]:
    from stream_app.provenance.lineage import lineage as of
    from stream_app.provenance.why import why
    from stream_app.replay.final_state import final_state
    from stream_app.replay.progress import Progress
    from stream_app.runtime import garbage

    format_, config, now = reading
    options, now_ms = load_options(config), time_of(now)
    settings = settings_of(options)
    garbage.tune()
    with Progress(quiet=quiet) as progress:
        detector, faults = final_state(
            files, settings, format_.value, now_ms, sources_of(options), stores_of(options), progress.update
        )
    if graphlet is not None:
        return why(detector.pipelines, name, graphlet, settings.operators), faults
    given = {key: value for key, value in how.items() if value is not None}
    return of(detector.pipelines, name, settings.operators, **given), faults


def _print(answer: dict[str, Any]) -> None:
    from stream_app.cli.lineage_lines import notes_of, plain_lines, tree_lines, why_lines

    if "nodes" not in answer:
        lines = why_lines(answer)
    else:
        lines = [*(tree_lines if sys.stdout.isatty() else plain_lines)(answer), *notes_of(answer)]
    for line in lines:
        typer.echo(line)
