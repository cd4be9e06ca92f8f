"""Subscriptions as they are kept: with their version and times, their secrets encrypted, and none in what is shown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from pydantic import SecretStr

from stream_app.alerts.records import EventType
from stream_app.alerts.secrets import Vault
from stream_app.alerts.signing import SignatureError, key_of, make_secret
from stream_app.alerts.subscriptions import SIGNING, Subscription, SubscriptionError, make_subscription
from stream_app.errors import StateError
from stream_app.times import text_to_time, time_to_text

#: The format of a stored subscription, and all types of flags that there were before it.
_FORMAT, _ALL_BEFORE = 2, frozenset((EventType.RAISED, EventType.REVISED, EventType.WITHDRAWN, EventType.RESOLVED))
#: What is shown in the place of a secret.
HIDDEN = "**********"
#: Characters of the shortest part of a secret that is hidden where it is quoted.
_PART_MIN = 6
#: For how long after a rotation messages are signed with the former secret too, in ms.
OVERLAP_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Registered:
    """A subscription that is kept.

    Parameters
    ----------
    subscription
        The subscription; a webhook has a secret.
    created_ms, updated_ms
        In ms since 1970 UTC.
    version
        From 1, rising with each change.
    former_secret, former_until_ms
        The secret before a rotation, and until when messages are signed with it too.
    """

    subscription: Subscription
    created_ms: int
    updated_ms: int
    version: int = 1
    former_secret: SecretStr | None = None
    former_until_ms: int = 0

    @property
    def etag(self) -> str:
        """The tag of this version in HTTP."""
        return f'"{self.version}-{hashlib.sha256(self.subscription.id.encode()).hexdigest()[:8]}"'

    def secrets_at(self, now_ms: int) -> list[str]:
        """The secrets that sign a message at a time; none for a sink that does not sign."""
        sink = self.subscription.sink
        if not isinstance(sink, SIGNING) or sink.secret is None:
            return []
        found = [sink.secret.get_secret_value()]
        if self.former_secret is not None and now_ms < self.former_until_ms:
            found.append(self.former_secret.get_secret_value())
        return found

    def without_secrets(self, text: str) -> str:
        """A text in which the secrets are hidden, and so is the beginning of one with which the text ends.

        Parameters
        ----------
        text
            What a sink answered, which may quote what it was sent.
        """
        found = [self.former_secret.get_secret_value()] if self.former_secret is not None else []

        def collect(secret: str) -> str:
            found.append(secret)
            return HIDDEN

        plain(self.subscription, collect)
        for part in sorted({part for secret in found for part in _parts(secret)}, key=len, reverse=True):
            text = text.replace(part, HIDDEN)
            cut = next(
                (length for length in range(len(part) - 1, _PART_MIN - 1, -1) if text.endswith(part[:length])), 0
            )
            text = text[: len(text) - cut] + HIDDEN if cut else text
        return text

    def changed(self, subscription: Subscription, now_ms: int) -> Registered:
        """The next version, with a changed subscription."""
        return replace(self, subscription=with_secret(subscription), version=self.version + 1, updated_ms=now_ms)

    def rotated(self, now_ms: int) -> Registered:
        """The next version, with a new secret.

        Raises
        ------
        SubscriptionError
            The sink does not sign.
        """
        sink = self.subscription.sink
        if not isinstance(sink, SIGNING):
            raise SubscriptionError("sink", "only a webhook signs its messages")
        fresh = sink.model_copy(update={"secret": SecretStr(make_secret())})
        return replace(
            self.changed(self.subscription.model_copy(update={"sink": fresh}), now_ms),
            former_secret=sink.secret,
            former_until_ms=now_ms + OVERLAP_MS,
        )


def register(subscription: Subscription, now_ms: int) -> Registered:
    """A new subscription; a webhook without a secret gets one.

    Parameters
    ----------
    subscription
        The subscription.
    now_ms
        The time in ms since 1970 UTC.

    Raises
    ------
    SubscriptionError
        Its secret is none of Standard Webhooks.
    """
    return Registered(with_secret(subscription), now_ms, now_ms)


def with_secret(subscription: Subscription) -> Subscription:
    """The subscription, with a secret where its sink signs; raises SubscriptionError for a secret that cannot sign."""
    sink = subscription.sink
    if not isinstance(sink, SIGNING):
        return subscription
    if sink.secret is None:
        made = sink.model_copy(update={"secret": SecretStr(make_secret())})
        return subscription.model_copy(update={"sink": made})
    try:
        key_of(sink.secret.get_secret_value())
    except SignatureError as error:
        raise SubscriptionError("sink.secret", str(error)) from None
    return subscription


def shown(registered: Registered) -> dict[str, Any]:
    """A subscription for people and programs: its secrets are hidden.

    Parameters
    ----------
    registered
        The subscription.
    """
    return {
        **plain(registered.subscription, lambda _: HIDDEN),
        "version": registered.version,
        "created": time_to_text(registered.created_ms),
        "updated": time_to_text(registered.updated_ms),
    }


def to_row(registered: Registered, vault: Vault) -> bytes:
    """A subscription as it is stored.

    Parameters
    ----------
    registered
        The subscription.
    vault
        Encrypts its secrets.
    """
    former = registered.former_secret
    return orjson.dumps(
        {
            "format": _FORMAT,
            "subscription": plain(registered.subscription, vault.encrypt),
            "version": registered.version,
            "created": time_to_text(registered.created_ms),
            "updated": time_to_text(registered.updated_ms),
            "former_secret": vault.encrypt(former.get_secret_value()) if former is not None else None,
            "former_until": time_to_text(registered.former_until_ms) if former is not None else None,
        }
    )


def from_row(row: bytes, vault: Vault) -> Registered:
    """Reads a stored subscription.

    Parameters
    ----------
    row
        As `to_row` made it.
    vault
        Decrypts its secrets.

    Raises
    ------
    StateError
        It cannot be read.
    OptionsError
        The key of the vault is another one.
    """
    try:
        stored = orjson.loads(row)
        former = stored["former_secret"]
        return Registered(
            subscription=make_subscription(_reminded(_decrypted(stored["subscription"], vault), stored)),
            created_ms=text_to_time(stored["created"]),
            updated_ms=text_to_time(stored["updated"]),
            version=_version(stored["version"]),
            former_secret=SecretStr(vault.decrypt(former)) if former is not None else None,
            former_until_ms=text_to_time(stored["former_until"]) if former is not None else 0,
        )
    except (KeyError, TypeError, ValueError, AttributeError, SubscriptionError) as error:
        raise StateError(f"a stored subscription cannot be read: {error!r}") from None


def _reminded(subscription: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """A subscription of an earlier release that hears of all that flags had then is reminded too."""
    if stored.get("format") == _FORMAT or not set(subscription["types"]) >= _ALL_BEFORE:
        return subscription
    return {**subscription, "types": [*subscription["types"], EventType.REMINDED]}


def _version(stored: object) -> int:
    if isinstance(stored, bool) or not isinstance(stored, int) or stored < 1:
        raise ValueError(f"version {stored!r}")
    return stored


def restored_secrets(changed: Mapping[str, Any], current: Subscription) -> dict[str, Any]:
    """A changed subscription in its JSON form, in which secrets that are hidden are those of the current one.

    Parameters
    ----------
    changed
        What somebody sent, who may have been shown hidden secrets.
    current
        The subscription now.
    """
    made = dict(changed)
    sink, known = made.get("sink"), plain(current, lambda secret: secret)["sink"]
    if isinstance(sink, dict) and sink.get("kind") == known["kind"]:
        merged = {name: known.get(name) if value == HIDDEN else value for name, value in sink.items()}
        if isinstance(merged.get("headers"), dict):
            held = known.get("headers", {})
            merged["headers"] = {
                name: held.get(name) if value == HIDDEN else value for name, value in merged["headers"].items()
            }
        made["sink"] = merged
    return made


def plain(subscription: Subscription, write: Callable[[str], str]) -> dict[str, Any]:
    """The JSON form of a subscription.

    Parameters
    ----------
    subscription
        The subscription.
    write
        Writes each of its secrets.
    """

    def walk(value: Any) -> Any:
        if isinstance(value, SecretStr):
            return write(value.get_secret_value())
        if isinstance(value, dict):
            return {name: walk(each) for name, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(each) for each in value]
        return value

    made: dict[str, Any] = walk(subscription.model_dump(by_alias=True, exclude_none=True))
    made["types"] = [str(each) for each in made["types"]]
    made["state"] = str(made["state"])
    return made


def _parts(secret: str) -> list[str]:
    """A secret, and what of it may be quoted alone: words of a header, and steps of a URL, whose host is no secret."""
    inner = re.sub(r"^\w+://[^/]*", "", secret)
    return [part for part in (secret, inner, *re.split(r"[\s/?&=]+", inner)) if len(part) >= _PART_MIN]


def _decrypted(stored: dict[str, Any], vault: Vault) -> dict[str, Any]:
    sink = dict(stored["sink"])
    for name in SECRETS.get(sink.get("kind"), ()):
        if isinstance(sink.get(name), str):
            sink[name] = vault.decrypt(sink[name])
    if isinstance(sink.get("headers"), dict):
        sink["headers"] = {name: vault.decrypt(value) for name, value in sink["headers"].items()}
    return {**stored, "sink": sink}


#: Kind of a sink -> its fields that are secrets, beside headers.
SECRETS: Mapping[Any, tuple[str, ...]] = {
    "webhook": ("secret",),
    "slack": ("webhook_url", "token"),
    "apprise": ("url",),
    "airflow": ("password",),
    "stop_webhook": ("secret",),
}
