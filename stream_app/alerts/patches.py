"""Changes of subscriptions in their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from stream_app.alerts.hook_sinks import HOOKS, HookSink
from stream_app.alerts.subscriptions import Subscription, SubscriptionError, WebhookSink

#: Sinks that send headers.
_SENDING = (WebhookSink, *HOOKS)


def merge_patch(target: Any, patch: Any) -> Any:
    """A JSON value, changed by a merge patch (RFC 7396): what is null in the patch is removed.

    Parameters
    ----------
    target
        The value, which stays as it is.
    patch
        The patch.
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def check_secrets(current: Subscription, wanted: Subscription, given: Mapping[str, Any]) -> None:
    """Refuses to send secrets that nobody can read, headers and a password, to another host than they were given for.

    Parameters
    ----------
    current, wanted
        The subscription before and after a change.
    given
        The merge patch of the change.

    Raises
    ------
    SubscriptionError
        A header, or the password, of a sink whose URL leads to another host is not given again.
    """
    before, after = current.sink, wanted.sink
    if not isinstance(before, _SENDING) or not isinstance(after, _SENDING) or before.kind != after.kind:
        return
    if _hosts(after) <= _hosts(before):
        return
    sent = given.get("sink", {})
    headers = sent.get("headers", {})
    for name, value in after.headers.items():
        if value == before.headers.get(name) and headers.get(name) != value.get_secret_value():
            raise SubscriptionError(f"sink.headers.{name}", "give it again: the URL leads to another host now")
    password = getattr(after, "password", None)
    if password is not None and sent.get("password") != password.get_secret_value():
        raise SubscriptionError("sink.password", "give it again: the URL leads to another host now")


def _hosts(sink: WebhookSink | HookSink) -> set[tuple[str, str]]:
    """Schemes and hosts that a sink sends its headers to."""
    urls = (sink.url, getattr(sink, "checkpoint_url", None))
    return {(parts.scheme, parts.netloc) for each in urls if each is not None for parts in (urlsplit(each),)}


def unwrapped(value: Any) -> Any:
    """A dumped model with its secrets as texts."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {name: unwrapped(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [unwrapped(each) for each in value]
    return value
