"""`stream-app subscriptions forget-owner`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from stream_app.cli.flags import DEFAULT_URL, JsonFlag, print_json
from stream_app.cli.service_flags import TokenFileFlag, UrlFlag, part, service_of
from stream_app.errors import OptionsError

#: What names an owner elsewhere, and how long.
_ELSEWHERE = (
    "events: for serve.keep_days (30 days if not set), or the retention of their topics",
    "the state of runs: for detector.retention_days and detector.lateness_days (37 days if not set)",
    "beside workers, topics: alerts and deliveries for 7 days, the alert log for 35 days",
    "examples, which the model learns from: as long as they are kept",
    "files of sync and of owners: until somebody changes them; sync makes subscriptions again",
    "what was sent is with its receivers",
)


def forget_owner(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="The name of the owner.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Delete an owner's subscriptions with all that is logged of them, and say what remains elsewhere.

    The audit log keeps its entries, with a pseudonym. The owners file does not subscribe the owner again.

    [bold]Example:[/]  stream-app subscriptions forget-owner ann
    """
    if not owner:
        raise OptionsError("OWNER: expected a name")
    if not yes and (json or not sys.stdin.isatty()):
        raise OptionsError("nobody can be asked; give --yes")
    service = service_of(url, token_file)
    if not yes and not typer.confirm(f"delete what {_printable(owner)} has subscribed to, and its logs?"):
        raise typer.Exit(1)
    made = service.call("DELETE", f"/v1/owners/{part(owner)}")
    if json:
        print_json(made)
    else:
        typer.echo("\n".join(_lines(made)))


def _lines(made: dict[str, Any]) -> list[str]:
    from stream_app.figures.numbers import plural

    deleted = f"{plural(made['subscriptions'], 'subscription')}, {made['deliveries']:,} entries of the delivery log"
    lines = [f"deleted: {deleted}", f"with a pseudonym now: {made['audit_entries']:,} entries of the audit log"]
    lines += ["", "what still names the owner:", f"  flags, and messages about them that wait: for {made['days']} days"]
    if made["named_in"]:
        lines.append(f"  subscriptions of others: {', '.join(made['named_in'])}")
    return [*lines, *(f"  {each}" for each in _ELSEWHERE)]


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
