"""Sends the messages of mailboxes: each mailbox one at a time, all of them side by side.

What a mailbox accepts is saved before it is sent, and what became of a message soon after. A process that dies between
the two sends the message again, under the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from stream_app.alerts.clocks import Clocks
from stream_app.alerts.composing import composed
from stream_app.alerts.mailbox import Mailbox
from stream_app.alerts.mailbox_rows import no_rows, restore, subscription_of, take_rows
from stream_app.alerts.matching import Matcher, PriceOf
from stream_app.alerts.messages import LogEntry, Message
from stream_app.alerts.quiet import QuietOf, hold_back
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.registered import Registered
from stream_app.alerts.saved import AlertStoreError, AuditEntry, Changes, merged
from stream_app.alerts.schedule import Schedule
from stream_app.alerts.settling import settle
from stream_app.alerts.sinks.sink import Outgoing, Result, Sink
from stream_app.alerts.subscriptions import State
from stream_app.alerts.texts import Texts
from stream_app.alerts.warner import SendWarning, Warner, WarningSender
from stream_app.alerts.warnings import OwnerWarning, disable_reason, warn_ms, warning_of
from stream_app.core.units import DAY_MS

log = logging.getLogger(__name__)

#: Attempts at one time.
SENDING_MAX = 200
#: Seconds between two saves while messages are being sent, and between two tries of a save that failed.
_SAVE_SECONDS, _SAVE_AGAIN_SECONDS = 0.05, 1.0
#: Days of silence after which a mailbox forgets a flag.
_FORGET_DAYS = 37

#: Makes the sink of a subscription.
SinkOf = Callable[[Registered], Sink]
#: Saves changes, all or none; raises AlertStoreError where that is not possible now.
Save = Callable[[Changes], Awaitable[None]]


class Notifier:
    """Sends what subscriptions are to hear.

    Parameters
    ----------
    save
        Saves changes.
    sink_of
        Makes the sink of a subscription.
    texts
        Writes messages.
    price_of
        Returns the price of a node-hour, for filters.
    clocks
        The clocks.
    on_attempt
        Called with the kind of the sink, what became of an attempt, and its seconds.
    send_warning
        Warns owners that a subscription fails; None: by their other subscriptions.
    """

    def __init__(
        self,
        save: Save,
        sink_of: SinkOf,
        texts: Texts | None = None,
        price_of: PriceOf = lambda _: None,
        clocks: Clocks | None = None,
        on_attempt: Callable[[str, Result, float], None] = lambda *_: None,
        send_warning: SendWarning | None = None,
    ) -> None:
        self._save = save
        self._sink_of = sink_of
        self._texts = texts or Texts()
        self._clocks = clocks or Clocks()
        self._on_attempt = on_attempt
        self._warner = Warner(send_warning or WarningSender(sink_of), self._warned)
        self.matcher = Matcher((), price_of)
        self.registered: dict[str, Registered] = {}
        self.mailboxes: dict[str, Mailbox] = {}
        #: Tells which flags are quiet; to be set before `run`.
        self.quiet_of: QuietOf = lambda *_: None
        #: Why nothing can be saved at the moment; "" when it can.
        self.unavailable_reason = ""
        self._sinks: dict[str, Sink] = {}
        self._schedule = Schedule()
        self._changes = Changes()
        self._dirty: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        #: One save at a time, so that they keep their order; whoever waits for one finds its own changes saved.
        self._saving = asyncio.Lock()
        self._forgot_ms = 0
        self._ending = self._left = False

    def load(self, subscriptions: Iterable[Registered], rows: Mapping[bytes, bytes]) -> None:
        """Loads what was stored; rows of subscriptions that are gone are deleted.

        Raises
        ------
        StateError
            A row cannot be read.
        """
        by_name: dict[str, dict[bytes, bytes]] = {}
        for key, row in rows.items():
            by_name.setdefault(subscription_of(key), {})[key] = row
        now_ms = self._clocks.now_ms()
        for registered in subscriptions:
            self._put(registered)
            name = registered.subscription.id
            restore(self.mailboxes[name], by_name.pop(name, {}), now_ms)
            warning = self.mailboxes[name].warning
            if warning is not None:
                self._warner.put(name, warning)
            self._reschedule(name)
        for gone in by_name.values():
            self._changes.rows.update(dict.fromkeys(gone))

    def put(self, registered: Registered, *, stored: bool = False) -> None:
        """Adds a subscription, or replaces it; its messages stay.

        Parameters
        ----------
        registered
            The subscription.
        stored
            Whether it is stored already.
        """
        self._put(registered)
        if not stored:
            self._changes.subscriptions[registered.subscription.id] = registered
        self._reschedule(registered.subscription.id)
        self._wake.set()

    def remove(self, name: str, *, stored: bool = False) -> None:
        """Removes a subscription with its messages; parameters as of `put`."""
        mailbox = self.mailboxes.get(name)
        if mailbox is None:
            return
        mailbox.give_up(self._clocks.now_ms(), "the subscription was deleted")
        self._changes.rows.update(no_rows(mailbox))
        self._changes.deliveries += [(name, entry) for entry in mailbox.take_log()]
        self.matcher.drop(name)
        del self.mailboxes[name], self.registered[name]
        self._sinks.pop(name, None)
        self._schedule.set(name, None)
        if not stored:
            self._changes.subscriptions[name] = None
        self._wake.set()

    def accept(self, record: AlertRecord, logged_ms: int, number: int) -> None:
        """Takes a flag record.

        Parameters
        ----------
        record
            The record.
        logged_ms
            When it was logged, in ms since 1970 UTC.
        number
            Its number, which is saved together with what mailboxes make of it.
        """
        for subscription, exact in self.matcher.match(record):
            self.deliver(subscription.id, record, logged_ms, exact=exact)
        self.reach(number)

    def deliver(self, name: str, record: AlertRecord, logged_ms: int, *, exact: bool) -> None:
        """Takes a flag record that was matched to a subscription; see `Mailbox.accept`."""
        self.mailboxes[name].accept(record, exact, logged_ms, self._clocks.now_ms())
        self._dirty[name] = None
        self._reschedule(name)

    def reach(self, number: int) -> None:
        """Saves with the next changes that everything up to a number was taken."""
        self._changes.cursor = number
        self._wake.set()

    def note(self, name: str, entry: LogEntry) -> None:
        """Adds an entry to the delivery log of a subscription that has no mailbox here."""
        self._changes.deliveries.append((name, entry))
        self._wake.set()

    def again(self, name: str, message_id: str, records: Iterable[AlertRecord], now_ms: int) -> None:
        """Sends a message of a subscription once more; see `Mailbox.again`."""
        self.mailboxes[name].again(message_id, records, now_ms)
        self._dirty[name] = None
        self._reschedule(name)
        self._wake.set()

    def audit(self, entry: AuditEntry) -> None:
        """Saves an entry of the audit log with the next changes."""
        self._changes.audit.append(entry)
        self._wake.set()

    async def saved(self) -> None:
        """Returns when all changes so far are saved.

        Raises
        ------
        AlertStoreError
            They cannot be saved now. They hold all the same, and are saved as soon as that is possible.
        """
        await self._flush()
        if self.unavailable_reason:
            raise AlertStoreError(self.unavailable_reason)

    async def run(self) -> None:
        """Sends until cancelled; attempts that are under way are then finished, and saved."""
        try:
            while True:
                await self._flush()
                wait = self._start_due()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            self._ending = True
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._warner.finish()
            await self._flush()

    def leave(self) -> None:
        """Sends and saves nothing more: another process has the mailboxes now."""
        self._left = True
        for task in self._tasks:
            task.cancel()

    async def test(self, registered: Registered, message: Outgoing) -> Result:
        """Sends one message outside of any mailbox.

        Parameters
        ----------
        registered
            The subscription.
        message
            The message.
        """
        return await self._sink_of(registered).send(message)

    def _put(self, registered: Registered) -> None:
        subscription = registered.subscription
        self.registered[subscription.id] = registered
        self.matcher.put(subscription)
        self._sinks.pop(subscription.id, None)
        mailbox = self.mailboxes.get(subscription.id)
        if mailbox is None:
            self.mailboxes[subscription.id] = Mailbox(subscription)
        else:
            mailbox.replace(subscription)
            self._dirty[subscription.id] = None

    def _reschedule(self, name: str) -> None:
        mailbox = self.mailboxes[name]
        active = mailbox.subscription.state is State.ACTIVE
        next_ms = mailbox.next_ms(self._clocks.now(), self._clocks.now_ms())
        times = (next_ms, warn_ms(mailbox.failing_ms, mailbox.warned)) if active else ()
        due = min((each for each in times if each is not None), default=None)
        self._schedule.set(name, due)

    def _start_due(self) -> float | None:
        """Starts the attempts that are due; returns the seconds until there is more to do, None: nothing is known."""
        if self.unavailable_reason:
            # Nothing is sent that is not saved: after a loss of power another message could have the same id.
            return _SAVE_AGAIN_SECONDS
        self._warner.start(self.registered, self._dirty)
        now_ms, waits = self._clocks.now_ms(), []
        while len(self._tasks) < SENDING_MAX and (due_ms := self._schedule.first_ms()) is not None:
            if due_ms > now_ms:
                waits.append((due_ms - now_ms) / 1000.0)
                break
            self._start(self._schedule.pop(), now_ms)
        if self._dirty or self._changes:
            waits.append(_SAVE_SECONDS)
        return min(waits, default=None)

    def _start(self, name: str, now_ms: int) -> None:
        mailbox = self.mailboxes[name]
        mailbox.advance(now_ms)
        self._dirty[name] = None
        due = warn_ms(mailbox.failing_ms, mailbox.warned)
        if due is not None and due <= now_ms:
            self._warn(name, warning_of(mailbox.failing_ms, mailbox.failing_reason, now_ms, disabled=False))
        message = mailbox.take(now_ms, self._clocks.now())
        if message is not None:
            task = asyncio.create_task(self._send(name, mailbox, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._reschedule(name)

    async def _send(self, name: str, mailbox: Mailbox, message: Message) -> None:
        while True:
            await self._flush()
            if self._left or (self._ending and self.unavailable_reason):
                return  # it is sent after the next start
            if not self.unavailable_reason:
                break
            await asyncio.sleep(_SAVE_AGAIN_SECONDS)
        began, fault = self._clocks.now(), ""
        try:
            result = hold_back(mailbox, message, self.quiet_of, self._clocks.now_ms())
            if result is None:
                outgoing = composed(self._texts, mailbox, message)
                fault = outgoing.text.fault
                result = await self._sink(name).send(outgoing)
        except Exception as error:  # a defect of a sink must not stop the others
            log.exception("the sink of subscription %s failed", name)
            result = Result(f"the sink failed: {type(error).__name__}")
        now_ms, now = self._clocks.now_ms(), self._clocks.now()
        self._on_attempt(mailbox.subscription.sink.kind, result, now - began)
        settle(mailbox, message, result, fault, now_ms, now, self._clocks.draw())
        if self.mailboxes.get(name) is not mailbox:
            return  # it was removed meanwhile
        self._disable_if_gone(name, mailbox, result, now_ms)
        self._dirty[name] = None
        self._reschedule(name)
        self._wake.set()

    def _sink(self, name: str) -> Sink:
        found = self._sinks.get(name)
        if found is None:
            found = self._sinks[name] = self._sink_of(self.registered[name])
        return found

    def _disable_if_gone(self, name: str, mailbox: Mailbox, result: Result, now_ms: int) -> None:
        """Disables a subscription whose sink is gone, or has failed for days."""
        reason = disable_reason(result.gone, result.reason, mailbox.failing_ms, now_ms)
        if reason is None:
            return
        registered = self.registered[name]
        disabled = registered.subscription.model_copy(update={"state": State.DISABLED, "disabled_reason": reason})
        log.warning("subscription %s is disabled: %s", name, reason)
        mailbox.give_up(now_ms, "the subscription is disabled")
        self.put(registered.changed(disabled, now_ms))
        self._warn(name, warning_of(mailbox.failing_ms, result.reason, now_ms, disabled=True))

    def _warn(self, name: str, warning: OwnerWarning) -> None:
        """Has the owner warned as soon as that is saved."""
        self.mailboxes[name].warn(warning)
        self._warner.put(name, warning)
        self._dirty[name] = None
        self._wake.set()

    def _warned(self, name: str, warning: OwnerWarning, way: str) -> None:
        what = "disabled" if warning.disabled else "failing"
        self.audit(AuditEntry(self._clocks.now_ms(), "stream-app", f"warn {what}: {way}", name))
        mailbox = self.mailboxes.get(name)
        if mailbox is not None and mailbox.warning == warning:
            mailbox.warn(None)
            self._dirty[name] = None

    def _collect(self, name: str) -> None:
        """Collects what has changed of a mailbox."""
        mailbox = self.mailboxes[name]
        self._changes.rows.update(take_rows(mailbox))
        self._changes.deliveries += [(name, entry) for entry in mailbox.take_log()]

    async def _flush(self) -> None:
        """Saves what has changed; what cannot be saved is kept for the next time."""
        async with self._saving:
            if self._left:
                return
            self._forget()
            for name in self._dirty:
                if name in self.mailboxes:
                    self._collect(name)
            self._dirty.clear()
            changes, self._changes = self._changes, Changes()
            if not changes:
                return
            try:
                await self._save(changes)
            except AlertStoreError as error:
                if str(error) != self.unavailable_reason:
                    log.error("%s", error)
                self.unavailable_reason = str(error)
                self._changes = merged(changes, self._changes)
            else:
                self.unavailable_reason = ""

    def _forget(self) -> None:
        """Once a day forgets the flags of which nothing was heard for long."""
        now_ms = self._clocks.now_ms()
        if now_ms - self._forgot_ms < DAY_MS:
            return
        self._forgot_ms = now_ms
        for name, mailbox in self.mailboxes.items():
            mailbox.forget(now_ms - _FORGET_DAYS * DAY_MS)
            self._dirty[name] = None
