"""Options of owners: a file of its own, or rules among the other options."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from stream_app.errors import OptionsError
from stream_app.options.tables import place_of, read_tables
from stream_app.options.values import FROZEN, TABLE
from stream_app.owners import OwnerRule, Owners

_Text = Annotated[str, Field(min_length=1)]


class OwnerRuleOptions(BaseModel):
    """The owner of some pipelines; see `stream_app.owners`."""

    model_config = FROZEN

    owner: _Text
    pipeline: _Text | None = None
    labels: dict[_Text, str] = Field(default_factory=dict)
    team: str = ""
    address: str = ""
    #: The team's address, which is written to where the owner is gone.
    team_address: str = ""
    gone: bool = False

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
    #: Address of whoever is written to for owners who are gone or cannot be reached, and for flags without an owner.
    admins: str = ""

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
    rules: Iterable[OwnerRuleOptions] = options.rules
    if options.file is not None:
        rules = read_tables("owners.file", options.file, "owners", OwnerRuleOptions)
    owners = Owners((OwnerRule(**rule.model_dump()) for rule in rules), options.admins)
    for number, rule in enumerate(owners.rules, 1):
        if owners.is_gone(rule.owner) and not owners.addresses(rule.owner):
            file = options.file
            place = place_of(file, "owners", number) if file is not None else f"owners.rules.{number - 1}"
            raise OptionsError(f"{place}: {rule.owner!r} is gone: team_address, or owners.admins, should be given")
    return owners
