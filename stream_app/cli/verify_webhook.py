"""`stream-app verify-webhook`."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from stream_app.cli.flags import JsonFlag, print_json
from stream_app.errors import OptionsError, StreamAppError

_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class InvalidWebhookError(StreamAppError):
    """The signature does not hold; exit code 1."""


def verify_webhook(
    secret_file: Annotated[
        Path, typer.Option(metavar="FILE", help="A file with the secret of the subscription.", show_default=False)
    ],
    body: Annotated[
        Path, typer.Argument(metavar="BODY", help="The body as it was received; - for standard input.")
    ] = Path("-"),
    headers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The headers, one `name: value` a line or as a JSON object. Without it BODY is a whole request: "
            "headers, an empty line, body.",
            show_default=False,
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Check the signature of a webhook that was captured, and say what is wrong with it.

    It does not matter how old the message is: its age is shown. A receiver should refuse what is over five minutes old.

    [bold]Example:[/]  stream-app verify-webhook --secret-file secret.txt --headers headers.txt body.json
    """
    from stream_app.alerts.signing import TIMESTAMP, TOLERANCE_SECONDS
    from stream_app.options import read_secret

    secret = read_secret(None, secret_file, "--secret-file") or ""
    content = _read(body)
    if headers is None:
        given, content = _split(content)
    else:
        given = _parsed(_read(headers))
    fault = find_fault(secret, given, content)
    age = round(time.time()) - int(given[TIMESTAMP]) if not fault else None
    if json:
        print_json({"valid": not fault, "reason": fault, "age_seconds": age})
    elif not fault and age is not None:
        typer.echo(f"the signature of {given['webhook-id']} holds; the message was signed {age:,} s ago")
        if abs(age) > TOLERANCE_SECONDS:
            typer.echo(f"a receiver should refuse it by now: over {TOLERANCE_SECONDS} s")
    if fault:
        raise InvalidWebhookError(fault)


def find_fault(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """What is wrong with a message.

    Parameters
    ----------
    secret
        The secret of the subscription.
    headers
        The headers of the message; their names in lower case.
    body
        The body.

    Returns
    -------
    str
        In words; "" when its signature holds.

    Raises
    ------
    OptionsError
        The secret is none.
    """
    from stream_app.alerts.signing import SIGNATURE, TIMESTAMP, SignatureError, key_of, verify

    try:
        key_of(secret)
    except SignatureError as error:
        raise OptionsError(f"--secret-file: {error}") from None
    text = headers.get(TIMESTAMP, "")
    now = float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else time.time()
    try:
        verify(secret, headers, body, now)
        return ""
    except SignatureError as error:
        fault = str(error)
    if all(headers.get(name) for name in _HEADERS):
        if not any(each.startswith("v1,") for each in headers[SIGNATURE].split()):
            return f"the header {SIGNATURE} holds no signature of version 1 (v1,...)"
        for changed, why in _likely(body):
            try:
                verify(secret, headers, changed, now)
            except SignatureError:
                continue
            return f"the signature does not hold for this body, but for {why}"
    return fault


def _likely(body: bytes) -> list[tuple[bytes, str]]:
    """What the body may have been before it was captured, and what then was done to it."""
    found = [(body.rstrip(b"\r\n"), "the body without the line break at its end: keep the bytes that were received")]
    if b"\r\n" in body:
        found.append((body.replace(b"\r\n", b"\n"), "one with other line breaks: keep the bytes that were received"))
    try:
        compact = json_module.dumps(json_module.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
        found.append(
            (compact, "its compact form: it was parsed and written again, verify the bytes that were received")
        )
    except (ValueError, RecursionError):
        pass
    return found


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise OptionsError(f"{file}: {(error.strerror or str(error)).lower()}") from None


def _split(request: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a whole request."""
    for empty in (b"\r\n\r\n", b"\n\n"):
        head, found, body = request.partition(empty)
        if found and b":" in head:
            return _parsed(head), body
    raise OptionsError("there are no headers: give --headers, or a whole request with an empty line before its body")


def _parsed(content: bytes) -> dict[str, str]:
    text = content.decode(errors="replace")
    if text.lstrip().startswith("{"):
        try:
            return {str(name).lower(): str(value) for name, value in json_module.loads(text).items()}
        except (ValueError, RecursionError) as error:
            raise OptionsError(f"the headers are not JSON: {error}") from None
    lines = [line.lstrip("<> ").partition(":") for line in text.splitlines()]
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}
