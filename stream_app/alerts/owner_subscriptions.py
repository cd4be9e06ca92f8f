"""Subscribes owners, to flags at the first flag and to findings at the first finding of theirs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping

from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.ownership import MADE, default_subscription, subscription_id
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.registered import Registered, register
from stream_app.alerts.saved import AuditEntry
from stream_app.alerts.settings import AlertSettings
from stream_app.alerts.subscription_service import SUBSCRIPTIONS_MAX
from stream_app.alerts.subscriptions import State, SubscriptionError
from stream_app.owners import Owners

log = logging.getLogger(__name__)

#: Who subscribes owners, in the audit log.
_WHO = "owners file"


class OwnerSubscriptions:
    """Makes subscriptions of owners.

    Parameters
    ----------
    settings
        Settings of alerts.
    deleted
        Returns the ids of such subscriptions that somebody has deleted by now; they are not made again.
    """

    def __init__(self, settings: AlertSettings, deleted: Callable[[], Container[str]] = tuple) -> None:
        self._settings = settings
        self._deleted = deleted
        #: Subscriptions that were made, or tried, or are not wanted.
        self.done: set[str] = set()

    def due(self, record: AlertRecord, registered: Mapping[str, Registered], now_ms: int) -> Registered | None:
        """The subscription to make now.

        Parameters
        ----------
        record
            A record, whose owner is "" where it has none: flags without one are those of the admins.
        registered
            The subscriptions that there are, by id.
        now_ms
            The time in ms since 1970 UTC.

        Returns
        -------
        Registered or None
            None where nothing is to be made. Whoever has deleted the subscription to flags wants none to findings. That
            of an owner who is gone is one that there is, changed.
        """
        owner, findings = record.owner, isinstance(record, FindingRecord)
        owners = self._settings.owners
        if owners is None or not (owner or (owners.admins and not findings)):
            return None
        name = subscription_id(owner, findings=findings)
        if name in self.done:
            return None
        if name in registered:
            self.done.add(name)
            return self._redirected(registered[name], owner, owners, now_ms)
        if len(registered) >= SUBSCRIPTIONS_MAX:
            return None
        deleted = self._deleted()
        is_deleted = name in deleted or subscription_id(owner) in deleted
        self.done.add(name)
        if is_deleted:
            return None
        made = default_subscription(owner, owners, self._settings.slack_token, findings=findings)
        if made is None:
            log.warning("an owner has no address that can be written to: %r; see [[owners]]", owner[:200])
            return None
        try:
            return register(made, now_ms)
        except SubscriptionError as error:
            log.warning("owner %r cannot be subscribed: %s", owner[:200], error)
            return None

    def _redirected(self, found: Registered, owner: str, owners: Owners, now_ms: int) -> Registered | None:
        """The subscription of an owner who is gone, as one to whoever stands for them; None: it is left as it is."""
        current = found.subscription
        if not owners.is_gone(owner) or current.description != MADE:
            return None
        made = default_subscription(owner, owners, self._settings.slack_token)
        if made is None or made.sink == current.sink:
            return None
        state = State.ACTIVE if current.state is State.DISABLED else current.state
        update = {"sink": made.sink, "state": state, "disabled_reason": ""}
        return found.changed(current.model_copy(update=update), now_ms)

    @staticmethod
    def audit(made: Registered) -> AuditEntry:
        """The entry of the audit log of a subscription that was made or changed."""
        action = "create" if made.version == 1 else "change"
        return AuditEntry(made.updated_ms, _WHO, action, made.subscription.id)
