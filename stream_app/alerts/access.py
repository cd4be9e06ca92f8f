"""Who may do what: tokens with scopes, bound where wanted to owners and pipelines. Only hashes of tokens are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from stream_app.alerts.filters import matcher

#: How a token begins, so that scanners of secrets find it.
PREFIX = "sapp_"


class Scope(IntEnum):
    """What a token allows; each includes those before it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever makes a request.

    Parameters
    ----------
    name
        The name of the token, for the audit log.
    scope
        What the token allows.
    owners, pipelines
        The owners whose subscriptions, and the pipelines whose flags, it may see and change, with the wildcards of
        `fnmatch`; empty: all.
    """

    name: str
    scope: Scope
    owners: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()

    def may(self, scope: Scope) -> bool:
        """Whether it may do what a scope allows."""
        return self.scope >= scope

    def owns(self, owner: str) -> bool:
        """Whether it may see and change what an owner has subscribed to."""
        return not self.owners or matcher(self.owners)(owner)

    def sees(self, pipeline: str) -> bool:
        """Whether it may see the flags of a pipeline."""
        return not self.pipelines or matcher(self.pipelines)(pipeline)


#: Whoever makes a request where no token is needed, or has the one token of the service.
EVERYBODY = Principal("everybody", Scope.ADMIN)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is known.

    Parameters
    ----------
    digest
        Its SHA-256 in hexadecimal digits.
    principal
        Whom it stands for.
    """

    digest: str
    principal: Principal


class Tokens:
    """The tokens that are known.

    Parameters
    ----------
    tokens
        The tokens; none: every request is let in, as `EVERYBODY`.
    """

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens: Sequence[Token] = tuple(tokens)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def find(self, token: str) -> Principal | None:
        """Whom a token stands for; None: nobody. Its digest is compared with all that are known, in constant time."""
        if not self._tokens:
            return EVERYBODY
        digest, found = digest_of(token), None
        for each in self._tokens:
            if hmac.compare_digest(digest, each.digest):
                found = each.principal
        return found


def make_token() -> str:
    """A new token with 32 random bytes."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """The SHA-256 of a token in hexadecimal digits. A token is random, so that its digest need not be slow."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
