"""The application, and the exit codes of its commands.

0 done, 1 failed, 2 wrong use, 130 after SIGINT (Ctrl-C). After SIGTERM a service (`serve`, `worker`, `notify`,
`follow`, `emit`) finishes what it has in hand and ends with 0; any other command is ended by it, which shells show
as 143.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated, cast

import typer

from stream_app.cli import (
    acting,
    advise,
    analyze,
    check,
    deliveries,
    demo,
    dlq,
    emit,
    explain,
    flag_acts,
    follow,
    forget_owner,
    lineage,
    notify,
    policy,
    publish,
    replay,
    serve,
    shown_flags,
    simulate,
    subscription_sync,
    subscriptions,
    tokens,
    topics,
    verify_decision,
    verify_webhook,
    worker,
)
from stream_app.cli.flags import INTERRUPTED
from stream_app.errors import OptionsError, StreamAppError

app = typer.Typer(
    name="stream-app",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Find wasted compute in machine-learning pipelines while they run.",
    epilog="Begin with:  [bold]stream-app demo[/]",
)
app.command()(demo.demo)
app.command()(simulate.simulate)
app.command()(replay.replay)
app.command()(check.check)
app.command()(explain.explain)
app.command()(analyze.analyze)
app.command()(advise.advise)
app.command()(lineage.lineage)
app.command()(serve.serve)
app.command()(follow.follow)
app.command()(emit.emit)
app.command()(worker.worker)
app.command()(notify.notify)
app.add_typer(topics.topics, name="topics")
app.command()(publish.publish)
app.add_typer(dlq.dlq, name="dlq")
flag_acts.add_to(shown_flags.flags)
app.add_typer(shown_flags.flags, name="flags")
app.add_typer(policy.policy, name="policy")
subscriptions.subscriptions.command()(subscription_sync.sync)
subscriptions.subscriptions.command()(forget_owner.forget_owner)
app.add_typer(subscriptions.subscriptions, name="subscriptions")
app.add_typer(deliveries.deliveries, name="deliveries")
app.add_typer(acting.acting, name="acting")
app.add_typer(tokens.tokens, name="tokens")
app.command("verify-webhook")(verify_webhook.verify_webhook)
app.command("verify-decision")(verify_decision.verify_decision)

#: What typer raises for wrong use; it has no public name.
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"stream-app {importlib.metadata.version('stream-app')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Runs the command line and exits.

    Wrong use and input that cannot be read are reported in one line on standard error. Any other error is a defect of
    this program, and its traceback is shown.
    """
    try:
        code = app(prog_name="stream-app", standalone_mode=False)
    except StreamAppError as error:
        code = _report(str(error), 2 if isinstance(error, OptionsError) else 1)
    except _UsageError as error:
        context = error.ctx
        command = context.command_path if context is not None else "stream-app"
        message = error.format_message().rstrip(".")
        code = _report(f"{message[:1].lower()}{message[1:]}; see {command} --help", 2)
    if code == INTERRUPTED:
        _report("interrupted", code)
    sys.exit(code)


def _report(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"stream-app: {line}", file=sys.stderr)  # noqa: T201
    return code
