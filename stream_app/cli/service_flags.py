"""Flags of the commands that ask the HTTP service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from stream_app.cli.flags import TOKEN_VARIABLE, URL_VARIABLE

if TYPE_CHECKING:
    from stream_app.cli.service_client import Service

UrlFlag = Annotated[str, typer.Option("--url", metavar="URL", envvar=URL_VARIABLE, help="The address of the service.")]
TokenFileFlag = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help=f"A file with the token of the service ({TOKEN_VARIABLE} if not set).",
        show_default=False,
    ),
]


def service_of(url: str, token_file: Path | None) -> Service:
    """The service at an address.

    Parameters
    ----------
    url, token_file
        The flags.

    Raises
    ------
    OptionsError
        The address is none, or the token cannot be read.
    """
    from stream_app.cli.service_client import Service

    return Service(url, token_file)


def running_service(sources: list[str], token_file: Path | None) -> Service | None:
    """The running service that is asked instead of reading sources; a tracking server of MLflow is a source.

    Parameters
    ----------
    sources
        The arguments of the command.
    token_file
        The flag.

    Returns
    -------
    Service or None
        None where sources are read.
    """
    if len(sources) != 1 or not sources[0].lower().startswith(("http://", "https://")) or "@" in sources[0]:
        return None
    service = service_of(sources[0], token_file)
    return service if service.is_there() else None


def part(name: str) -> str:
    """A name as a part of a path."""
    # A part of dots alone would be taken for a step up.
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if not name.strip(".") else quoted
