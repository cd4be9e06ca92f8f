"""`stream-app check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_app.cli.assembly import openlineage_rules_of, settings_of, sources_of
from stream_app.cli.flags import ConfigFlag, Format, FormatFlag, JsonFlag, NowFlag, load_options, print_json, time_of
from stream_app.cli.stores import SOURCES_HELP, stores_of
from stream_app.errors import OptionsError


def check(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE...", help=SOURCES_HELP, show_default=False)
    ] = None,
    events: Annotated[list[str] | None, typer.Option("--events", hidden=True, help="The former name.")] = None,
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    write_rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the settings that the check proposes, with those of --config, to a new file.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFlag = None,
    now: NowFlag = None,
    json: JsonFlag = False,
) -> None:
    """Check which messages are events, what each operator counts as, and how far graphlets and pushes are connected.

    It proposes settings for operators that it does not know. The exit code is 1 when a message is no event, or when
    there is none.

    [bold]Example:[/]  stream-app check events.jsonl
    """
    from stream_app.replay.check import check as run
    from stream_app.replay.progress import Progress
    from stream_app.runtime import garbage

    options, now_ms = load_options(config), time_of(now)
    if write_rules is not None and write_rules.exists():
        raise OptionsError(f"--write-rules {write_rules}: is there already; name a new file")
    garbage.tune()
    settings = settings_of(options)
    with Progress(quiet=json) as progress:
        found = run(
            [*(files or ()), *(events or ())],
            settings,
            format.value,
            now_ms,
            sources_of(options),
            stores_of(options),
            openlineage_rules_of(options),
            progress.update,
        )
    if json:
        print_json(found)
    else:
        from stream_app.report.checked import lines_of

        for line in lines_of(found):
            typer.echo(line)
    if write_rules is not None:
        _write(write_rules, found.rules, config, to_stderr=json)
    for fault in found.broken_off:
        typer.echo(f"stream-app: {fault}", err=True)
    if found.failed:
        raise typer.Exit(1)


def _write(path: Path, rules: str, config: Path | None, *, to_stderr: bool) -> None:
    """Writes proposed settings, after those that there are."""
    from stream_app.replay.rule_guesses import merged

    if not rules:
        typer.echo(f"there is nothing to add: {path} is not written", err=to_stderr)
        return
    text = merged(config.read_text(encoding="utf-8") if config is not None else "", rules)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OptionsError(f"--write-rules {path}: {(error.strerror or 'cannot be written').lower()}") from None
    typer.echo(f"written: {path}; read it, then: stream-app check SOURCE --config {path}", err=to_stderr)
