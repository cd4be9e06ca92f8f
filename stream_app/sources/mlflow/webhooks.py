"""Webhooks of the model registry: pure functions of the request, the secret and the time.

MLflow signs `delivery id.timestamp.body` with the webhook's secret. It repeats a delivery that got no answer, with the
same delivery id. A recorded delivery can be sent again by anybody, so old ones are refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stream_app.core.events import Event
from stream_app.core.properties import is_true
from stream_app.errors import MalformedEvent, StreamAppError
from stream_app.sources.mlflow.promotions import time_of
from stream_app.sources.mlflow.registry import Origin, pushed, registered
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.strict_json import check_structure, parse
from stream_app.times import EARLIEST_MS, text_to_time

SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
#: How old a delivery may be, and how far ahead its sender's clock may be. MLflow repeats for a few minutes.
REPLAY_WINDOW_MS = 300_000

_VERSION = "v1"
#: The model of the deliveries with which MLflow tests a webhook.
_EXAMPLE = "example_model"
_ID_MAX = 200


class RejectedWebhook(StreamAppError):  # noqa: N818 - it names the webhook, as its readers do
    """The signature is not that of the secret, or the delivery is old: answer 401 and ignore it."""


OriginOf = Callable[[str, str], Origin | None]


def decode_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    now_ms: int,
    rules: Rules | None = None,
    origin_of: OriginOf | None = None,
) -> Event | None:
    """Reads the event in a webhook.

    Parameters
    ----------
    headers
        The request's headers, in any case.
    body
        The request's body.
    secret
        The webhook's secret.
    now_ms
        When the request arrived, in ms since 1970 UTC.
    rules
        The rules; by default `Rules()`.
    origin_of
        A function from (model, version) to the origin, such as `origins(client)`. Without it a model's pipeline is the
        one that `rules.registered_models` names, else the model's own name.

    Returns
    -------
    Event or None
        None for a webhook of a kind that is not used.

    Raises
    ------
    RejectedWebhook
        The signature is wrong or missing, or the delivery is too old.
    MalformedEvent
        It is signed, but not a webhook of MLflow.
    """
    verify(headers, body, secret, now_ms)
    document = parse(body)
    if not isinstance(document, dict):
        raise MalformedEvent("expected a JSON object")
    check_structure(body, document)
    kind = f"{document.get('entity')}.{document.get('action')}"
    make_event = _KINDS.get(kind)
    if make_event is None:
        return None
    data = document.get("data")
    if not isinstance(data, dict):
        raise MalformedEvent("data: expected an object")
    if data.get("name") == _EXAMPLE:
        return None
    webhook = _Webhook(data, _time(document, now_ms), rules or Rules(), origin_of)
    return make_event(webhook)


def verify(headers: Mapping[str, str], body: bytes, secret: str, now_ms: int) -> None:
    """Checks that a webhook was recently signed with the secret.

    Parameters
    ----------
    headers, body, secret, now_ms
        As of `decode_webhook`.

    Raises
    ------
    RejectedWebhook
        The signature is wrong or missing, or the delivery is too old.
    """
    if not secret:
        raise RejectedWebhook("webhook: no secret is set, so none can be verified")
    found = {key.lower(): value for key, value in headers.items()}
    signature, timestamp, delivery = (found.get(key, "") for key in (SIGNATURE, TIMESTAMP, DELIVERY))
    signed = f"{delivery}.{timestamp}.".encode() + body
    digest = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    if not delivery or not hmac.compare_digest(signature.encode(), f"{_VERSION},{digest}".encode()):
        raise RejectedWebhook("webhook: the signature is wrong or missing")
    if not timestamp.isdecimal() or len(timestamp) > 12:
        raise RejectedWebhook("webhook: the timestamp is no number of seconds")
    if abs(int(timestamp) * 1000 - now_ms) > REPLAY_WINDOW_MS:
        raise RejectedWebhook(f"webhook: sent more than {REPLAY_WINDOW_MS // 1000} s from now")


@dataclass(slots=True)
class Deliveries:
    """The ids of deliveries accepted within the replay window, so that each is accepted once."""

    #: Id -> when it was accepted, in ms since 1970 UTC, the oldest first.
    _taken: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def id_of(headers: Mapping[str, str]) -> str:
        """The id of a delivery, by the request's headers."""
        return _id(headers)

    def has(self, headers: Mapping[str, str], now_ms: int) -> bool:
        """Whether a verified delivery was accepted before.

        Parameters
        ----------
        headers
            The request's headers.
        now_ms
            The time in ms since 1970 UTC.

        Returns
        -------
        bool
            Whether `add` was called with its id.
        """
        # A delivery may be ahead by one window and repeated until it is behind by another.
        while self._taken and next(iter(self._taken.values())) < now_ms - 2 * REPLAY_WINDOW_MS:
            del self._taken[next(iter(self._taken))]
        return _id(headers) in self._taken

    def add(self, headers: Mapping[str, str], now_ms: int) -> None:
        """Records that a verified delivery is accepted.

        Call it once the event is stored, since MLflow does not repeat the delivery afterwards.

        Parameters
        ----------
        headers
            The request's headers.
        now_ms
            The time in ms since 1970 UTC.
        """
        self._taken.setdefault(_id(headers), now_ms)


def _id(headers: Mapping[str, str]) -> str:
    return next((value for key, value in headers.items() if key.lower() == DELIVERY), "")[:_ID_MAX]


@dataclass(slots=True)
class _Webhook:
    data: dict[str, Any]
    time_ms: int
    rules: Rules
    origin_of: OriginOf | None

    def text(self, key: str) -> str:
        value = self.data.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value:
            raise MalformedEvent(f"data.{key}: expected a non-empty string")
        return value

    def origin(self) -> Origin:
        model = self.text("name")
        found = self.origin_of(model, self.text("version")) if self.origin_of is not None else None
        if found is not None:
            return found
        run_id = self.data.get("run_id")
        return Origin(
            self.rules.registered_models.get(model, model), run_id if isinstance(run_id, str) and run_id else None
        )

    def created(self) -> Event:
        tags = self.data.get("tags") or {}
        if not isinstance(tags, dict):
            raise MalformedEvent("data.tags: expected an object")
        return registered(self.text("name"), self.text("version"), self.origin(), self.time_ms, tags)

    def alias(self) -> Event | None:
        alias = self.text("alias")
        if not self.rules.means_pushed("@", alias):
            return None
        return pushed(self.text("name"), self.text("version"), f"@{alias}", self.origin(), self.time_ms)

    def tag(self) -> Event:
        key, value = self.text("key"), self.data.get("value", "")
        if not isinstance(value, str):
            raise MalformedEvent("data.value: expected a string")
        model, version = self.text("name"), self.text("version")
        if key in self.rules.pushed_tags:
            return pushed(model, version, f"?{key}", self.origin(), self.time_ms, is_true(value))
        promoted_ms = time_of(value) if key == self.rules.promoted_tag else None
        if promoted_ms is not None:
            return pushed(model, version, f"?{key}", self.origin(), min(promoted_ms, self.time_ms))
        return registered(model, version, self.origin(), self.time_ms, {key: value})


_KINDS: Mapping[str, Callable[[_Webhook], Event | None]] = {
    "model_version.created": _Webhook.created,
    "model_version_alias.created": _Webhook.alias,
    "model_version_tag.set": _Webhook.tag,
}


def _time(document: dict[str, Any], now_ms: int) -> int:
    """The time of a webhook, at most the time of its arrival."""
    text = document.get("timestamp")
    try:
        time_ms = text_to_time(text if isinstance(text, str) else "")
    except ValueError:
        raise MalformedEvent("timestamp: expected an RFC 3339 time with its offset") from None
    if time_ms < EARLIEST_MS:
        raise MalformedEvent("timestamp: expected a time in 1990 or after")
    return min(time_ms, now_ms)
