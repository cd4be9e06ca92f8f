"""What changes of subscriptions are made of, whoever keeps them, and why one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from stream_app.alerts.records import AlertRecord
from stream_app.alerts.registered import Registered
from stream_app.alerts.saved import AuditEntry
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.errors import StreamAppError


class NotFoundError(StreamAppError):
    """There is no such thing, or whoever asks may not see it."""


class ForbiddenError(StreamAppError):
    """Whoever asks may not do this."""


class ConflictError(StreamAppError):
    """What is asked does not fit what is there: an id that is taken, another version, a limit."""


class Subscribers(Protocol):
    """What a subscription service changes: a notifier, or the notifiers of a group that share the subscriptions."""

    @property
    def registered(self) -> Mapping[str, Registered]:
        """The subscriptions, by id."""

    def put(self, registered: Registered) -> None:
        """Adds a subscription, or replaces it."""

    def remove(self, name: str) -> None:
        """Removes a subscription."""

    def audit(self, entry: AuditEntry) -> None:
        """Adds an entry to the audit log."""

    def again(self, name: str, message_id: str, records: Iterable[AlertRecord], now_ms: int) -> None:
        """Sends a message of a subscription once more."""

    async def saved(self) -> None:
        """Returns when all changes so far are saved; raises AlertStoreError or ConflictError."""

    async def test(self, registered: Registered, message: Outgoing) -> Result:
        """Sends one message outside of any order."""
