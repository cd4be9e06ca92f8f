"""Options of alerts: secrets, tokens, the mail server, and what messages say."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from stream_app.alerts.access import Principal, Scope, Token
from stream_app.errors import OptionsError
from stream_app.options.tables import place_of, read_tables
from stream_app.options.values import FROZEN, TABLE
from stream_app.sources.strict_json import shown


class AlertOptions(BaseModel):
    """How subscriptions are kept, and how their messages are sent."""

    model_config = FROZEN

    #: The key that encrypts the secrets of subscriptions, one of the two; if not set, one is made beside the store.
    key: SecretStr | None = Field(default=None, min_length=16)
    key_file: Path | None = None
    #: A file with further tokens, as tables `[[tokens]]`.
    tokens_file: Path | None = None
    #: Networks that sinks may be in although they are not public, such as `10.0.0.0/8`.
    allowed_networks: Annotated[tuple[str, ...], *TABLE] = ()
    #: How many hours the event time of a verdict may be in the past for a flag to be raised, and the clock of a
    #: pipeline for a finding.
    max_age_hours: float = Field(default=1.0, gt=0, le=1_000_000)
    #: The address of a page about a flag or finding, with `{flag}` for its id; messages end with it.
    link: str = Field(default="", max_length=1_000)
    #: Where people reach this service (beside workers a notifier), such as `https://stream-app.example.com`: messages
    #: then have signed links by which they act.
    public_url: str = Field(default="", max_length=500)
    #: Whether everybody in the file of owners is subscribed to the flags of their runs, and once a week to findings.
    owners: bool = False
    #: The mail server; without a host no e-mail is sent.
    mail_host: str | None = Field(default=None, min_length=1)
    mail_port: int = Field(default=587, ge=1, le=65_535)
    mail_security: Literal["tls", "starttls", "none"] = "starttls"
    mail_sender: str = Field(default="stream-app@localhost", pattern=r"^[^\s@<>]+@[^\s@<>]+$")
    mail_username: str | None = Field(default=None, min_length=1)
    #: The password, as it is or in a file; at most one of the two is set.
    mail_password: SecretStr | None = None
    mail_password_file: Path | None = None
    #: The token of a bot of Slack, for owners whose address is a channel, as it is or in a file.
    slack_token: SecretStr | None = None
    slack_token_file: Path | None = None
    #: What Slack signs the clicks on buttons with, as it is or in a file: messages of a bot then have buttons.
    slack_signing_secret: SecretStr | None = Field(default=None, min_length=16)
    slack_signing_secret_file: Path | None = None

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for each in given:
            ip_network(each)
        return given

    @field_validator("public_url")
    @classmethod
    def _address(cls, given: str) -> str:
        if given:
            parts = urlsplit(given)
            plain = not (parts.query or parts.fragment or parts.username)
            if parts.scheme not in ("http", "https") or not parts.hostname or not plain or not given.isprintable():
                raise ValueError("expected an address such as https://stream-app.example.com")
        return given

    @model_validator(mode="after")
    def _check(self) -> AlertOptions:
        slack = self.slack_token is not None or self.slack_token_file is not None
        if self.owners and self.mail_host is None and not slack:
            raise ValueError("owners needs mail_host or slack_token, to reach them")
        return self


class TokenOptions(BaseModel):
    """A token: its SHA-256, and what it allows."""

    model_config = FROZEN

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    sha256: str = Field(pattern="^[0-9a-fA-F]{64}$")
    scope: Literal["read", "write", "admin"] = "read"
    owners: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    pipelines: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _is_not_bound_as_admin(self) -> TokenOptions:
        if self.scope == "admin" and (self.owners or self.pipelines):
            raise ValueError("a token with the scope admin cannot be bound to owners or pipelines")
        return self


def read_tokens(path: Path | None) -> tuple[Token, ...]:
    """Reads a file of tokens.

    Parameters
    ----------
    path
        The file, with tables `[[tokens]]`; None: there is none.

    Returns
    -------
    tuple of Token

    Raises
    ------
    OptionsError
        The file cannot be read, others can write to it, or an entry is wrong. One line that names file and entry.
    """
    if path is None:
        return ()
    entries = read_tables("alerts.tokens_file", path, "tokens", TokenOptions, secret=True)
    found = [_token(entry) for entry in entries]
    names = [each.principal.name for each in found]
    for place, name in enumerate(names, 1):
        if name in names[: place - 1]:
            raise OptionsError(f"{place_of(path, 'tokens', place)}: name: {shown(name)} is there twice")
    return tuple(found)


def _token(entry: TokenOptions) -> Token:
    scope = Scope[entry.scope.upper()]
    return Token(entry.sha256.lower(), Principal(entry.name, scope, entry.owners, entry.pipelines))
