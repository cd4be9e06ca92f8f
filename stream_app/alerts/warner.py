"""Warns owners, by another way, that a subscription fails. Nothing waits for it, and it raises nothing."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping

from stream_app.alerts.registered import Registered, register
from stream_app.alerts.sinks.sink import Outgoing, Sink
from stream_app.alerts.subscriptions import Subscription
from stream_app.alerts.warnings import OwnerWarning, other_ways, warning_text
from stream_app.figures.numbers import plural

log = logging.getLogger(__name__)

#: Warnings that are sent at one time.
_SENDING_MAX = 20

#: Warns whoever owns a subscription; returns by which way, in words. The last argument are all subscriptions.
SendWarning = Callable[[OwnerWarning, Registered, Iterable[Registered]], Awaitable[str]]


class WarningSender:
    """Sends warnings: by the owner's other subscriptions, else to the owner's address, else into the log.

    Parameters
    ----------
    sink_of
        Makes the sink of a subscription.
    contact_of
        Returns a subscription that reaches an owner by name; None: there is no address.
    on_warning
        Called with the way that was taken: `subscription`, `owner` or `log`.
    """

    def __init__(
        self,
        sink_of: Callable[[Registered], Sink],
        contact_of: Callable[[str], Subscription | None] = lambda _: None,
        on_warning: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._sink_of = sink_of
        self._contact_of = contact_of
        self._on_warning = on_warning

    async def __call__(self, warning: OwnerWarning, failing: Registered, everything: Iterable[Registered]) -> str:
        """Sends a warning.

        Parameters
        ----------
        warning
            The warning.
        failing
            The subscription that it is about.
        everything
            All subscriptions.

        Returns
        -------
        str
            By which way it has arrived, in words that name nobody. It raises nothing.
        """
        subscription = failing.subscription
        others = other_ways(subscription, everything)
        reached = await asyncio.gather(*(self._reach(each, warning, subscription) for each in others))
        if any(reached):
            self._on_warning("subscription")
            return f"by {plural(sum(reached), 'other subscription')}"
        contact = self._contact_of(subscription.owner)
        tried = [subscription.sink, *(each.subscription.sink for each in others)]
        if contact is None or contact.sink in tried:
            arrived = False
        else:
            arrived = await self._reach(register(contact, warning.disabled_ms), warning, subscription)
        if arrived:
            self._on_warning("owner")
            return "by the owner's address"
        self._on_warning("log")
        text = warning_text(warning, subscription)
        log.warning("%r cannot be reached: %s", subscription.owner, " ".join(f"{text.title}. {text.body}".split()))
        return "by the log alone"

    async def _reach(self, way: Registered, warning: OwnerWarning, failing: Subscription) -> bool:
        """Makes one attempt; returns whether it arrived."""
        identity = f"{failing.id} {warning.disabled} {warning.since_ms} {way.subscription.id}"
        message_id = f"warning-{hashlib.sha256(identity.encode()).hexdigest()[:16]}@{way.subscription.id}"
        try:
            result = await self._sink_of(way).send(Outgoing(message_id, (), warning_text(warning, failing), {}))
            reason = result.reason
        except Exception as error:  # a defect of a sink must not stop the others
            log.exception("the sink of subscription %s failed", way.subscription.id)
            reason = type(error).__name__
        if reason:
            log.info("the owner of %s is not reached by %s: %s", failing.id, way.subscription.id, reason)
        return not reason


class Warner:
    """Sends the warnings of mailboxes, a few at one time.

    Parameters
    ----------
    send_warning
        Sends one.
    on_warned
        Called with the id of the subscription, the warning, and by which way it was sent.
    """

    def __init__(self, send_warning: SendWarning, on_warned: Callable[[str, OwnerWarning, str], None]) -> None:
        self._send_warning = send_warning
        self._on_warned = on_warned
        self._waiting: dict[str, OwnerWarning] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, name: str, warning: OwnerWarning) -> None:
        """Takes a warning about a subscription; it takes the place of one that was not sent yet."""
        self._waiting[name] = warning

    def start(self, registered: Mapping[str, Registered], unsaved: Container[str]) -> None:
        """Starts to send what waits, of subscriptions that are still there and whose mailboxes are saved."""
        for name in [each for each in self._waiting if each not in unsaved][: _SENDING_MAX - len(self._tasks)]:
            warning = self._waiting.pop(name)
            if name in registered:
                task = asyncio.create_task(self._send(name, warning, registered))
                self._tasks.add(task)

    async def finish(self) -> None:
        """Returns when what is being sent has been; what waits is sent after the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _send(self, name: str, warning: OwnerWarning, registered: Mapping[str, Registered]) -> None:
        try:
            way = await self._send_warning(warning, registered[name], registered.values())
        except Exception:  # a defect there must stop nothing here
            log.exception("the owner of subscription %s cannot be reached: %s", name, warning.reason)
            way = "by the log alone"
        # Whoever is called next may start another one.
        self._tasks.discard(asyncio.current_task())
        self._on_warned(name, warning, way)
