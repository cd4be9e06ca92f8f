"""The messages of one subscription: held, collected, sent in order, tried again. Pure: no clock, no network.

A record goes through a mailbox in three steps. `accept` decides whether it is news here, and holds the raising of a
flag. `advance` makes messages of what was held long enough. `take` gives the next message to send, and `sent`, `failed`
and `refused` say what became of it. Every record that is not sent gets an entry in the log with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

from stream_app.alerts.calendar import due_ms
from stream_app.alerts.findings import is_finding
from stream_app.alerts.flags import Change
from stream_app.alerts.grouping import OPENING, group_of
from stream_app.alerts.messages import Fate, FlagState, LogEntry, Message, first_due
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.retries import Breaker, retry_delay
from stream_app.alerts.subscriptions import State, Subscription
from stream_app.alerts.warnings import OwnerWarning
from stream_app.core.units import HOUR_MS

#: Messages that may wait; the oldest is given up for a further one.
MESSAGES_MAX = 10_000
#: A flag that was withdrawn is not announced again within this time, in ms.
AGAIN_MS = HOUR_MS


class Mailbox:
    """The messages of one subscription.

    Parameters
    ----------
    subscription
        The subscription; see `replace`.
    """

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.flags: dict[str, FlagState] = {}
        self.messages: dict[str, Message] = {}
        self.breaker = Breaker()
        #: When the first of the attempts was made that have all failed since, in ms since 1970 UTC; None: none.
        self.failing_ms: int | None = None
        #: Why the last of them failed, whether the owner was warned since, and the warning that was not sent yet.
        self.failing_reason = ""
        self.warned = False
        self.warning: OwnerWarning | None = None
        self.log: list[LogEntry] = []
        #: Messages made so far, and what the sink keeps of flags that are open, by flag.
        self.made = 0
        self.thread: dict[str, str] = {}
        #: The flags and messages that have changed since they were stored, and whether the mailbox itself has.
        self.changed_flags: set[str] = set()
        self.changed_messages: set[str] = set()
        self.changed_box = False
        self._sending: str | None = None
        #: The flags with records that are held, and group -> id of the message that collects it.
        self._holding: dict[str, None] = {}
        self._collecting: dict[str, str] = {}

    def replace(self, subscription: Subscription) -> None:
        """Takes over a changed subscription. One that is resumed fails anew, if it does."""
        resumed = self.subscription.state is not State.ACTIVE and subscription.state is State.ACTIVE
        self.subscription = subscription
        if resumed:
            self._arrived()
            self.changed_box = True

    def warn(self, warning: OwnerWarning | None) -> None:
        """Keeps a warning to the owner until it is sent; None: it was."""
        self.warned = self.warned or warning is not None
        self.warning = warning
        self.changed_box = True

    def restore(self, flags: Mapping[str, FlagState], messages: Iterable[Message], now_ms: int) -> None:
        """Takes over what was stored; a message that was being sent is sent again.

        Parameters
        ----------
        flags
            The states of flags.
        messages
            The messages in the order in which they were made.
        now_ms
            The time in ms since 1970 UTC.
        """
        self.flags = dict(flags)
        self.messages = {message.id: message for message in messages}
        self._holding = {name: None for name, state in self.flags.items() if state.held}
        self._collecting = {each.collects: each.id for each in self.messages.values() if each.collects is not None}
        for message in self.messages.values():
            if message.due_ms <= now_ms:
                self._hear(message)  # it may have arrived before the process ended

    def accept(self, record: AlertRecord, exact: bool, logged_ms: int, now_ms: int) -> None:
        """Takes a record that was matched to the subscription.

        Parameters
        ----------
        record
            The record.
        exact
            Whether the filter holds for it; if not, it is news only to those who heard of the flag.
        logged_ms
            When it was logged, from which it is held, in ms since 1970 UTC.
        now_ms
            The time in ms since 1970 UTC.
        """
        state = self.flags.setdefault(record.subject, FlagState())
        if record.revision <= state.revision:
            return  # it was delivered to this mailbox before
        state.revision, state.touched_ms = record.revision, now_ms
        self.changed_flags.add(record.subject)
        if record.is_end:
            self._end(state, record, exact, now_ms)
        elif not (exact or (state.announced and record.change is Change.REMINDED)):
            if state.announced or state.held:
                self._drop_held(state, now_ms, "the filter does not hold any more")
                self._drop(record.id, now_ms, "the filter does not hold any more")
        elif record.change is Change.DUE:
            self._send_at_once(state, record, now_ms)
        elif state.announced and record.change is not Change.RAISED:
            self._put([record], now_ms)
        else:
            self._hold(state, record, logged_ms)

    def advance(self, now_ms: int) -> None:
        """Makes messages of the records that were held long enough."""
        for name in [each for each in self._holding if self.flags[each].ready_ms <= now_ms]:
            state = self.flags[name]
            held, state.held = state.held, []
            del self._holding[name]
            state.announced, state.announced_ms, state.touched_ms = True, now_ms, now_ms
            self.changed_flags.add(name)
            self._put(held, now_ms)

    def take(self, now_ms: int, now: float) -> Message | None:
        """The next message to send; None: there is none now. One at a time is being sent.

        Parameters
        ----------
        now_ms
            The time in ms since 1970 UTC.
        now
            Seconds of a monotonic clock, for the breaker.
        """
        if self._sending is not None or self.breaker.wait(now) > 0.0:
            return None
        message = first_due(self.messages.values(), now_ms)
        if message is not None:
            self._sending = message.id
            self.breaker.attempt(now)
            self._hear(message)
        return message

    def sent(
        self, message: Message, now_ms: int, now: float, thread: Mapping[str, str] | None = None, reason: str = ""
    ) -> None:
        """The message has arrived.

        Parameters
        ----------
        message
            The message.
        now_ms, now
            As of `take`.
        thread
            What the sink keeps of its flags.
        reason
            What the log says of it.
        """
        self.thread.update(thread or {})
        for record in message.records:
            if record.is_end and record.change is not Change.WITHDRAWN:
                self.thread.pop(record.subject, None)
        self.breaker.record(now, succeeded=True)
        self._arrived()
        self._log(message, Fate.SENT, now_ms, message.attempts + 1, reason)
        self._remove(message)

    def failed(
        self, message: Message, reason: str, now_ms: int, now: float, draw: float, retry_after: float | None = None
    ) -> None:
        """The attempt has failed, and is repeated unless it was the last.

        Parameters
        ----------
        message
            The message.
        reason
            What went wrong, in words.
        now_ms, now
            As of `take`.
        draw, retry_after
            As of `retry_delay`.
        """
        self.breaker.record(now, succeeded=False)
        self.failing_ms = now_ms if self.failing_ms is None else self.failing_ms
        self.failing_reason = reason
        message.attempts += 1
        self._log(message, Fate.FAILED, now_ms, message.attempts, reason)
        delay = retry_delay(message.attempts, draw, retry_after)
        if delay is None:
            self._log(message, Fate.DEAD, now_ms, message.attempts, f"given up after {message.attempts} attempts")
            self._remove(message)
            return
        message.due_ms = now_ms + round(delay * 1000)
        self._sending = None
        self.changed_messages.add(message.id)

    def dropped(self, message: Message, reason: str, now_ms: int) -> None:
        """The message is not sent after all, which is no failure of the sink."""
        self._log(message, Fate.DROPPED, now_ms, message.attempts, reason)
        self._remove(message)

    def postponed(
        self, message: Message, reason: str, due_ms: int, now_ms: int, thread: Mapping[str, str] | None = None
    ) -> None:
        """The message is tried again at `due_ms`, which is no failure of the sink; a reason is logged."""
        self.thread.update(thread or {})
        if reason:
            self._log(message, Fate.POSTPONED, now_ms, message.attempts, reason)
        message.due_ms = due_ms
        self._sending = None
        self.changed_messages.add(message.id)

    def again(self, message_id: str, records: Iterable[AlertRecord], now_ms: int) -> None:
        """Sends a message once more, under the same id.

        Parameters
        ----------
        message_id
            Its id.
        records
            Its records.
        now_ms
            As of `take`.
        """
        if message_id not in self.messages:
            self._add(Message(message_id, list(records), now_ms))

    def give_up(self, now_ms: int, reason: str) -> list[Message]:
        """Gives up all messages, since the subscription is disabled or deleted; returns them for the dead letters."""
        given_up = list(self.messages.values())
        for message in given_up:
            self._log(message, Fate.DEAD, now_ms, message.attempts, reason)
            self._remove(message)
        for state in self.flags.values():
            self._drop_held(state, now_ms, reason)
        return given_up

    def forget(self, before_ms: int) -> None:
        """Forgets flags of which nothing was heard since a time and nothing waits."""
        waiting = set().union(*(message.subjects for message in self.messages.values())) if self.messages else set()
        for name, state in list(self.flags.items()):
            lasts = state.announced and is_finding(name)  # it may for as long as it likes, and its end is news
            if state.touched_ms < before_ms and not state.held and not lasts and name not in waiting:
                del self.flags[name]
                self.thread.pop(name, None)
                self.changed_flags.add(name)

    def next_ms(self, now: float, now_ms: int) -> int | None:
        """When there may be something to do, in ms since 1970 UTC; None: not before the next record.

        Parameters
        ----------
        now, now_ms
            As of `take`.
        """
        times = [self.flags[name].ready_ms for name in self._holding]
        if self._sending is None and self.messages:
            # A message that is due may have to wait for an earlier one of its flag, which is not.
            waiting = first_due(self.messages.values(), now_ms) is None
            first = min(each.due_ms for each in self.messages.values() if not waiting or each.due_ms > now_ms)
            times.append(max(first, now_ms + round(1000 * self.breaker.wait(now))))
        return min(times, default=None)

    def take_log(self) -> list[LogEntry]:
        """The entries since the last call."""
        entries, self.log = self.log, []
        return entries

    def _arrived(self) -> None:
        self.failing_ms, self.failing_reason, self.warned = None, "", False

    def _end(self, state: FlagState, record: AlertRecord, exact: bool, now_ms: int) -> None:
        attempted, state.announced, state.attempted = state.attempted, False, False
        self._drop_held(state, now_ms, f"{record.change.value} before it was announced")
        self._drop_unsent(record.subject, now_ms, "its end is known")
        opens = OPENING[is_finding(record.subject)] & set(self.subscription.types)
        if attempted or (not opens and exact):
            self._put([record], now_ms)
        else:
            self._drop(record.id, now_ms, "its flag was not announced")

    def _send_at_once(self, state: FlagState, record: AlertRecord, now_ms: int) -> None:
        """Makes a message of a record that waits for nothing, in the place of what waits of its flag."""
        self._drop_held(state, now_ms, _replaced_by(record))
        self._drop_unsent(record.subject, now_ms, _replaced_by(record), ends=True)
        state.announced, state.announced_ms = True, now_ms
        self._add(Message(record.id, [record], now_ms))

    def _drop_unsent(self, flag: str, now_ms: int, reason: str, *, ends: bool = False) -> None:
        """Drops what has not arrived yet and says that a flag is open; and with `ends` what says that it was over."""
        for message in list(self.messages.values()):
            stale = [each for each in message.records if each.subject == flag and (ends or not each.is_end)]
            if not stale or message.id == self._sending:
                continue
            for each in stale:
                self._drop(each.id, now_ms, reason)
            message.records = [each for each in message.records if each not in stale]
            self.changed_messages.add(message.id)
            if not message.records:
                self._remove(message)

    def _hear(self, message: Message) -> None:
        for record in message.records:
            state = self.flags.get(record.subject)
            if state is not None and not state.attempted and not record.is_end:
                state.attempted = True
                self.changed_flags.add(record.subject)

    def _hold(self, state: FlagState, record: AlertRecord, logged_ms: int) -> None:
        if not state.held:
            ready_ms = logged_ms + round(self.subscription.delivery.min_hold_seconds * 1000)
            again_ms = state.announced_ms + AGAIN_MS if state.announced_ms else 0
            state.ready_ms = max(ready_ms, again_ms)
        # Of several revisions the last tells all.
        for each in state.held:
            if each.change is not Change.RAISED:
                self._drop(each.id, logged_ms, _replaced_by(record))
        state.held = [each for each in state.held if each.change is Change.RAISED] + [record]
        self._holding[record.subject] = None

    def _put(self, records: Iterable[AlertRecord], now_ms: int) -> None:
        """Puts records into messages of their own, or into the one that collects them."""
        delivery = self.subscription.delivery
        for record in records:
            group = group_of(self.subscription, record)
            if group is None:
                self._add(Message(record.id, [record], due_ms(delivery, now_ms)))
                continue
            found = self.messages.get(self._collecting.get(group, ""))
            if found is not None and self._collects(found, record, now_ms):
                for each in found.records:
                    if each.subject == record.subject:
                        self._drop(each.id, now_ms, _replaced_by(record))
                found.records = [each for each in found.records if each.subject != record.subject] + [record]
                self.changed_messages.add(found.id)
                continue
            wait_seconds = delivery.group_seconds if delivery.group_by is not None else 0.0
            due = due_ms(delivery, now_ms + round(wait_seconds * 1000))
            self._add(Message(f"{record.id}+", [record], due, group))
            self._collecting[group] = f"{record.id}+"

    def _collects(self, message: Message, record: AlertRecord, now_ms: int) -> bool:
        """Whether a message still takes a record of its group, of whose flag no later message waits."""
        if message.attempts or message.id == self._sending or now_ms >= message.due_ms:
            return False
        later = takewhile(lambda each: each is not message, reversed(self.messages.values()))
        return all(record.subject not in each.subjects for each in later)

    def _add(self, message: Message) -> None:
        if len(self.messages) >= MESSAGES_MAX:
            oldest = next(each for each in self.messages.values() if each.id != self._sending)
            self._log(oldest, Fate.DEAD, message.due_ms, oldest.attempts, f"{MESSAGES_MAX:,} messages wait")
            self._remove(oldest)
        self.made += 1
        message.number = self.made
        self.messages[message.id] = message
        self.changed_messages.add(message.id)

    def _remove(self, message: Message) -> None:
        self.messages.pop(message.id, None)
        if message.collects is not None and self._collecting.get(message.collects) == message.id:
            del self._collecting[message.collects]
        self.changed_messages.add(message.id)
        if self._sending == message.id:
            self._sending = None

    def _drop_held(self, state: FlagState, now_ms: int, reason: str) -> None:
        for record in state.held:
            self._drop(record.id, now_ms, reason)
            self.changed_flags.add(record.subject)
            self._holding.pop(record.subject, None)
        state.held = []

    def _drop(self, record_id: str, now_ms: int, reason: str) -> None:
        self.log.append(LogEntry(record_id, Fate.DROPPED, now_ms, 0, reason, (record_id,)))

    def _log(self, message: Message, fate: Fate, now_ms: int, attempt: int, reason: str = "") -> None:
        records = tuple(record.id for record in message.records)
        self.log.append(LogEntry(message.id, fate, now_ms, attempt, reason, records))


def _replaced_by(record: AlertRecord) -> str:
    return f"revision {record.revision} replaces it"
