"""`stream-app subscriptions sync`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.flags import DEFAULT_URL, JsonFlag, print_json
from stream_app.cli.service_flags import TokenFileFlag, UrlFlag, part, service_of
from stream_app.cli.subscription_files import read_document
from stream_app.cli.subscriptions import PATH, FileFlag, listed
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.alerts.sync import Step
    from stream_app.cli.service_client import Service


def sync(
    file: FileFlag = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Send all secrets of the file; they cannot be compared.")
    ] = False,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Make the service have the subscriptions of a file. What the file had before, and nothing else, is deleted.

    [bold]Example:[/]  stream-app subscriptions sync -f subscriptions.toml --dry-run
    """
    from stream_app.alerts.subscriptions import SubscriptionError
    from stream_app.alerts.sync import plan, read_file

    if file is None:
        raise OptionsError("-f: missing; expected a file of subscriptions")
    if not (yes or dry_run) and (json or str(file) == "-" or not sys.stdin.isatty()):
        raise OptionsError("nobody can be asked; give --yes, or --dry-run")
    document = read_document(file)
    service = service_of(url, token_file)
    try:
        wanted = read_file(document)
        found = listed(service)
        steps = plan(found, wanted, secrets=secrets)
    except SubscriptionError as error:
        raise OptionsError(f"{file}: {error}") from None
    changes = [step for step in steps if step.action != "keep"]
    if not json:
        _print_plan(steps, found)
    if changes and not (yes or dry_run) and not typer.confirm("change this?"):
        raise typer.Exit(1)
    if not dry_run:
        _apply(service, changes)
    if json:
        shown = [{"action": step.action, "id": step.id, "changed": step.changed} for step in steps]
        print_json({"file": wanted.name, "steps": shown, "applied": not dry_run})
    elif changes and not dry_run:
        typer.echo("done")


def _apply(service: Service, changes: list[Step]) -> None:
    """Makes the changes, deletions last."""
    from stream_app.cli.service_client import ServiceError

    for step in sorted(changes, key=lambda step: step.action == "delete"):
        path = f"{PATH}/{part(step.id)}"
        try:
            if step.action == "create":
                service.call("POST", PATH, step.body)
            elif step.action == "update":
                service.call("PATCH", path, step.body)
            else:
                service.call("DELETE", path)
        except ServiceError as error:
            raise ServiceError(
                f"{step.action} {step.id}: {error}; sync again when this is mended", error.status
            ) from None


def _print_plan(steps: list[Step], found: list[dict[str, Any]]) -> None:
    kept = sum(step.action == "keep" for step in steps)
    for step in steps:
        if step.action != "keep":
            typer.echo(f"{step.action}  {step.id}{': ' if step.changed else ''}{', '.join(step.changed)}")
    names = {step.id for step in steps if step.action != "delete"}
    for each in found:
        if each["id"] in names and each["state"] == "disabled":
            typer.echo(f"note: {each['id']} is disabled ({each.get('disabled_reason', '')}); see subscriptions resume")
    typer.echo(f"{len(steps) - kept:,} to change, {kept:,} as they should be")
