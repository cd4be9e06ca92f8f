"""Options of owners: a file of its own, or rules among the other options."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from stream_app.errors import OptionsError
from stream_app.options.values import FROZEN, TABLE
from stream_app.owners import OwnerRule, Owners
from stream_app.sources.strict_json import shown

_Text = Annotated[str, Field(min_length=1)]


class OwnerRuleOptions(BaseModel):
    """The owner of some pipelines; see `stream_app.owners`."""

    model_config = FROZEN

    owner: _Text
    pipeline: _Text | None = None
    labels: dict[_Text, str] = Field(default_factory=dict)
    team: str = ""
    address: str = ""

    @model_validator(mode="after")
    def _is_a_rule(self) -> OwnerRuleOptions:
        OwnerRule(**self.model_dump())
        return self


class OwnersOptions(BaseModel):
    """Who owns which pipeline, for what events do not tell; the first rule that holds decides."""

    model_config = FROZEN

    #: A file with the rules as tables `[[owners]]`; at most one of the two.
    file: Path | None = None
    rules: Annotated[tuple[OwnerRuleOptions, ...], *TABLE] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> OwnersOptions:
        if self.file is not None and self.rules:
            raise ValueError("rules should not be given beside file")
        return self


def read_owners(options: OwnersOptions) -> Owners:
    """Makes the list of owners.

    Parameters
    ----------
    options
        The options.

    Returns
    -------
    Owners
        Empty when nothing is set.

    Raises
    ------
    OptionsError
        The file cannot be read, or an entry is wrong. One line that names the file, the entry and the field.
    """
    rules = options.rules if options.file is None else _from_file(options.file)
    return Owners(OwnerRule(**rule.model_dump()) for rule in rules)


def _from_file(path: Path) -> list[OwnerRuleOptions]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"owners.file: cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: not TOML: {error}") from None
    entries = document.get("owners", [])
    for name in document:
        if name != "owners":
            raise OptionsError(f"{path}: unknown key {shown(name)[1:-1]}, expected tables [[owners]]")
    if not isinstance(entries, list):
        raise OptionsError(f"{path}: owners: expected tables [[owners]], got {shown(entries)}")
    return [_rule(f"{path}: owners entry {place}", entry) for place, entry in enumerate(entries, 1)]


def _rule(place: str, entry: Any) -> OwnerRuleOptions:
    if not isinstance(entry, Mapping):
        raise OptionsError(f"{place}: expected a table, got {shown(entry)}")
    for name in entry:
        if name not in OwnerRuleOptions.model_fields:
            closest = difflib.get_close_matches(name, OwnerRuleOptions.model_fields, 1, cutoff=0)[0]
            raise OptionsError(f"{place}: unknown field {shown(name)[1:-1]}, the closest known one is {closest}")
    try:
        return OwnerRuleOptions.model_validate(entry)
    except ValidationError as error:
        fault = error.errors()[0]
        field = "".join(f".{step}" for step in fault["loc"] if step != "[key]")[1:]
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        got = f", got {shown(fault['input'])}" if field and fault["type"] != "missing" else ""
        at = f"{place}: {shown(field)[1:-1]}: " if field else f"{place}: "
        raise OptionsError(f"{at}{message[0].lower()}{message[1:]}{got}") from None
