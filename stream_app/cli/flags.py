"""Flags that commands share, and their values."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.errors import OptionsError
from stream_app.extras import MissingExtraError, require

if TYPE_CHECKING:
    from stream_app.options import Options


#: The exit code after SIGINT (Ctrl-C).
INTERRUPTED = 130
#: The variables with the address and the token of the HTTP service, and its address where none is given.
URL_VARIABLE, TOKEN_VARIABLE, DEFAULT_URL = "STREAM_APP_URL", "STREAM_APP_TOKEN", "http://localhost:8484"


class Mode(StrEnum):
    """What a flag of the detector does."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class Format(StrEnum):
    """The format of messages."""

    AUTO = "auto"
    NATIVE = "native"
    OPENLINEAGE = "openlineage"


#: The files of events that are read.
EVENTS = ".jsonl, .json (a document, an array or lines), either gzipped"

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help=f"Events: {EVENTS}; - for standard input.", show_default=False),
]
FormatFlag = Annotated[Format, typer.Option("--format", help="Format of the events; auto tells it from their keys.")]
ConfigFlag = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML.", show_default=False)
]
ModeFlag = Annotated[
    Mode | None,
    typer.Option("--mode", help="Whether flagged runs are stopped (observe if not set).", show_default=False),
]
BudgetFlag = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="SHARE",
        help="Largest share of would-be pushes that may be flagged, such as 5% or 0.05.",
        show_default=False,
    ),
]
NowFlag = Annotated[
    str | None,
    typer.Option(
        "--now",
        metavar="TIME",
        help="RFC 3339 time at which the input ends: events more than a day after it are refused, and runs that hang "
        "reach their horizon.",
        show_default=False,
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def load_options(config: Path | None, mode: Mode | None = None, budget: str | None = None) -> Options:
    """The options of file, environment and flags.

    Parameters
    ----------
    config
        The file of settings.
    mode, budget
        Flags; None: not given.

    Raises
    ------
    OptionsError
        An option is wrong.
    """
    from stream_app.options import load

    flags: Mapping[str, object] = {"detector.mode": mode.value if mode else None, "detector.budget": budget}
    return load(config, flags)


def need(extra: str, *packages: str) -> None:
    """Checks that the packages of a command are installed.

    Parameters
    ----------
    extra
        The extra that installs them.
    packages
        Their names.

    Raises
    ------
    OptionsError
        A package is missing.
    """
    try:
        require(extra, *packages)
    except MissingExtraError as error:
        raise OptionsError(str(error)) from None


def print_json(document: object) -> None:
    """Prints one JSON document, of values and dataclasses, to standard output."""
    import orjson

    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def time_of(text: str | None, flag: str = "--now") -> int | None:
    """The time of a flag in ms since 1970 UTC; None when it is not given.

    Parameters
    ----------
    text
        The value of the flag.
    flag
        Its name, for the error.

    Raises
    ------
    OptionsError
        The text is not an RFC 3339 time with an offset.
    """
    from stream_app.times import EARLIEST_MS, LATEST_MS, text_to_time

    if text is None:
        return None
    try:
        time_ms = text_to_time(text)
    except ValueError:
        time_ms = -1
    if not EARLIEST_MS <= time_ms < LATEST_MS:
        raise OptionsError(f"{flag} {text}: expected an RFC 3339 time with its offset, such as 2026-03-01T12:34:56Z")
    return time_ms
