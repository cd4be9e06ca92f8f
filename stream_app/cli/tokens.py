"""`stream-app tokens`."""

from __future__ import annotations

import json as json_module
from enum import StrEnum
from typing import Annotated

import typer

from stream_app.cli.flags import JsonFlag, print_json
from stream_app.errors import OptionsError

tokens = typer.Typer(help="Make tokens of the HTTP service.", rich_markup_mode="rich")


class ScopeName(StrEnum):
    """What a token allows; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@tokens.callback()
def _root() -> None:
    """Keeps `make` a command of its own."""


@tokens.command()
def make(
    name: Annotated[str, typer.Option(help="Who uses it; the audit log has this name.", show_default=False)],
    scope: Annotated[
        ScopeName,
        typer.Option(help="read: see; write: subscribe too; admin: every kind of sink, and the audit log too."),
    ] = ScopeName.READ,
    owner: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="An owner whose subscriptions it may see and change; all if not set.",
            show_default=False,
        ),
    ] = None,
    pipeline: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="A pipeline whose flags it may see; all if not set.", show_default=False),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Make a token: it is shown once. The service knows it by the lines for its tokens file, which hold no secret.

    [bold]Example:[/]  stream-app tokens make --name ads-ci --scope write --owner ads --pipeline 'ads-*'
    """
    from stream_app.alerts.access import digest_of, make_token

    _check("--name", [name])
    _check("--owner", owner or [])
    _check("--pipeline", pipeline or [])
    token = make_token()
    entry: dict[str, object] = {"name": name, "sha256": digest_of(token), "scope": scope.value}
    if owner:
        entry["owners"] = owner
    if pipeline:
        entry["pipelines"] = pipeline
    if json:
        print_json({"token": token, "entry": entry})
        return
    typer.echo(f"The token, which is shown only now:\n\n{token}\n\nAdd to the file that serve.tokens_file names:\n")
    typer.echo("[[tokens]]")
    for field, value in entry.items():
        typer.echo(f"{field} = {json_module.dumps(value)}")


def _check(flag: str, texts: list[str]) -> None:
    for text in texts:
        if not text.strip() or not text.isprintable() or len(text) > 200:
            raise OptionsError(f"{flag} {text[:200]!r}: expected at most 200 printable characters, and not none")
