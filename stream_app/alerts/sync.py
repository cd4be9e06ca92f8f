"""Subscriptions as code: what has to change so that the service has those of a file.

A file has a name, which every subscription that is made from it keeps in `managed_by`. Only such subscriptions are ever
deleted. One that somebody made by hand and that the file lists is taken over; one of another file is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stream_app.alerts.registered import HIDDEN, plain
from stream_app.alerts.subscriptions import SubscriptionError, make_subscription
from stream_app.alerts.texts import check_text

#: Fields that the service sets.
_SERVICE = ("version", "created", "updated", "disabled_reason")


@dataclass(frozen=True, slots=True)
class SubscriptionFile:
    """A file of subscriptions.

    Parameters
    ----------
    name
        Its name, by which the service knows what was made from it.
    subscriptions
        Their JSON forms, each valid.
    """

    name: str
    subscriptions: tuple[Mapping[str, Any], ...]


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
    body
        What is sent: the subscription to create, or the merge patch (RFC 7396) of an update; else None.
    """

    action: Literal["create", "update", "delete", "keep"]
    id: str
    changed: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = None


def read_file(content: Any) -> SubscriptionFile:
    """Reads the content of a file.

    Parameters
    ----------
    content
        A table with a `name` and a list `subscriptions`, each with an `id`, as TOML or JSON gives it.

    Returns
    -------
    SubscriptionFile

    Raises
    ------
    SubscriptionError
        The file has another form, or a subscription is not valid; the field begins with its place.
    """
    if not isinstance(content, dict) or set(content) - {"name", "subscriptions"}:
        raise SubscriptionError("", "expected a table with `name` and the list `subscriptions`, and nothing else")
    name, listed = content.get("name"), content.get("subscriptions", [])
    if not isinstance(name, str) or not name:
        raise SubscriptionError("name", "expected a name of the file, such as ads-alerts; it should never change")
    if not isinstance(listed, list):
        raise SubscriptionError("subscriptions", "expected a list")
    seen: set[str] = set()
    for place, each in enumerate(listed):
        where = f"subscriptions.{place}"
        if isinstance(each, dict) and "managed_by" in each:
            raise SubscriptionError(f"{where}.managed_by", "it is the name of the file")
        try:
            made = make_subscription({**each, "managed_by": name} if isinstance(each, dict) else each)
            check_text(made.text, made.types)
        except SubscriptionError as error:
            if error.field == "managed_by":
                raise SubscriptionError("name", "expected letters, digits, dots, hyphens and underscores") from None
            raise SubscriptionError(f"{where}.{error.field}" if error.field else where, error.reason) from None
        if made.id in seen:
            raise SubscriptionError(f"{where}.id", f"{made.id!r} is there twice")
        seen.add(made.id)
    return SubscriptionFile(name, tuple(listed))


def plan(current: Iterable[Mapping[str, Any]], file: SubscriptionFile, *, secrets: bool = False) -> list[Step]:
    """What has to change.

    Parameters
    ----------
    current
        All subscriptions, as the service shows them.
    file
        The file.
    secrets
        Whether secrets count as changed. They are shown hidden, so they cannot be compared.

    Returns
    -------
    list of Step
        In the order of their ids. A state that the file does not give stays what it is.

    Raises
    ------
    SubscriptionError
        A subscription of the file is managed by another file.
    """
    found = {each["id"]: each for each in current}
    wanted = {each["id"]: {**each, "managed_by": file.name} for each in file.subscriptions}
    managed = {name for name, each in found.items() if each.get("managed_by") == file.name}
    steps = []
    for name in sorted(wanted.keys() | managed):
        if name not in wanted:
            steps.append(Step("delete", name))
        elif name not in found:
            steps.append(Step("create", name, body=wanted[name]))
        else:
            other = found[name].get("managed_by")
            if other not in (None, "", file.name):
                raise SubscriptionError("id", f"{name} is managed by the file {other}; remove it there first")
            steps.append(_update(found[name], wanted[name], secrets))
    return steps


def _update(current: Mapping[str, Any], given: Mapping[str, Any], secrets: bool) -> Step:
    full = plain(make_subscription(given), lambda secret: secret)
    kept = (*_SERVICE, *(() if "state" in given else ("state",)))
    before = {name: value for name, value in current.items() if name not in kept}
    after = {name: value for name, value in full.items() if name not in kept}
    if _is_bounded(before.get("filter"), after["filter"]):
        after["filter"] = before["filter"]
    changed, patch = _difference(before, after, "", secrets)
    return Step("update", full["id"], tuple(changed), patch) if changed else Step("keep", full["id"])


def _is_bounded(current: Any, wanted: Any) -> bool:
    """Whether a filter is the wanted one with the pipelines to which the service has bound a token."""
    inner = current.get("all") if isinstance(current, Mapping) and set(current) == {"all"} else None
    if not isinstance(inner, list) or not inner:
        return False
    bound = isinstance(inner[-1], Mapping) and set(inner[-1]) == {"pipeline"}
    return bound and inner[:-1] == ([wanted] if wanted else [])


def _difference(
    current: Mapping[str, Any], wanted: Mapping[str, Any], place: str, secrets: bool
) -> tuple[list[str], dict[str, Any]]:
    """The fields that differ, and the merge patch that makes them equal. It holds all secrets that are known."""
    changed: list[str] = []
    patch: dict[str, Any] = {}
    for name in sorted(current.keys() | wanted.keys()):
        below = f"{place}.{name}" if place else name
        if name not in wanted:
            if below == "sink.secret" and current[name] == HIDDEN and wanted.get("kind") == current.get("kind"):
                continue  # the service has made it
            changed.append(below)
            patch[name] = None
        elif name in current and isinstance(current[name], Mapping) and isinstance(wanted[name], Mapping):
            inner, inner_patch = _difference(current[name], wanted[name], below, secrets)
            changed += inner
            if inner_patch:
                patch[name] = inner_patch
        elif current.get(name) == HIDDEN:
            patch[name] = wanted[name]
            if secrets:
                changed.append(below)
        elif name not in current or current[name] != wanted[name]:
            changed.append(below)
            patch[name] = wanted[name]
    return changed, patch
