"""What a record is collected with, and which records say that what it is about is open."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.alerts.findings import is_finding
from stream_app.alerts.records import AlertRecord, EventType
from stream_app.alerts.subscriptions import Subscription

#: The types of records that say that a flag is open, and those that say so of a finding.
OPENING: Mapping[bool, frozenset[EventType]] = {
    False: frozenset((EventType.RAISED, EventType.REVISED, EventType.REMINDED, EventType.DUE)),
    True: frozenset((EventType.FINDING_RAISED, EventType.FINDING_REVISED)),
}


def group_of(subscription: Subscription, record: AlertRecord) -> str | None:
    """The name of what a record is collected with; None: it is sent alone. Flags and findings are not mixed.

    Parameters
    ----------
    subscription
        The subscription that it is for.
    record
        The record.
    """
    delivery = subscription.delivery
    if delivery.group_by is None:
        found = "" if delivery.digest is not None or delivery.quiet_hours is not None else None
    else:
        found = record.pipeline if delivery.group_by == "pipeline" else record.owner
    return f"\0{found}" if found is not None and is_finding(record.subject) else found
