"""Subscriptions as code: what has to change so that those of a file, and no others of their owners, are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stream_app.alerts.subscriptions import Subscription, SubscriptionError, make_subscription


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a plan.

    Parameters
    ----------
    action
        What to do.
    id
        The subscription.
    changed
        The fields that differ, such as `sink.url`; of an update.
    wanted
        The subscription as it should be; None: it is deleted.
    """

    action: Literal["create", "update", "delete", "keep"]
    id: str
    changed: tuple[str, ...] = ()
    wanted: Mapping[str, Any] | None = None


def read_file(content: Any) -> list[dict[str, Any]]:
    """Reads the content of a file.

    Parameters
    ----------
    content
        A table with a list `subscriptions`, each with an `id`, as TOML or JSON gives it.

    Returns
    -------
    list of dict
        The JSON forms, each valid.

    Raises
    ------
    SubscriptionError
        The file has another form, or a subscription is not valid; the field begins with its place.
    """
    if not isinstance(content, dict) or set(content) != {"subscriptions"}:
        raise SubscriptionError("", "expected a table with the list `subscriptions` and nothing else")
    listed = content["subscriptions"]
    if not isinstance(listed, list):
        raise SubscriptionError("subscriptions", "expected a list")
    seen: set[str] = set()
    for place, each in enumerate(listed):
        try:
            made = make_subscription(each)
        except SubscriptionError as error:
            where = f"subscriptions.{place}"
            raise SubscriptionError(f"{where}.{error.field}" if error.field else where, error.reason) from None
        if made.id in seen:
            raise SubscriptionError(f"subscriptions.{place}.id", f"{made.id!r} is there twice")
        seen.add(made.id)
    return listed


def plan(current: Mapping[str, Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]]) -> list[Step]:
    """What has to change.

    Parameters
    ----------
    current
        Id -> subscription as the API shows it, of all that a file manages.
    wanted
        The subscriptions of the file.

    Returns
    -------
    list of Step
        In the order of their ids. Secrets that are shown hidden count as equal: they cannot be compared.
    """
    named = {each["id"]: each for each in wanted}
    steps = []
    for name in sorted(current.keys() | named.keys()):
        if name not in named:
            steps.append(Step("delete", name))
            continue
        full = _full(make_subscription(named[name]))
        if name not in current:
            steps.append(Step("create", name, (), named[name]))
            continue
        changed = tuple(_differences(current[name], full))
        steps.append(Step("update" if changed else "keep", name, changed, named[name]))
    return steps


def _full(subscription: Subscription) -> dict[str, Any]:
    """A subscription with its defaults, as the API shows it."""
    shown: dict[str, Any] = subscription.model_dump(mode="json", by_alias=True, exclude_none=True)
    return shown


def _differences(current: Any, wanted: Any, place: str = "") -> Iterable[str]:
    if current == wanted or "**********" in (current, wanted):
        return
    if not isinstance(current, Mapping) or not isinstance(wanted, Mapping):
        yield place
        return
    for name in sorted(wanted.keys() | current.keys()):
        if not place and name in ("version", "created", "updated", "disabled_reason"):
            continue
        if name == "secret" and name not in wanted:
            continue  # the service has made it
        below = f"{place}.{name}" if place else name
        yield from _differences(current.get(name), wanted.get(name), below)
