"""`stream-app replay`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from stream_app.cli.flags import (
    BudgetFlag,
    ConfigFlag,
    Files,
    Format,
    FormatFlag,
    JsonFlag,
    ModeFlag,
    NowFlag,
    load_options,
    settings_of,
    time_of,
)
from stream_app.errors import OptionsError

_SINK = "FILE"


def replay(
    files: Files,
    format: FormatFlag = Format.AUTO,  # noqa: A002 - the flag's name
    verdicts: Annotated[
        str | None, typer.Option(metavar=_SINK, help="Write every verdict revision, a JSON line each; - for stdout.")
    ] = None,
    graphlets: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the final graphlets, sorted.")] = None,
    outcomes: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the final outcomes, sorted.")] = None,
    examples: Annotated[str | None, typer.Option(metavar=_SINK, help="Write the log of examples.")] = None,
    dead_letters: Annotated[
        str | None, typer.Option(metavar=_SINK, help="Write what is no event, with its place and the reason.")
    ] = None,
    config: ConfigFlag = None,
    mode: ModeFlag = None,
    budget: BudgetFlag = None,
    now: NowFlag = None,
    json: JsonFlag = False,
) -> None:
    """Read recorded events through the detector, and say what it would have said.

    [bold]Example:[/]  stream-app replay events-*.jsonl.gz --verdicts verdicts.jsonl
    """
    from stream_app.core.learning import Learner
    from stream_app.replay.progress import Progress
    from stream_app.replay.replay import replay as run
    from stream_app.replay.sinks import Sinks
    from stream_app.report.waste import Rates

    options = load_options(config, mode, budget)
    settings, now_ms = settings_of(options), time_of(now)
    sinks = Sinks(verdicts, graphlets, outcomes, examples, dead_letters)
    to_stdout = "-" in sinks.paths().values()
    if json and to_stdout:
        raise OptionsError("--json prints to standard output; let the other outputs go to files")
    with Progress(quiet=json) as progress:
        found = run(
            files,
            settings,
            Learner(settings.policy.budgets),
            sinks,
            source=format.value,
            now_ms=now_ms,
            rates=Rates(options.rates.node_hour, options.rates.currency),
            seed=options.detector.seed,
            progress=progress.update,
        )
    if json:
        import orjson

        sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    else:
        from stream_app.replay.summary import print_summary

        print_summary(found, sys.stderr if to_stdout else sys.stdout)
