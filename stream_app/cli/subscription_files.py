"""Subscriptions on the command line: files in TOML or JSON, whose secrets are elsewhere, and single fields."""

from __future__ import annotations

import copy
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stream_app.errors import OptionsError

#: Files larger than this are none of subscriptions.
_BYTES_MAX = 16 << 20
#: Beginnings of fields that hold secrets, which a command line would show to everybody on the machine.
_SECRET_FIELDS = ("sink.secret", "sink.webhook_url", "sink.token", "sink.password", "sink.headers")


def read_document(file: Path) -> Any:
    """Reads a file in TOML or JSON, with its secrets.

    Parameters
    ----------
    file
        The file; `-` is standard input. A table `{file = "..."}` or `{env = "..."}` in a sink stands for the content
        of the file, whose path begins at the folder of this one, or for the variable.

    Raises
    ------
    OptionsError
        It cannot be read, or a secret cannot.
    """
    name = str(file)
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_BYTES_MAX + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(_BYTES_MAX + 1)
        if len(content) > _BYTES_MAX:
            raise OptionsError(f"{name}: expected at most {_BYTES_MAX >> 20} MiB")
        text = content.decode()
    except OSError as error:
        raise OptionsError(f"{name}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise OptionsError(f"{name}: expected text in UTF-8") from None
    document = _parsed(text, name)
    try:
        json.dumps(document)
    except TypeError:
        raise OptionsError(f"{name}: expected dates and times as texts, in quotation marks") from None
    folder = file.parent if name != "-" else Path()
    return _with_secrets(document, folder, name)


def with_fields(document: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """A document with some fields set.

    Parameters
    ----------
    document
        The document, which stays as it is.
    fields
        Such as `delivery.digest=day`: a place and a JSON value, or a text where it is no JSON.

    Raises
    ------
    OptionsError
        A field has no value, lies within a value, or is a secret.
    """
    made: dict[str, Any] = copy.deepcopy(dict(document))
    for field in fields:
        place, equals, text = field.partition("=")
        steps = place.split(".")
        if not equals or not all(steps):
            raise OptionsError(f"--set {field[:100]}: expected FIELD=VALUE, such as delivery.digest=day")
        if place.startswith(_SECRET_FIELDS) or place == "sink":
            raise OptionsError(f"--set {place}: everybody on this machine would see a secret; give it in a file: -f")
        inner: Any = made
        for step in steps[:-1]:
            inner = inner.setdefault(step, {})
            if not isinstance(inner, dict):
                raise OptionsError(f"--set {place}: {step} has a value already")
        inner[steps[-1]] = _value(text)
    return made


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text


def _parsed(text: str, name: str) -> Any:
    """The document of a text, which is JSON where it begins as JSON does."""
    begins = text.removeprefix("\ufeff").lstrip()
    # A table of TOML begins with a bracket too, an array of JSON is no document.
    if begins.startswith("{"):
        try:
            return json.loads(begins)
        except (ValueError, RecursionError) as error:
            raise OptionsError(f"{name}: not JSON: {error}") from None
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise OptionsError(f"{name}: not TOML: {error}") from None


def _with_secrets(document: Any, folder: Path, name: str) -> Any:
    """The document with the secrets of its sinks."""
    if not isinstance(document, dict):
        return document
    made = dict(document)
    if isinstance(made.get("subscriptions"), list):
        made["subscriptions"] = [_with_secrets(each, folder, name) for each in made["subscriptions"]]
    if isinstance(made.get("sink"), dict):
        made["sink"] = {
            field: _headers(value, folder, name) if field == "headers" else _secret(value, folder, f"{name}: {field}")
            for field, value in made["sink"].items()
        }
    return made


def _headers(value: Any, folder: Path, name: str) -> Any:
    if not isinstance(value, dict):
        return value
    return {header: _secret(each, folder, f"{name}: {header}") for header, each in value.items()}


def _secret(value: Any, folder: Path, where: str) -> Any:
    if not isinstance(value, dict):
        return value
    from stream_app.options import read_secret

    given = dict(value)
    file, variable = given.pop("file", None), given.pop("env", None)
    if given or (file is None) == (variable is None) or not isinstance(file or variable, str):
        raise OptionsError(f'{where}: expected a text, {{file = "..."}} or {{env = "..."}}')
    if file is not None:
        found = read_secret(None, folder / file, where)
    else:
        found = os.environ.get(variable)
        if found is None:
            raise OptionsError(f"{where}: the variable {variable} is not set")
    if not found:
        raise OptionsError(f"{where}: {file or variable} is empty")
    return found
