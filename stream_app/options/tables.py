"""Files of options with one list of tables, such as those of owners and of tokens: read, and checked entry by entry."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from stream_app.errors import OptionsError
from stream_app.runtime.files import check_secret_file
from stream_app.sources.strict_json import shown

Entry = TypeVar("Entry", bound=BaseModel)


def read_tables(setting: str, path: Path, name: str, model: type[Entry], *, secret: bool = False) -> list[Entry]:
    """Reads the entries of a file.

    Parameters
    ----------
    setting
        The setting that names the file.
    path
        The file, in TOML.
    name
        The name of its tables, such as `owners` for `[[owners]]`.
    model
        What an entry is.
    secret
        Whether entries are secret: a file that others can write is refused, and no error repeats a value.

    Returns
    -------
    list of BaseModel
        The entries in the order of the file.

    Raises
    ------
    OptionsError
        The file cannot be read, or an entry is wrong. One line that names the file, the entry and the field.
    """
    try:
        if secret:
            check_secret_file(path)
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"{setting}: cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: not TOML: {error}") from None
    entries = document.get(name, [])
    for key in document:
        if key != name:
            raise OptionsError(f"{path}: unknown key {shown(key)[1:-1]}, expected tables [[{name}]]")
    if not isinstance(entries, list):
        raise OptionsError(f"{path}: {name}: expected tables [[{name}]]{_got(entries, secret)}")
    return [_entry(place_of(path, name, place), entry, model, secret) for place, entry in enumerate(entries, 1)]


def place_of(path: Path, name: str, place: int) -> str:
    """Where an entry is, as errors say it: the file, the name of its tables, and the number of the entry from 1."""
    return f"{path}: {name} entry {place}"


def _entry(place: str, entry: Any, model: type[Entry], secret: bool) -> Entry:
    if not isinstance(entry, Mapping):
        raise OptionsError(f"{place}: expected a table{_got(entry, secret)}")
    for name in entry:
        if name not in model.model_fields:
            closest = difflib.get_close_matches(name, model.model_fields, 1, cutoff=0)[0]
            raise OptionsError(f"{place}: unknown field {shown(name)[1:-1]}, the closest known one is {closest}")
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        fault = error.errors()[0]
        field = "".join(f".{step}" for step in fault["loc"] if step != "[key]")[1:]
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        got = _got(fault["input"], secret) if field and fault["type"] != "missing" else ""
        at = f"{place}: {shown(field)[1:-1]}: " if field else f"{place}: "
        raise OptionsError(f"{at}{message[0].lower()}{message[1:]}{got}") from None


def _got(value: Any, secret: bool) -> str:
    """What was given, for the end of an error; "" where it may be a secret."""
    return "" if secret else f", got {shown(value)}"
