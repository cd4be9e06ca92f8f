"""Subscriptions by ownership: owners hear of flags at once and of findings once a week, where the owners file says."""

from __future__ import annotations

import hashlib
import re

from stream_app.alerts.filters import Filter
from stream_app.alerts.records import FINDING_TYPES
from stream_app.alerts.subscriptions import Subscription, SubscriptionError, make_subscription
from stream_app.owners import Owners

_ID = re.compile(r"[^A-Za-z0-9._-]+")
#: How the ids of these subscriptions begin.
PREFIX = "owner."


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
        The owner's name.
    owners
        The owners file.
    slack_token
        The token of a bot, for owners whose address is a channel.
    findings
        Whether it is that to findings, a digest each week, not that to flags.

    Returns
    -------
    Subscription or None
        None: the owner has no address that can be written to.
    """
    contact = owners.contact(owner)
    address = contact.address.strip() if contact is not None else owner
    if address.startswith("#") and slack_token is not None:
        sink = {"kind": "slack", "token": slack_token, "channel": address}
    else:
        sink = {"kind": "email", "to": [address]}  # type: ignore[dict-item]
    # The name may have wildcards in it, which stand for themselves here.
    literal = re.sub(r"([*?[])", r"[\1]", owner)
    try:
        return make_subscription(
            {
                "id": subscription_id(owner, findings=findings),
                "name": f"{'Findings' if findings else 'Flags'} of {owner}"[:200],
                "description": "Made from the owners file.",
                "owner": owner[:200],
                "filter": Filter(owner=(literal,)).model_dump(exclude_none=True),
                "sink": sink,
                **({"types": FINDING_TYPES, "delivery": {"digest": "week"}} if findings else {}),
            }
        )
    except (SubscriptionError, ValueError):
        return None
