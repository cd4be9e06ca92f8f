"""Subscriptions by ownership: owners hear of flags at once and of findings once a week, where the owners file says."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from stream_app.alerts.records import FINDING_TYPES
from stream_app.alerts.subscriptions import Subscription, SubscriptionError, make_subscription
from stream_app.core.ladder import Step
from stream_app.owners import Owners

_ID = re.compile(r"[^A-Za-z0-9._-]+")
#: How the ids of these subscriptions begin.
PREFIX = "owner."
#: How they describe themselves.
MADE = "Made from the owners file."


def subscription_id(owner: str, *, findings: bool = False) -> str:
    """The id of an owner's subscription.

    Parameters
    ----------
    owner
        The owner's name.
    findings
        Whether it is that to findings, not that to flags.

    Examples
    --------
    >>> subscription_id("Ads ranking"), subscription_id("Ads ranking", findings=True)
    ('owner.Ads-ranking-d4e1fe5a', 'owner.Ads-ranking-d4e1fe5a.findings')
    """
    digest = hashlib.sha256(owner.encode()).hexdigest()[:8]
    return f"{PREFIX}{_ID.sub('-', owner)[:60]}-{digest}{'.findings' if findings else ''}"


def default_subscription(
    owner: str, owners: Owners, slack_token: str | None = None, *, findings: bool = False
) -> Subscription | None:
    """The subscription of an owner.

    Parameters
    ----------
    owner
        The owner's name; "" for what has no owner.
    owners
        The owners file.
    slack_token
        The token of a bot, for owners whose address is a channel.
    findings
        Whether it is that to findings, a digest each week, not that to flags.

    Returns
    -------
    Subscription or None
        None: neither the owner nor whoever stands for them has an address that can be written to. That to flags does
        not hear of those whose ladder ends with `observe`.
    """
    made = (_subscription(owner, each, slack_token, findings=findings) for each in owners.addresses(owner))
    return next((each for each in made if each is not None), None)


def _subscription(owner: str, address: str, slack_token: str | None, *, findings: bool) -> Subscription | None:
    """The subscription of an owner at an address; None: it cannot be written to."""
    if address.startswith("#") and slack_token is not None:
        sink = {"kind": "slack", "token": slack_token, "channel": address}
    else:
        sink = {"kind": "email", "to": [address]}  # type: ignore[dict-item]
    # The name may have wildcards in it, which stand for themselves here.
    literal = re.sub(r"([*?[])", r"[\1]", owner)
    chosen: dict[str, Any] = {"owner": literal} if owner else {"not": {"owner": "?*"}}
    if not findings:
        chosen = {"all": [chosen, {"not": {"ladder": str(Step.OBSERVE)}}]}
    whose = f"of {owner}" if owner else "without an owner"
    try:
        return make_subscription(
            {
                "id": subscription_id(owner, findings=findings),
                "name": f"{'Findings' if findings else 'Flags'} {whose}"[:200],
                "description": MADE,
                "owner": owner[:200] or "admins",
                "filter": chosen,
                "sink": sink,
                **({"types": FINDING_TYPES, "delivery": {"digest": "week"}} if findings else {}),
            }
        )
    except (SubscriptionError, ValueError):
        return None
