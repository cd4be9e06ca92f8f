"""`stream-app acting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.flags import DEFAULT_URL, JsonFlag, print_json
from stream_app.cli.service_flags import TokenFileFlag, UrlFlag, service_of
from stream_app.cli.tables import table

if TYPE_CHECKING:
    from stream_app.cli.service_client import Service

acting = typer.Typer(help="The kill switch: whether flagged runs may be stopped.", rich_markup_mode="rich")

PATH = "/v1/acting"
FLEET = "*"
_PipelineFlag = Annotated[
    str, typer.Option("--pipeline", metavar="GLOB", help="These pipelines alone; the fleet if not set.")
]
_ReasonFlag = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is shown and audited.")]


@acting.command()
def off(
    reason: _ReasonFlag,
    pipeline: _PipelineFlag = FLEET,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Stop no run from now on: of the fleet, or of some pipelines. Flags are still raised and sent.

    [bold]Example:[/]  stream-app acting off --reason 'the registry is down'
    """
    _turn(service_of(url, token_file), acting=False, pipeline=pipeline, reason=reason, json=json)


@acting.command()
def on(
    reason: _ReasonFlag,
    pipeline: _PipelineFlag = FLEET,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Undo `off` for the same --pipeline. What another pattern has switched off stays off.

    [bold]Example:[/]  stream-app acting on --reason 'the registry is back'
    """
    _turn(service_of(url, token_file), acting=True, pipeline=pipeline, reason=reason, json=json)


@acting.command()
def status(url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False) -> None:
    """Show whether acting is on, and for which pipelines it is off, since when, by whom and why.

    [bold]Example:[/]  stream-app acting status
    """
    _print(service_of(url, token_file).get(PATH), json=json)


def _turn(service: Service, *, acting: bool, pipeline: str, reason: str, json: bool) -> None:
    body = {"acting": acting, "pipeline": pipeline, "reason": reason}
    _print(service.call("PUT", PATH, body), json=json)


def _print(shown: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(shown)
        return
    typer.echo(shown["detail"] or f"acting is {'on' if shown['acting'] else 'off'}")
    rows = [(each["pipeline"], each["since"], each["by"], each["reason"]) for each in shown["off"]]
    if rows:
        typer.echo(table(("off for", "since", "by", "reason"), rows))
